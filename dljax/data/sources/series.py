"""Time series from the values of `--dataset` in forecasting.

    load_series("stocks")                                        # embedded, needs no network
    load_series("weather", targets=("temp_max", "wind"))
    load_series("ETTh1.csv")                                     # any CSV with a column of dates
    load_series("sales.csv", time="day", targets=("shop",), covariates=("price",), fill="forward")
    load_panel("shops.csv")                                      # several series in one file
    load_series("sales.csv", targets=("shop",), known=("price",))  # and the prices to come

A `Series` has finite numbers on a regular grid of times, and notes of how they were read. Nothing
is filled unless a rule is named.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources import (
    embedded_series,
    frequency,
    long_format,
    resampling,
    roles,
    timestamps,
)
from dljax.data.sources.notation import numbers
from dljax.data.sources.table import Table, read_table

FILLS = ("refuse", "forward", "linear")
SHORTEST = 10
KINDS = "'stocks', 'weather', 'weather_hourly' or a CSV file with a header and a column of dates"


class Series(NamedTuple):
    """One or several series over the same time.

    name: one word or path. time: datetime64[s] [T] on a grid of step `freq`, as pandas writes it
    (business days: every row is a step, holidays are left out). values: float64 [T, C], finite, of
    the targets `columns`. covariates: float64 [T, K], finite, known up to the present only, but for
    the last `known` ones. season: steps of the main season. notes: lines for the user. zone: of the
    times, as `zones.settle` names it, '' where none is named. label: which of several series of a
    file it is, by the columns `label_columns`. coming_time: datetime64[s] [F], the rows that a file
    has after the last value; coming: float64 [F, known], the covariates that are known there, NaN
    where they are missing.
    """

    name: str
    time: np.ndarray
    values: np.ndarray
    columns: tuple[str, ...]
    covariates: np.ndarray
    covariate_names: tuple[str, ...]
    freq: str
    season: int
    notes: tuple[str, ...] = ()
    zone: str = ""
    label: str = ""
    label_columns: tuple[str, ...] = ()
    known: int = 0
    coming_time: np.ndarray = np.zeros(0, "datetime64[s]")
    coming: np.ndarray = np.zeros((0, 0))

    @property
    def known_names(self) -> tuple[str, ...]:
        """The covariates that are known of the future too."""
        return self.covariate_names[len(self.covariate_names) - self.known :]


def load_series(dataset: str, **settings: Any) -> Series:
    """The one series of a data set; arguments and errors as in `load_panel`.

    Raises ValueError where there are several.
    """
    found = load_panel(dataset, **settings)
    if len(found) > 1:
        raise ValueError(
            f"{dataset} holds several series ({', '.join(s.label for s in found[:3])}, ...), where "
            "one is needed."
        )
    return found[0]


def load_panel(
    dataset: str,
    *,
    time: str | None = None,
    targets: Sequence[str] = (),
    covariates: Sequence[str] = (),
    known: Sequence[str] = (),
    freq: str | None = None,
    fill: str = "refuse",
    series: str | None = None,
    decimal: str = "auto",
    absent: Sequence[str] = (),
    zone: str | None = None,
) -> tuple[Series, ...]:
    """Reads the series of a data set: one, or those of a table in long format.

    Args:
      dataset: 'stocks' (daily adjusted closing prices of AAPL, GOOG, IBM, MSFT, 2004-2013),
        'weather' (Seattle, daily, 2012-2015), 'weather_hourly' (Seattle, the normal temperature of
        each hour of a year), or a CSV.
      time: the column(s) of dates; detected by default.
      targets: columns to forecast; the default is all that are numeric, but for constants, counts,
        ids, labels and flags ('weather': temp_max).
      covariates: further numeric columns that are known up to the present; columns of 0 and 1 are
        added where no targets are named.
      known: further numeric columns that are known of the future too, as prices and promotions are.
      freq: the time step ('h', '15min', 'D', 'B', 'MS'); by default the most common one.
      fill: how missing values and missing or uneven times are treated. 'refuse': an error.
        'forward': the last value before, which uses the past only. 'linear': interpolation, which
        looks ahead (test errors are too low). Rows without an earlier value are cut off. Rows at
        the end without a target are the future and never filled.
      series: the column(s) that name the series of each row; 'none': there is one; None: detected.
      decimal: 'auto', 'point' or 'comma'. absent: words and numbers that mean missing.
      zone: of the run that the series is for, as `zones.settle` takes it.

    Raises:
      FileNotFoundError, ValueError: one line with file, column and line.
    """
    if fill not in FILLS:
        raise ValueError(f"fill={fill!r}: choose one of {', '.join(FILLS)}")
    if dataset in embedded_series.TABLES:
        table, default = embedded_series.TABLES[dataset]()
        targets = targets or default
    elif os.path.exists(os.path.expanduser(dataset)):
        table = read_table(dataset, decimal, absent)
    elif os.sep in dataset or dataset.lower().endswith((".csv", ".txt", ".tsv", ".gz")):
        raise FileNotFoundError(f"There is no file {dataset}: --dataset takes {KINDS}.")
    else:
        raise ValueError(f"Unknown data set {dataset!r}: --dataset takes {KINDS}.")
    return from_table(
        table,
        time=time,
        targets=targets,
        covariates=covariates,
        known=known,
        freq=freq,
        fill=fill,
        series=series,
        zone=zone,
    )


def from_table(
    table: Table,
    *,
    time: str | None = None,
    targets: Sequence[str] = (),
    covariates: Sequence[str] = (),
    known: Sequence[str] = (),
    freq: str | None = None,
    fill: str = "refuse",
    series: str | None = None,
    zone: str | None = None,
) -> tuple[Series, ...]:
    """The `Series` of a table; arguments and errors as in `load_panel`."""
    _long_enough(table)
    stamps = timestamps.read_stamps(table, timestamps.time_columns(table, time), zone)
    ids, notes = long_format.series_columns(
        table, stamps.time, (*stamps.columns, *targets, *covariates, *known), series
    )
    notes = (*table.notes, *stamps.notes, *notes)
    covariates, known = tuple(dict.fromkeys(covariates)), tuple(dict.fromkeys(known))
    for name in covariates + known:
        if name in targets or name in stamps.columns:
            raise ValueError(f"column {name} can't be both covariate and target or time.")
        if name in covariates and name in known:
            raise ValueError(f"column {name}: name it with --covariates or with --known, not both.")
    others = (*stamps.columns, *covariates, *known, *ids)
    if targets:
        values, more = _named(table, targets)
        notes += more
    else:
        found = roles.by_default(table, stamps.time, others)
        targets, values = found.targets, found.values
        covariates, notes = (*covariates, *found.flags), notes + found.notes
    covariates += known
    for name in covariates:
        if name not in values:
            values[name], more = numbers(table, name)
            notes += more
        if np.isnan(values[name]).all():
            raise ValueError(f"{table.name}: column {name} is empty.")
    targets = tuple(dict.fromkeys(targets))
    for name in targets + covariates:
        notes += roles.sentinels(name, values[name])
    matrix = np.stack([values[name] for name in targets + covariates], -1)
    whole = _Rows(table, stamps.time, matrix)
    if not ids:
        return (_gridded(whole, targets, covariates, len(known), freq, fill, stamps.zone, notes),)
    parts = _apart(whole, long_format.labels(table, ids))
    freq = freq or _common_step(parts)
    notes += (long_format.described(ids, {name: len(x.time) for name, x in parts.items()}),)
    return tuple(
        _gridded(part, targets, covariates, len(known), freq, fill, stamps.zone, notes)._replace(
            label=name, label_columns=ids
        )
        for name, part in parts.items()
    )


class _Rows(NamedTuple):
    """A table with its times [rows] and the values of its targets and covariates [rows, C + K]."""

    table: Table
    time: np.ndarray
    matrix: np.ndarray


def _long_enough(table: Table) -> None:
    if len(table.lines) < SHORTEST:
        raise ValueError(
            f"{table.name} has {len(table.lines)} rows: a series needs {SHORTEST} or more."
        )


def _apart(whole: _Rows, names: np.ndarray) -> dict[str, _Rows]:
    """The rows of each series, in order of appearance."""
    parts = {}
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        table = whole.table.rows(rows)._replace(name=f"{whole.table.name}, {name}")
        parts[name] = _Rows(table, whole.time[rows], whole.matrix[rows])
        _long_enough(table)
    return parts


def _common_step(parts: dict[str, _Rows]) -> str:
    """The step of most series."""
    steps = [frequency.infer(np.unique(part.time)) for part in parts.values()]
    return max(dict.fromkeys(steps), key=steps.count)


def _gridded(
    rows: _Rows,
    targets: tuple[str, ...],
    covariates: tuple[str, ...],
    known: int,
    freq: str | None,
    fill: str,
    zone: str,
    notes: tuple[str, ...],
) -> Series:
    """The `Series` of some rows, in order and on the grid of its step."""
    table, columns = rows.table, targets + covariates
    when, matrix, lines, more = resampling.in_order(table, rows.time, rows.matrix)
    count, future = resampling.known_rows(
        table.name, when, matrix, columns, len(targets), known, fill
    )
    coming_time, coming = when[count:], matrix[count:, len(columns) - known :]
    when, matrix, lines = when[:count], matrix[:count], lines[:count]
    freq = frequency.alias(*frequency.step(freq)) if freq else frequency.infer(when)
    when, matrix, filled = resampling.on_grid(table.name, when, matrix, lines, columns, freq, fill)
    return Series(
        table.name,
        when,
        matrix[:, : len(targets)],
        targets,
        matrix[:, len(targets) :],
        covariates,
        freq,
        frequency.season(freq),
        notes + more + future + filled,
        zone,
        known=known,
        coming_time=coming_time if known else coming_time[:0],
        coming=coming if known else coming[:0],
    )


def returns(series: Series) -> Series:
    """The logarithmic returns log(p_t / p_(t-1)) in per cent, at the time of the later price.

    Row t is known at the time of p_t. Covariates keep their values at that time. Raises ValueError
    for values that are not positive.
    """
    if (series.values <= 0).any():
        column = series.columns[int((series.values <= 0).any(0).argmax())]
        raise ValueError(f"{series.name}: column {column} is not always positive: no returns.")
    change = 100 * np.diff(np.log(series.values), axis=0)
    return _from_row(series, 1, change, "return of", "Returns are logarithmic, in per cent.")


def volatility(series: Series, window: int = 21) -> Series:
    """The logarithm of the realised volatility: of the root mean square of `window` returns.

    Row t depends on the returns of rows t - window + 1 to t, so neighbouring rows share all but one
    of them and the last value is a strong forecast for fewer than `window` steps. Returns are in
    per cent; 21 trading days are a month.

    Raises ValueError for values that are not positive, fewer rows than the window, or a window in
    which a price does not move.
    """
    if not 1 <= window < len(series.time):
        raise ValueError(f"a volatility of {window} returns needs more rows than that")
    squares = np.square(returns(series).values)
    total = np.lib.stride_tricks.sliding_window_view(squares, window, 0).mean(-1)
    if (total <= 0).any():
        raise ValueError(
            f"{series.name} has {window} returns of zero, whose volatility is undefined."
        )
    note = f"Volatility is the logarithm of the root mean square of {window} returns in per cent."
    return _from_row(series, window, np.log(total) / 2, "volatility of", note)


def _from_row(series: Series, row: int, values: np.ndarray, what: str, note: str) -> Series:
    """The series from `row` on, with other values."""
    return series._replace(
        time=series.time[row:],
        values=values,
        columns=tuple(f"{what} {name}" for name in series.columns),
        covariates=series.covariates[row:],
        notes=series.notes + (note,),
    )


def _named(table: Table, targets: Sequence[str]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The columns named as targets, and notes. Raises ValueError if one is constant."""
    values, notes = {}, ()
    for name in targets:
        values[name], more = numbers(table, name)
        notes += more
        if roles.is_constant(values[name]):
            raise ValueError(f"{table.name}: column {name} is constant: nothing to forecast.")
    return values, notes
