"""The time column of a table: detected, and parsed from the usual date formats.

ISO dates with any separator, day/month/year and month/day/year (distinguished by a number above 12,
else by which of them is evenly spaced), Excel's serial days, Unix seconds and milliseconds,
YYYYMMDD, years, names of months, and year, month, day, hour in separate columns.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dljax.data.sources import frequency
from dljax.data.sources.table import Table, missing, numbers

NAMES = re.compile(r"date|time|stamp|^(ds|dt|day|month|year|period|index|)$", re.IGNORECASE)
PARTS = ("year", "month", "day", "hour", "minute", "second")
CLOCK = (
    r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d*)?)?\s*([AaPp][Mm])?)?"
    r"\s*(Z|UTC|[+-]\d{2}:?\d{2})?"
)
YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?" + CLOCK)
YEAR_LAST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})" + CLOCK)


def time_column(table: Table, time: str | None = None) -> tuple[str, ...]:
    """The columns that hold the time: the given one(s), or those detected.

    `time` may name several columns, separated by commas: year,month,day,hour.

    Raises:
      ValueError: no such column, or none whose cells are dates.
    """
    if time:
        names = (time,) if time in table.cells else tuple(part.strip() for part in time.split(","))
        for name in names:
            table.column(name)
        return names
    by_part = {name.lower(): name for name in table.cells}
    if {"year", "month", "day"} <= set(by_part):
        return tuple(by_part[part] for part in PARTS if part in by_part)
    for likely in (True, False):
        for name, cells in table.cells.items():
            sample = cells[~missing(cells)][:20]
            named = bool(NAMES.search(name))
            if (
                named == likely
                and len(sample)
                and np.mean([_is_date(c, named) for c in sample]) > 0.8
            ):
                return (name,)
    raise ValueError(
        f"{table.name} has no column of dates among {', '.join(list(table.cells)[:20])}: "
        "name it with --time."
    )


def _is_date(cell: str, named: bool) -> bool:
    """Whether a cell looks like a date; bare numbers count in a column with a name like one."""
    if YEAR_FIRST.fullmatch(cell) or YEAR_LAST.fullmatch(cell):
        return True
    if re.fullmatch(r"\d+(\.\d*)?", cell):
        return named and _unit(float(cell)) is not None
    written = re.search(r"[A-Za-z]{3}", cell) and re.search(r"\d{2}", cell)
    return bool(written) and not np.isnat(_words(np.array([cell])))[0]


def read_stamps(table: Table, columns: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The time stamps of a table's rows, datetime64[s] [rows], in the file's order, and notes.

    Raises:
      ValueError: a cell that is no date, or an ambiguous order of day and month.
    """
    if len(columns) > 1:
        return _joined(table, columns), ()
    name = columns[0]
    cells = table.column(name)
    absent = missing(cells)
    if absent.any():
        line = table.lines[int(absent.argmax())]
        raise ValueError(f"{table.name}, line {line}: column {name} has no date.")
    if all(re.fullmatch(r"\d+(\.\d*)?", cell) for cell in cells):
        return _counted(table, name)
    if YEAR_FIRST.fullmatch(cells[0]):
        groups = _match(table, name, YEAR_FIRST)
        year, month, day, *clock = groups.T
        return _assemble(table, name, year, month, np.where(day == "", "1", day), clock), ()
    if YEAR_LAST.fullmatch(cells[0]):
        first, second, year, *clock = _match(table, name, YEAR_LAST).T
        return _slashed(table, name, first, second, year, clock)
    stamps = _words(cells)
    _refuse(table, name, np.isnat(stamps))
    return stamps, ()


def _match(table: Table, name: str, pattern: re.Pattern) -> np.ndarray:
    """The groups of the pattern in each cell [rows, groups], '' for absent ones."""
    found = [pattern.fullmatch(cell) for cell in table.column(name)]
    _refuse(table, name, np.array([match is None for match in found]))
    return np.array([match.groups("") for match in found])


def _refuse(table: Table, name: str, bad: np.ndarray) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{table.name}, line {table.lines[row]}: column {name} has "
            f"{str(table.column(name)[row])!r}, which is no date"
            f"{' written as those before it' if row else ''}."
        )


def _slashed(table, name, first, second, year, clock) -> tuple[np.ndarray, tuple[str, ...]]:
    """Dates like 3/4/1999, whose order of day and month is inferred or refused."""
    example = str(table.column(name)[0])
    one, two = first.astype(int), second.astype(int)
    if (one > 12).any():
        return _assemble(table, name, year, second, first, clock), ()
    if (two > 12).any():
        return _assemble(table, name, year, first, second, clock), ()
    readings = {
        "month/day/year": _assemble(table, name, year, first, second, clock),
        "day/month/year": _assemble(table, name, year, second, first, clock),
    }
    fitting = {key: stamps for key, stamps in readings.items() if _evenness(stamps) > 0.5}
    if len(fitting) != 1:
        raise ValueError(
            f"{table.name}: dates like {example!r} in column {name} may be month/day or day/month: "
            "write them as YYYY-MM-DD."
        )
    order, stamps = fitting.popitem()
    return stamps, (f"Dates like {example} are read as {order}: so they are evenly spaced.",)


