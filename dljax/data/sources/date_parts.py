"""Dates of several columns: a clock beside a date, or year, month, day, hour, minute, second."""

from __future__ import annotations

import re

import numpy as np

from dljax.data.sources import dates
from dljax.data.sources.date_fields import day_time
from dljax.data.sources.dates import Dates
from dljax.data.sources.notation import numbers
from dljax.data.sources.table import Table, shown

CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?(?:\s*([AaPp])\.?[Mm]\.?)?")


def are_hours(cells: list[str]) -> bool:
    """Whether cells are hours of the day, 0 to 24."""
    return all(re.fullmatch(r"\d{1,2}(\.0*)?", cell) and float(cell) <= 24 for cell in cells)


def refuse(table: Table, name: str, bad: np.ndarray) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{table.name}, line {table.lines[row]}: column {name} has "
            f"{shown(table.column(name)[row])}, which is no date"
            f"{' written as those before it' if row else ''}."
        )


def clock_seconds(table: Table, name: str) -> np.ndarray:
    """Seconds since midnight of clock times, or of whole hours; 24 is the end of the day."""
    cells = table.column(name).tolist()
    if are_hours([cell for cell in cells if cell]):
        values, _ = numbers(table, name)
        _refuse_clock(table, name, np.isnan(values))
        return np.rint(values * 3600).astype(np.int64)
    found = [CLOCK.fullmatch(cell) for cell in cells]
    _refuse_clock(table, name, np.array([match is None for match in found]))
    fields = [[int(part or 0) for part in match.groups()[:3]] for match in found]
    hour, minute, second = np.array(fields, np.int64).T
    half = np.array([(match[4] or "").lower() for match in found])
    hour = np.where(half == "", hour, hour % 12 + 12 * (half == "p"))
    late = (hour > 24) | ((hour == 24) & (minute + second > 0)) | (minute > 59) | (second > 60)
    _refuse_clock(table, name, late)
    return hour * 3600 + minute * 60 + second


def _refuse_clock(table: Table, name: str, bad: np.ndarray) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{table.name}, line {table.lines[row]}: column {name} has "
            f"{shown(table.column(name)[row])}, which is no time of day."
        )


def of_parts(table: Table, parts: dict[str, str]) -> tuple[Dates, tuple[str, ...]]:
    """Dates from part -> column; a month may be a name."""
    values = {}
    for part, name in parts.items():
        cells = table.column(name)
        words = [cell[:3].lower() for cell in cells.tolist()]
        if part == "month" and set(words) <= set(dates.MONTHS):
            values[part] = np.array([dates.MONTHS.index(word) + 1 for word in words])
            continue
        column = numbers(table, name)[0]
        refuse(table, name, np.isnan(column) | (column != np.rint(column)))
        values[part] = column.astype(np.int64)
    if "week" in values:
        time = dates.week_time(values["year"], values["week"])
        refuse(table, parts["week"], np.isnat(time))
        return Dates(time), ()
    month = values.get("month", 3 * values["quarter"] - 2 if "quarter" in values else None)
    if month is None:
        raise ValueError(f"{table.name}: --time={','.join(parts.values())} has no month.")
    time = day_time(values["year"], month, values.get("day", np.ones_like(month)))
    refuse(table, parts.get("day", parts["year"]), np.isnat(time))
    limits = {"hour": 24, "minute": 59, "second": 60}
    for part, seconds in {"hour": 3600, "minute": 60, "second": 1}.items():
        if part in values:
            bad = (values[part] < 0) | (values[part] > limits[part])
            _refuse_clock(table, parts[part], bad)
            time = time + (values[part] * seconds).astype("timedelta64[s]")
    return Dates(time), ()
