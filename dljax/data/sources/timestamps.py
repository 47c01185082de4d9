"""The columns of time of a table: detected, and read as one time a row.

    columns = time_columns(table)           # or those that --time names
    stamps = read_stamps(table, columns)    # -> Stamps(time, zone, columns, notes)

Dates that are written are preferred to bare numbers. A date and a clock in two columns are joined,
as are year, month, day, hour (or year and quarter, year and week).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from dljax.data.sources import date_numbers, dates, zones
from dljax.data.sources.date_parts import CLOCK, are_hours, clock_seconds, of_parts, refuse
from dljax.data.sources.dates import Ambiguous, Dates
from dljax.data.sources.notation import missing
from dljax.data.sources.table import Table

NAMES = re.compile(
    r"date|time|stamp|datum|fecha|zeit|"
    r"^(ds|dt|day|month|year|quarter|week|period|hour|jahr|monat|tag|woche|quartal|index|)$",
    re.IGNORECASE,
)
INDEX = re.compile(r"^(index|unnamed: \d+|#|)$", re.IGNORECASE)
YEAR_MONTH = re.compile(r"\d{4}\.\d{1,2}")
BARE = re.compile(r"\d+(\.\d*)?")
CLOCK_NAMES = re.compile(r"time|clock|hour|^(hr|hrs|h|zeit|uhrzeit|stunde|hora)$", re.IGNORECASE)
ALIASES = {"hr": "hour", "yr": "year", "mon": "month", "min": "minute", "sec": "second"}
PARTS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")


class Stamps(NamedTuple):
    """The times of a table's rows.

    time: datetime64[s] [rows], in the file's order. zone: '' where none is named, else as
    `zones.settle` names it. columns: those that were read. notes: what was assumed.
    """

    time: np.ndarray
    zone: str
    columns: tuple[str, ...]
    notes: tuple[str, ...]


def time_columns(table: Table, time: str | None = None) -> tuple[str, ...]:
    """The columns that hold the time: the given one(s), or those detected.

    `time` may name several columns, separated by commas: date,clock or year,month,day,hour.

    Raises:
      ValueError: no such column, or none whose cells are dates.
    """
    if time:
        names = (time,) if time in table.cells else tuple(part.strip() for part in time.split(","))
        for name in names:
            table.column(name)
        return names
    parts = _parts(table)
    if {"year", "month", "day"} <= set(parts):
        return tuple(parts[part] for part in PARTS if part in parts and part not in _COARSE)
    ranked = [(rank, name) for name in table.cells if (rank := _rank(table, name)) is not None]
    if not ranked:
        raise ValueError(_no_dates(table))
    name = min(ranked, key=lambda pair: pair[0])[1]
    if name == parts.get("year"):
        finer = [parts[part] for part in ("month", "quarter", "week") if part in parts]
        if finer and _repeats(table.column(name)):
            return (name, finer[0])
    if (clock := _clock_column(table, name)) is not None:
        return (name, clock)
    return (name,)


_COARSE = ("quarter", "week")  # that month and day make needless


def _parts(table: Table) -> dict[str, str]:
    """Part of a date -> the column of that name."""
    found = {}
    for name in table.cells:
        part = ALIASES.get(name.lower(), name.lower())
        if part in PARTS:
            found.setdefault(part, name)
    return found


def _rank(table: Table, name: str) -> int | None:
    """How much a column looks like the time, 0 the most; None: it does not."""
    cells = table.cells[name][:200]
    sample = cells[~missing(table, cells)][:20].tolist()
    named = bool(NAMES.search(name))
    if not sample:
        return None
    if sum(dates.form_of(cell, named) is not None for cell in sample) > 0.8 * len(sample):
        bare = all(BARE.fullmatch(cell) for cell in sample)
        return 2 if bare else 0 if named else 1
    bare = all(
        BARE.fullmatch(cell) and date_numbers.units(float(cell), len(cell)) for cell in sample
    )
    if named and bare and not (INDEX.match(name) and _counts(sample)):
        return 3
    return None


def _counts(sample: list[str]) -> bool:
    """Whether bare numbers only count rows."""
    return len(sample) > 1 and bool((np.diff([float(cell) for cell in sample]) == 1).all())


def _repeats(cells: np.ndarray) -> bool:
    return len(set(cells.tolist())) < len(cells)


def _no_dates(table: Table) -> str:
    """The refusal of a table in which no column holds dates."""
    shown = []
    for name, cells in list(table.cells.items())[:20]:
        known = cells[~missing(table, cells)]
        shown.append(f"{name} ({str(known[0])[:20]!r})" if len(known) else f"{name} (empty)")
    if len(table.cells) == 1:
        return (
            f"{table.name} has one column, {shown[0]}, and no dates: cells are separated by "
            "commas, semicolons, tabs or bars."
        )
    return f"{table.name} has no column of dates among {', '.join(shown)}: name it with --time."


def _clock_column(table: Table, date: str) -> str | None:
    """The column of clock times that belongs to a column of dates; None if none does."""
    cells = table.column(date)
    if not _repeats(cells) or any(":" in cell for cell in cells[:50].tolist()):
        return None
    for name, column in table.cells.items():
        sample = column[~missing(table, column)][:50].tolist()
        if name == date or not sample or not CLOCK_NAMES.search(name):
            continue
        if all(":" in cell and CLOCK.fullmatch(cell) for cell in sample):
            return name
        if are_hours(sample) or all(CLOCK.fullmatch(cell) for cell in sample):
            return name
    return None


def read_stamps(table: Table, columns: tuple[str, ...], zone: str | None = None) -> Stamps:
    """The time stamps of a table's rows.

    zone: of the run that they are for, as `zones.settle` takes it; None: as the file is.

    Raises:
      ValueError: a cell that is no date, an ambiguous order of day and month, dates without a year,
        or steps under a second.
    """
    name, where = columns[0], " and ".join(columns)
    absent = missing(table, table.column(name))
    if absent.any():
        line = table.lines[int(absent.argmax())]
        raise ValueError(f"{table.name}, line {line}: column {name} has no date.")
    try:
        found, notes = _read(table, columns)
        time, zone, more = zones.settle(found.time, found.zone, zone)
    except (Ambiguous, zones.ZoneError) as error:
        raise ValueError(f"{table.name}, column {where}: {error}.") from None
    notes += (*(f"Column {where}: {note}." for note in found.notes), *more)
    if found.fraction is not None and found.fraction.any():
        steps = np.abs(np.diff(time))
        if (steps < np.timedelta64(1, "s")).any():
            raise ValueError(
                f"{table.name}, column {where}: stamps are finer than a second, steps under a "
                "second are not read: count them in seconds."
            )
        notes += (f"Column {where}: parts of a second are cut off.",)
    if time.min() > np.datetime64("now", "s") + np.timedelta64(1, "D"):
        notes += (f"All stamps lie in the future, from {str(time.min())[:10]} on.",)
    return Stamps(time, zone, columns, notes)


def _read(table: Table, columns: tuple[str, ...]) -> tuple[Dates, tuple[str, ...]]:
    """The `Dates` of the columns, without NaT, and notes."""
    if len(columns) > 1:
        return _joined(table, columns)
    name = columns[0]
    cells = table.column(name)
    if all(BARE.fullmatch(cell) for cell in cells.tolist()):
        dotted = all(YEAR_MONTH.fullmatch(cell) for cell in cells.tolist())
        if not dotted or all(cell.endswith(".0") for cell in cells.tolist()):
            return _numbers(table, name)
    found = dates.read_dates(cells)
    if found is None:
        if re.fullmatch(CLOCK, str(cells[0])):
            raise ValueError(
                f"{table.name}: column {name} has clock times without a date ({str(cells[0])!r}): "
                "name both columns, --time=DATE,CLOCK."
            )
        found = dates.other_words(cells)
    refuse(table, name, np.isnat(found.time))
    return found, ()


def _numbers(table: Table, name: str) -> tuple[Dates, tuple[str, ...]]:
    """Dates that are bare numbers."""
    cells = table.column(name)
    found = date_numbers.read_numbers(cells)
    if found is None:
        values = cells.astype(np.float64)
        unit = (*date_numbers.units(float(np.median(values))), "")[0]
        bad = [unit not in date_numbers.units(value) or not unit for value in values]
        refuse(table, name, np.array(bad))
        raise ValueError(
            f"{table.name}: column {name} has numbers like {cells[0]!s}, not all of them dates."
        )
    read, unit = found
    return read, (f"Column {name} is read as {unit}.",)


def _joined(table: Table, columns: tuple[str, ...]) -> tuple[Dates, tuple[str, ...]]:
    """Dates from a date and a clock, or from columns named year, month, day and so on."""
    parts = {ALIASES.get(name.lower(), name.lower()): name for name in columns}
    if set(parts) <= set(PARTS) and "year" in parts:
        return of_parts(table, parts)
    if len(columns) == 2:
        first, second = columns
        sample = table.column(second)[:50].tolist()
        if not (are_hours(sample) or all(CLOCK.fullmatch(cell) for cell in sample)):
            first, second = second, first
        found, notes = _read(table, (first,))
        clock = clock_seconds(table, second)
        if (found.time != found.time.astype("datetime64[D]")).any():
            raise ValueError(f"{table.name}: column {first} has clock times already.")
        notes += (f"Columns {first} and {second} are joined to one time.",)
        return found._replace(time=found.time + clock.astype("timedelta64[s]")), notes
    raise ValueError(
        f"{table.name}: several columns make a time if they are a date and a clock, or are named "
        f"{', '.join(PARTS)} (year and more), not {', '.join(columns)}."
    )
