"""Time series from the values of `--dataset` in forecasting.

    load_series("stocks")                                        # embedded, needs no network
    load_series("weather", targets=("temp_max", "wind"))
    load_series("ETTh1.csv")                                     # any CSV with a column of dates
    load_series("sales.csv", time="day", targets=("shop",), covariates=("price",), fill="forward")

A `Series` has finite numbers on a regular grid of times, and notes of how they were read. Nothing
is filled unless a rule is named.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.sources import embedded_series, frequency, resampling, timestamps
from dljax.data.sources.table import Table, is_numeric, numbers, read_table

FILLS = ("refuse", "forward", "linear")
SHORTEST = 10
KINDS = "'stocks', 'weather', 'weather_hourly' or a CSV file with a header and a column of dates"


class Series(NamedTuple):
    """One or several series over the same time.

    name: one word or path. time: datetime64[s] [T] on a grid of step `freq`, as pandas writes it
    (business days: every row is a step, holidays are left out). values: float64 [T, C], finite, of
    the targets `columns`. covariates: float64 [T, K], finite, known up to the present only. season:
    steps of the main season. notes: lines for the user.
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


def load_series(
    dataset: str,
    *,
    time: str | None = None,
    targets: Sequence[str] = (),
    covariates: Sequence[str] = (),
    freq: str | None = None,
    fill: str = "refuse",
) -> Series:
    """Reads a series.

    Args:
      dataset: 'stocks' (daily adjusted closing prices of AAPL, GOOG, IBM, MSFT, 2004-2013),
        'weather' (Seattle, daily, 2012-2015), 'weather_hourly' (Seattle, the normal temperature of
        each hour of a year), or a CSV.
      time: the column(s) of dates; detected by default.
      targets: columns to forecast; the default is all that are numeric ('weather': temp_max).
      covariates: further numeric columns that are known up to the present.
      freq: the time step ('h', '15min', 'D', 'B', 'MS'); by default the most common one.
      fill: how missing values and missing or uneven times are treated. 'refuse': an error.
        'forward': the last value before, which uses the past only. 'linear': interpolation, which
        looks ahead (test errors are too low). Rows without an earlier value are cut off.

    Raises:
      FileNotFoundError, ValueError: one line with file, column and line.
    """
    if fill not in FILLS:
        raise ValueError(f"fill={fill!r}: choose one of {', '.join(FILLS)}")
    if dataset in embedded_series.TABLES:
        table, default = embedded_series.TABLES[dataset]()
        targets = targets or default
    elif os.path.exists(os.path.expanduser(dataset)):
        table = read_table(dataset)
    elif os.sep in dataset or dataset.lower().endswith((".csv", ".txt", ".tsv", ".gz")):
        raise FileNotFoundError(f"There is no file {dataset}: --dataset takes {KINDS}.")
    else:
        raise ValueError(f"Unknown data set {dataset!r}: --dataset takes {KINDS}.")
    return from_table(
        table, time=time, targets=targets, covariates=covariates, freq=freq, fill=fill
    )


def from_table(
    table: Table,
    *,
    time: str | None = None,
    targets: Sequence[str] = (),
    covariates: Sequence[str] = (),
    freq: str | None = None,
    fill: str = "refuse",
) -> Series:
    """The `Series` of a table; arguments and errors as in `load_series`."""
    if len(table.lines) < SHORTEST:
        raise ValueError(
            f"{table.name} has {len(table.lines)} rows: a series needs {SHORTEST} or more."
        )
    time_columns = timestamps.time_column(table, time)
    when, notes = timestamps.read_stamps(table, time_columns)
    notes = table.notes + notes
    covariates = tuple(dict.fromkeys(covariates))
    if targets:
        values = {name: _target(table, name) for name in targets}
    else:
        values, unusable = _candidates(table, (*time_columns, *covariates))
        if unusable:
            notes += (f"Left out, as constant or a count of rows: {', '.join(unusable)}.",)
    targets = tuple(values)
    for name in covariates:
        if name in targets or name in time_columns:
            raise ValueError(f"column {name} can't be both covariate and target or time.")
        values[name] = numbers(table, name)
        if np.isnan(values[name]).all():
            raise ValueError(f"{table.name}: column {name} is empty.")
    matrix = np.stack([values[name] for name in targets + covariates], -1)
    when, matrix, lines, more = resampling.in_order(table, when, matrix)
    if freq:
        freq = frequency.alias(*frequency.step(freq))
    else:
        freq = frequency.infer(when)
    when, matrix, filled = resampling.on_grid(
        table.name, when, matrix, lines, targets + covariates, freq, fill
    )
    return Series(
        table.name,
        when,
        matrix[:, : len(targets)],
        targets,
        matrix[:, len(targets) :],
        covariates,
        freq,
        frequency.season(freq),
        notes + more + filled,
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


def _target(table: Table, name: str) -> np.ndarray:
    """A column named as target. Raises ValueError if it is constant."""
    column = numbers(table, name)
    if _constant(column):
        raise ValueError(f"{table.name}: column {name} is constant: nothing to forecast.")
    return column


def _candidates(
    table: Table, others: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """All other numeric columns that vary, and the names of constant ones and counters."""
    rest = [name for name in table.cells if name not in others and is_numeric(table, name)]
    values = {name: numbers(table, name) for name in rest}
    unusable = tuple(name for name in rest if _constant(values[name]) or _counter(values[name]))
    if len(unusable) == len(rest):
        reason = (
            f"{', '.join(unusable)} only count or are constant" if unusable else "none is numeric"
        )
        raise ValueError(f"{table.name} has no column to forecast: {reason}.")
    return {name: values[name] for name in rest if name not in unusable}, unusable


def _constant(column: np.ndarray) -> bool:
    known = column[~np.isnan(column)]
    return len(known) == 0 or bool((known == known[0]).all())


def _counter(column: np.ndarray) -> bool:
    return column[0] in (0, 1) and bool((np.diff(column) == 1).all())
