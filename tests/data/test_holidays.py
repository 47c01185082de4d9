"""Public holidays as a covariate that is known of the future too."""

import datetime
import sys
import types

import numpy as np
import pytest

from dljax.data import holidays
from dljax.data.sources.series import Series


def hours(rows=48, freq="h", step=1):
    time = np.datetime64("2023-12-24T12", "s") + 3600 * step * np.arange(rows)
    blank = np.zeros((rows, 0))
    return Series("load", time, np.arange(rows, dtype=float)[:, None], ("y",), blank, (), freq, 24)


@pytest.fixture
def stub(monkeypatch):
    """A package that knows one country, with one holiday a year."""

    def country_holidays(code, subdiv, years, observed):
        if (code, subdiv) != ("DE", "BY"):
            raise NotImplementedError(f"Country {code} not available")
        return {datetime.date(year, 12, 25): "Christmas" for year in years}

    module = types.SimpleNamespace(country_holidays=country_holidays)
    monkeypatch.setitem(sys.modules, "holidays", module)


def test_holidays_of_the_past_and_of_the_horizon(stub):
    found = holidays.with_holidays(hours(30), "de-by", 10)  # to the 25th, 17:00
    assert found.known_names == ("holiday in de-by",) and found.notes[-1].endswith("18 of 30 rows.")
    np.testing.assert_array_equal(found.covariates[:, 0], [0] * 12 + [1] * 18)
    np.testing.assert_array_equal(found.coming[:, 0], [1] * 6 + [0] * 4)
    assert str(found.coming_time[0]) == "2023-12-25T18:00:00"
    priced = hours()._replace(
        covariates=np.ones((48, 1)), covariate_names=("price",), known=1,
        coming_time=hours(51).time[48:], coming=np.full((3, 1), 2.0),
    )  # fmt: skip
    found = holidays.with_holidays(priced, "DE-BY", 10)
    assert found.known_names == ("price", "holiday in DE-BY")
    np.testing.assert_array_equal(found.coming, [[2, 0]] * 3)  # as many rows as have a price


def test_what_has_no_holidays_is_refused(stub, monkeypatch):
    for series, country, words in (
        (hours(), "XX", "Country XX not available; give codes such as US or DE-BY"),
        (hours(10), "DE-BY", "no row of load is a holiday there"),
        (hours(freq="7D", step=168), "DE-BY", "steps of a day or shorter; load has steps of 7D"),
    ):
        with pytest.raises(ValueError, match=words):
            holidays.with_holidays(series, country, 3)
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ValueError, match="pip install holidays"):
        holidays.with_holidays(hours(), "DE-BY", 3)


def test_the_packages_own_dates():
    pytest.importorskip("holidays")
    found = holidays.with_holidays(hours(240), "US", 24)
    days = np.unique(found.time[found.covariates[:, 0] > 0].astype("datetime64[D]"))
    assert days.astype(str).tolist() == ["2023-12-25", "2024-01-01"]