def _evenness(stamps: np.ndarray) -> float:
    """The share of the times of a grid that are present, if in order; 1 without gaps."""
    stamps = stamps[::-1] if stamps[0] > stamps[-1] else stamps
    if len(stamps) < 3 or (np.diff(stamps).astype(np.int64) <= 0).any():
        return 0.0
    return len(stamps) / (frequency.position(stamps, frequency.infer(stamps))[-1] + 1)


def _assemble(table, name, year, month, day, clock) -> np.ndarray:
    """datetime64[s] from text parts [rows]; a zone that all rows share is dropped."""
    hour, minute, second, half, zone = clock
    digits = [np.where(part == "", "0", part).astype(int) for part in (hour, minute, second)]
    hours, minutes, seconds = digits
    upper = np.char.upper(half)
    hours = np.where(upper == "", hours, hours % 12 + 12 * (upper == "PM"))
    years = year.astype(int)
    years = np.where(years < 69, years + 2000, np.where(years < 100, years + 1900, years))
    months, days = month.astype(int), day.astype(int)
    first = ((years - 1970) * 12 + months - 1).astype("datetime64[M]")
    after = (first + np.timedelta64(1, "M")).astype("datetime64[D]")
    length = (after - first.astype("datetime64[D]")).astype(int)
    wrong = (months < 1) | (months > 12) | (days < 1) | (days > length)
    _refuse(table, name, wrong | (hours > 23) | (minutes > 59) | (seconds > 60))
    seconds = ((days - 1) * 24 + hours) * 3600 + minutes * 60 + seconds
    stamps = first.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    if len(set(zone)) > 1:
        stamps = stamps - np.array([_offset(z) for z in zone], "timedelta64[s]")
    return stamps


def _offset(zone: str) -> int:
    """Seconds that a zone like +01:00 is ahead of UTC."""
    if zone in ("", "Z", "UTC"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)


def _unit(value: float) -> str | None:
    """The unit of a bare number, by its size."""
    for low, high, unit in (
        (1500, 2200, "years"),
        (15000, 80000, "Excel's days since 1899-12-30"),
        (15000101, 22001231, "YYYYMMDD"),
        (1e8, 1e10, "Unix seconds"),
        (1e11, 1e13, "Unix milliseconds"),
    ):
        if low <= value <= high:
            return unit
    return None


def _counted(table: Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stamps from bare numbers."""
    values = numbers(table, name)
    unit = _unit(float(np.median(values)))
    _refuse(table, name, np.array([_unit(value) != unit or unit is None for value in values]))
    note = (f"Column {name} is read as {unit}.",)
    if unit == "years":
        return (values.astype(int) - 1970).astype("datetime64[Y]").astype("datetime64[s]"), note
    if unit == "YYYYMMDD":
        text = values.astype(int).astype(str)
        parts = np.array([(t[:4], t[4:6], t[6:]) for t in text]).T
        return _assemble(table, name, *parts, [np.full(len(text), "")] * 5), note
    scale, start = {"Unix seconds": (1, 0), "Unix milliseconds": (1e-3, 0)}.get(
        unit, (86400, -25569 * 86400)
    )
    return np.rint(values * scale + start).astype("datetime64[s]"), note


def _joined(table: Table, columns: tuple[str, ...]) -> np.ndarray:
    """Stamps from columns named year, month, day and so on."""
    parts = {name.lower(): numbers(table, name) for name in columns}
    if not {"year", "month"} <= set(parts) or not set(parts) <= set(PARTS):
        raise ValueError(
            f"{table.name}: several columns make a time if they are named "
            f"{', '.join(PARTS)} (at least year and month), not {', '.join(columns)}."
        )
    for name, values in parts.items():
        _refuse(table, {c.lower(): c for c in columns}[name], np.isnan(values))
    text = {name: values.astype(int).astype(str) for name, values in parts.items()}
    ones, empty = np.full(len(table.lines), "1"), np.full(len(table.lines), "")
    clock = [text.get(part, empty) for part in PARTS[3:]] + [empty, empty]
    return _assemble(table, columns[0], text["year"], text["month"], text.get("day", ones), clock)


def _words(cells: np.ndarray) -> np.ndarray:
    """Dates with the month's name, as pandas reads them; NaT for other cells."""
    stamps = pd.to_datetime(pd.Series(cells), errors="coerce", format="mixed", utc=True)
    return stamps.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
