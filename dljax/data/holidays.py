"""Public holidays of a country as a covariate that is known of the future too.

The dates are those of the package `holidays` (MIT), which is imported here alone and only when it
is asked for.
"""

from __future__ import annotations

import numpy as np

from dljax.data.calendar import future
from dljax.data.sources import frequency
from dljax.data.sources.series import Series


def with_holidays(series: Series, country: str, horizon: int) -> Series:
    """The series with a further known covariate: 1 in the rows of public holidays, else 0.

    country: ISO 3166 codes of a country, or of a part of it ('US', 'US-CA', 'DE-BY'). horizon:
    steps after the end for which holidays are needed. A row's date is that of its time as read.

    Raises ValueError, in one line, without the package, for a country that it does not know, for
    steps longer than a day, and where no row is a holiday.
    """
    kind, size = frequency.step(series.freq)
    if kind == "month" or (kind == "s" and size > 86400):
        raise ValueError(
            f"--holidays needs steps of a day or shorter; {series.name} has steps of {series.freq}"
        )
    coming_time, coming = series.coming_time, series.coming
    if not series.known:
        coming_time = future(series.time, series.freq, horizon)
        coming = np.zeros((horizon, 0))
    both = np.concatenate([series.time, coming_time]).astype("datetime64[D]")
    flags = np.isin(both, _dates(country, both)).astype(np.float64)[:, None]
    past, ahead = np.split(flags, [len(series.time)])
    if not past.any():
        raise ValueError(f"--holidays={country}: no row of {series.name} is a holiday there")
    rows = int(past.sum())
    return series._replace(
        covariates=np.concatenate([series.covariates, past], -1),
        covariate_names=(*series.covariate_names, f"holiday in {country}"),
        known=series.known + 1,
        coming_time=coming_time,
        coming=np.concatenate([coming, ahead], -1),
        notes=(*series.notes, f"Public holidays in {country}: {rows} of {len(past)} rows."),
    )


def _dates(country: str, days: np.ndarray) -> np.ndarray:
    """The public holidays in the years of the days, datetime64[D]."""
    try:
        import holidays
    except ImportError:
        raise ValueError("--holidays needs the package holidays: pip install holidays") from None
    code, _, part = country.upper().partition("-")
    first, last = (int(str(day)[:4]) for day in (days.min(), days.max()))
    try:
        found = holidays.country_holidays(
            code, subdiv=part or None, years=range(first, last + 1), observed=True
        )
    except NotImplementedError as error:
        raise ValueError(f"--holidays={country}: {error}; give codes such as US or DE-BY") from None
    return np.array(sorted(found), "datetime64[D]")
