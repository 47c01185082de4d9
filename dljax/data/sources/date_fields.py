"""The parts of dates that a pattern finds, years of two digits, and the times that they make."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

NAT = np.datetime64("NaT", "s")
EARLIEST, LATEST = 1500, 2200  # years


class Fields:
    """The groups of a pattern in each cell of a column; cells that do not match have none.

    matched: bool [rows].
    """

    def __init__(self, pattern: re.Pattern, cells: np.ndarray):
        self._names = set(pattern.groupindex)
        self._found = [pattern.fullmatch(cell) for cell in cells.tolist()]
        self._first = str(cells[0])
        self.matched = np.array([found is not None for found in self._found])

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def first(self) -> str:
        """The first cell."""
        return self._first

    def text(self, name: str) -> list[str]:
        """A group of each cell, '' where it is absent."""
        if name not in self._names:
            return [""] * len(self._found)
        return [(found[name] or "") if found else "" for found in self._found]

    def number(self, name: str, default: int = 0) -> np.ndarray:
        """A group of each cell as int [rows]."""
        texts = self.text(name)
        return np.array([int(text.lstrip("'")) if text else default for text in texts])

    def short(self, name: str) -> np.ndarray:
        """Where a year has two digits, bool [rows]."""
        return np.array([0 < len(text.lstrip("'")) <= 2 for text in self.text(name)])

    def zones(self) -> np.ndarray | None:
        """The zones [rows], '' where none is named; None where the form has none."""
        if "zone" not in self._names:
            return None
        pairs = zip(self.text("zone"), self.text("day_zone"), strict=True)
        return np.array([(zone or day).strip().upper() for zone, day in pairs])

    def fractions(self) -> np.ndarray | None:
        """Where there is a part of a second, bool [rows]; None where the form has none."""
        if "f" not in self._names:
            return None
        return np.array([bool(text.strip("0")) for text in self.text("f")])


def assemble(fields: Fields, years: np.ndarray, months: np.ndarray, days: np.ndarray) -> np.ndarray:
    """datetime64[s] [rows] of dates and the clock in `fields`; NaT where there is no such time.

    24:00 is the midnight at the end of the day.
    """
    hours, minutes, seconds = (fields.number(name) for name in ("h", "mi", "s"))
    half = np.array([text[:1].lower() for text in fields.text("half")])
    wrong = (half != "") & ((hours < 1) | (hours > 12))
    hours = np.where(half == "", hours, hours % 12 + 12 * (half == "p"))
    time = day_time(years, months, days)
    midnight = (hours == 24) & (minutes == 0) & (seconds == 0)
    wrong |= ((hours > 23) & ~midnight) | (minutes > 59) | (seconds > 60) | ~fields.matched
    time = time + (hours * 3600 + minutes * 60 + seconds).astype("timedelta64[s]")
    return np.where(wrong, NAT, time)


def day_time(years: np.ndarray, months: np.ndarray, days: np.ndarray) -> np.ndarray:
    """datetime64[s] [rows] of days; NaT where there is no such day."""
    wrong = (years < EARLIEST) | (years > LATEST) | (months < 1) | (months > 12)
    safe = np.where(wrong, 1, months)
    first = ((np.where(wrong, 1970, years) - 1970) * 12 + safe - 1).astype("datetime64[M]")
    after = (first + np.timedelta64(1, "M")).astype("datetime64[D]")
    length = (after - first.astype("datetime64[D]")).astype(int)
    wrong |= (days < 1) | (days > length)
    time = first.astype("datetime64[D]") + (np.where(wrong, 1, days) - 1).astype("timedelta64[D]")
    return np.where(wrong, NAT, time.astype("datetime64[s]"))


def today() -> np.datetime64:
    """The present, datetime64[s]."""
    return np.datetime64("now", "s")


def in_the_future(time: np.ndarray) -> bool:
    """Whether no time lies in the past."""
    return bool(time.min() > today() + np.timedelta64(1, "D"))


def is_monotone(time: np.ndarray) -> bool:
    """Whether times never go back, or never forward, and are all known."""
    steps = np.diff(time)
    if np.isnat(time).any():
        return False
    zero = np.timedelta64(0, "s")
    return bool((steps >= zero).all() or (steps <= zero).all())


def full_years(
    years: np.ndarray, short: np.ndarray, build: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The times that `build` makes of years, those of two digits completed, and a note on these.

    A year of two digits is the latest that does not lie in the future; where rows are then out of
    order, the next ten years are tried (plans), then the 20th century.
    """
    if not short.any():
        return build(years), ()
    now = int(today().astype("datetime64[Y]").astype(int) + 1970) % 100

    def full(pivot: int) -> np.ndarray:
        return np.where(short, np.where(years <= pivot, 2000, 1900) + years, years)

    times = [build(full(pivot)) for pivot in (now, now + 10, -1)]
    good = [is_monotone(time) and not in_the_future(time) for time in times]
    time = times[good.index(True) if True in good else 0]
    if np.isnat(time).any():
        return time, ()
    first, last = (np.datetime_as_string(x, "Y") for x in (time.min(), time.max()))
    span = first if first == last else f"{first} to {last}"
    return time, (f"years of two digits are read as {span}",)


def days_after(time: np.ndarray) -> np.ndarray:
    """Whether each time is the last day of a year, bool [rows]."""
    later = time.astype("datetime64[D]") + np.timedelta64(1, "D")
    return later == later.astype("datetime64[Y]").astype("datetime64[D]")
