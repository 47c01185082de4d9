"""Bare numbers as dates: years, YYYYMMDD and its kin, Excel's days, Unix time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dljax.data.sources import frequency
from dljax.data.sources.date_fields import (
    NAT,
    day_time,
    full_years,
    in_the_future,
    is_monotone,
)
from dljax.data.sources.dates import Ambiguous, Dates

Reader = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]  # -> time, fraction or None


def _digits(*sizes: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Splits whole numbers into fields of so many decimal digits, from the left."""

    def split(values: np.ndarray) -> list[np.ndarray]:
        rest, parts = np.rint(values).astype(np.int64), []
        for size in reversed(sizes):
            parts.append(rest % 10**size)
            rest = rest // 10**size
        return parts[::-1]

    return split


def _calendar(*sizes: int) -> Reader:
    """A reader of year, month, day, hour, minute, second in so many digits each."""

    def read(values: np.ndarray) -> tuple[np.ndarray, None]:
        year, month, *rest = _digits(*sizes)(values)
        day, hour, minute, second = (*rest, *[np.int64(0)] * (4 - len(rest)))
        day = day if rest else np.ones_like(year)
        wrong = (hour > 23) | (minute > 59) | (second > 60) | (values != np.rint(values))
        seconds = np.asarray(hour * 3600 + minute * 60 + second).astype("timedelta64[s]")
        return np.where(wrong, NAT, day_time(year, month, day) + seconds), None

    return read


def _short_years(values: np.ndarray) -> tuple[np.ndarray, None]:
    """YYMMDD."""
    year, month, day = _digits(2, 2, 2)(values)
    time, _ = full_years(year, np.ones(len(year), bool), lambda years: day_time(years, month, day))
    return np.where(values != np.rint(values), NAT, time), None


def _quarters(values: np.ndarray) -> tuple[np.ndarray, None]:
    """YYYYQ."""
    year, quarter = _digits(4, 1)(values)
    wrong = (quarter < 1) | (quarter > 4) | (values != np.rint(values))
    return np.where(wrong, NAT, day_time(year, np.where(wrong, 1, 3 * quarter - 2), 1)), None


def _years(values: np.ndarray) -> tuple[np.ndarray, None]:
    time = day_time(
        np.rint(values).astype(int), np.ones(len(values), int), np.ones(len(values), int)
    )
    return np.where(values != np.rint(values), NAT, time), None


def _since(start: int, seconds: float) -> Reader:
    """Units of so many seconds from a Unix time on."""

    def read(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        exact = values.astype(np.longdouble) * seconds + start
        whole = np.floor(exact + np.longdouble(5e-4))
        fraction = exact - whole > 5e-4
        if seconds > 1:  # days as a float: clock times are rounded
            whole, fraction = np.rint(exact), np.zeros(len(values), bool)
        return whole.astype(np.int64).astype("datetime64[s]"), fraction

    return read


# Unit -> smallest and largest number of it, and its reader. A number may fit several.
UNITS: dict[str, tuple[float, float, Reader]] = {
    "years": (1500, 2200, _years),
    "YYYYQ": (15001, 22004, _quarters),
    "Excel's days since 1899-12-30": (15000, 80000, _since(-25569 * 86400, 86400)),
    "YYYYMM": (150001, 220012, _calendar(4, 2)),
    "YYMMDD": (101, 991231, _short_years),
    "YYYYMMDD": (15000101, 22001231, _calendar(4, 2, 2)),
    "YYYYMMDDHH": (1500010100, 2200123123, _calendar(4, 2, 2, 2)),
    "YYYYMMDDHHMM": (150001010000, 220012312359, _calendar(4, 2, 2, 2, 2)),
    "YYYYMMDDHHMMSS": (15000101000000, 22001231235959, _calendar(4, 2, 2, 2, 2, 2)),
    "Unix seconds": (1e8, 1e10, _since(0, 1)),
    "Unix milliseconds": (1e11, 1e13, _since(0, 1e-3)),
    "Unix microseconds": (1e14, 1e16, _since(0, 1e-6)),
    "Unix nanoseconds": (1e17, 1e19, _since(0, 1e-9)),
}


def units(value: float, digits: int = 0) -> list[str]:
    """The units that a number may have; YYMMDD only where it is written with six digits."""
    return [
        name
        for name, (low, high, _) in UNITS.items()
        if low <= value <= high and (name != "YYMMDD" or digits == 6)
    ]


def read_numbers(cells: np.ndarray) -> tuple[Dates, str] | None:
    """The `Dates` of bare numbers and their unit, None where none fits.

    Several that fit are told apart by which is evenly spaced and not in the future. Raises
    `Ambiguous` where that does not decide.
    """
    values = cells.astype(np.float64)
    digits = {len(cell.partition(".")[0]) for cell in cells.tolist()}
    if values.max() >= 1e15:
        values = np.array([int(cell.partition(".")[0]) for cell in cells.tolist()], np.longdouble)
    common = units(float(np.median(values)), 6 if digits == {6} else 0)
    found = {}
    for name in common:
        time, fraction = UNITS[name][2](values)
        found[name] = Dates(time, None, fraction)
    valid = {name: dates for name, dates in found.items() if not np.isnat(dates.time).any()}
    low, high = ({name: UNITS[name][i] for name in valid} for i in (0, 1))
    valid = {
        name: dates
        for name, dates in valid.items()
        if values.min() >= low[name] and values.max() <= high[name]
    }
    chosen = valid
    for test in (lambda time: not in_the_future(time), _is_even):
        kept = {name: dates for name, dates in chosen.items() if test(dates.time)}
        chosen = kept or chosen
    if len(chosen) > 1:
        raise Ambiguous(
            f"numbers like {cells[0]!s} may be {' or '.join(chosen)}: write dates as YYYY-MM-DD"
        )
    if not chosen:
        return None
    name, dates = chosen.popitem()
    return dates, name


def _is_even(time: np.ndarray) -> bool:
    """Whether times are in order and most of their grid is there."""
    ordered = np.unique(time)
    if not is_monotone(time) or len(ordered) < 3:
        return False
    return len(ordered) / (frequency.position(ordered, frequency.infer(ordered))[-1] + 1) > 0.5
