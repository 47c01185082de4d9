"""The roles of a table's columns: what is forecast, what is known beside it, what is neither."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from dljax.data.sources.notation import is_numeric, missing, numbers
from dljax.data.sources.table import Table, shown

LABELS = re.compile(
    r"^(is_?)?(labels?|anomal(y|ous|ies)|outliers?|attacks?|faults?|class|normal/attack|"
    r"ground_?truth)(_?(labels?|flag))?$",
    re.IGNORECASE,
)
IDS = re.compile(
    r"^(unique_?id|series|ticker|symbol|sku|store|shop|station|sensor|item|product|meter|"
    r"(.*[_ .-])?id|.*_nbr)$",
    re.IGNORECASE,
)
CALENDAR = re.compile(
    r"^(year|quarter|month|week|day|hour|minute|second|weekday|yr|mnth|hr|"
    r"day_?of_?(week|year|month)|week_?of_?year|dow|doy)$",
    re.IGNORECASE,
)
KNOWN_CODES = re.compile(r"-?9{2,5}(\.9+|\.0+)?|-200(\.0)?|-?3276[78]|65535|-?1e\+?(20|30|36|37)")
SHOWN = 8


class Roles(NamedTuple):
    """values: column -> float64 [rows], of targets and flags. flags: 0/1 columns. notes: lines."""

    targets: tuple[str, ...]
    flags: tuple[str, ...]
    values: dict[str, np.ndarray]
    notes: tuple[str, ...]


def by_default(table: Table, when: np.ndarray, others: Collection[str]) -> Roles:
    """The roles of all columns but `others` (time, covariates, ids) where no target is named.

    Numeric columns are targets, but for what is constant, only counts, repeats the time, is an id
    or holds labels; columns of 0 and 1 are flags. Raises ValueError where no target is left.
    """
    values: dict[str, np.ndarray] = {}
    out: dict[str, list[str]] = {}
    notes: list[str] = []
    targets, flags, why = [], [], []
    for name in table.cells:
        if name in others:
            continue
        if not is_numeric(table, name):
            cell = _example(table, name)
            out.setdefault("text", []).append(f"{name} ({cell})")
            why.append(f"{name} has {cell}")
            continue
        column, more = numbers(table, name)
        reason = _no_quantity(name, column, when)
        if reason:
            out.setdefault(reason, []).append(name)
            why.append(f"{name} {_REASONS[reason]}")
            continue
        values[name] = column
        notes += more
        (flags if _is_flag(column) else targets).append(name)
    if not targets:
        why += [f"{name} is 0 or 1 (name it with --target)" for name in flags]
        numeric = "" if len(why) > len(out.get("text", [])) else "none is numeric: "
        listed = "; ".join(why[:SHOWN]) or "it has no other column than the time"
        raise ValueError(f"{table.name} has no column to forecast: {numeric}{listed}.")
    notes += [
        f"Left out, as {reason}: {', '.join(name or 'the unnamed one' for name in names[:SHOWN])}"
        f"{f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''}."
        for reason, names in out.items()
    ]
    if flags:
        notes.append(f"Columns of 0 and 1 are inputs, not forecast: {', '.join(flags)}.")
    return Roles(tuple(targets), tuple(flags), values, tuple(notes))


_REASONS = {
    "constant or a count of rows": "only counts or is constant",
    "a second column of time": "repeats the time",
    "labels of anomalies": "is named like labels",
    "an id": "is named like an id",
    "a part of the date": "is a part of the date",
}


def _no_quantity(name: str, column: np.ndarray, when: np.ndarray) -> str:
    """Why a numeric column is nothing to forecast; '' where it is."""
    if is_constant(column) or _counts(column):
        return "constant or a count of rows"
    whole = bool((column == np.rint(column)).all())  # False with missing values
    if whole and _follows(column, when):
        return "a second column of time"
    known = column[~np.isnan(column)]
    if LABELS.match(name) and (known == np.rint(known)).all() and len(np.unique(known)) <= 10:
        return "labels of anomalies"
    if whole and IDS.match(name):
        return "an id"
    if whole and CALENDAR.match(name):
        return "a part of the date"
    return ""


def _example(table: Table, name: str) -> str:
    cells = table.column(name)
    rows = np.flatnonzero(~missing(table, cells))
    if not len(rows):
        return "no value"
    bad = next((row for row in rows.tolist() if not _readable(cells[row])), int(rows[0]))
    return f"{shown(cells[bad])} in line {table.lines[bad]}"


def _readable(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+([.,]\d+)?", cell))


def is_constant(column: np.ndarray) -> bool:
    """Whether all known values are the same, or none is known."""
    known = column[~np.isnan(column)]
    return len(known) == 0 or bool((known == known[0]).all())


def _counts(column: np.ndarray) -> bool:
    """Whether whole numbers rise or fall by the same step in every row."""
    steps = np.diff(column)
    return bool((column == np.rint(column)).all() and (steps == steps[0]).all() and steps[0] != 0)


def _follows(column: np.ndarray, when: np.ndarray) -> bool:
    """Whether a column is proportional to the time that has passed, as Unix time is."""
    seconds = (when - when[0]).astype(np.float64)
    if not seconds[-1] or is_constant(column):
        return False
    slope = (column[-1] - column[0]) / seconds[-1]
    off = np.abs(column - column[0] - slope * seconds).max()
    return bool(slope and off <= 1e-6 * np.ptp(column))


def _is_flag(column: np.ndarray) -> bool:
    return bool(np.isin(column[~np.isnan(column)], (0.0, 1.0)).all())


def sentinels(name: str, column: np.ndarray) -> tuple[str, ...]:
    """A line for each value that repeats far outside the rest, as loggers write missing ones."""
    found: list[tuple[float, int]] = []
    known = column[~np.isnan(column)]
    while len(found) < 3 and (code := _code(known)) is not None:
        found.append((code, int((known == code).sum())))
        known = known[known != code]
    if not found:
        return ()
    counts = " and ".join(f"{code:g} in {count}" for code, count in found)
    codes = ",".join(f"{code:g}" for code, _ in found)
    return (
        f"Column {name} is {counts} of {len(column)} rows, far from the rest ({known.min():.4g} to "
        f"{known.max():.4g}): if that means missing, give --missing={codes}.",
    )


def _code(known: np.ndarray) -> float | None:
    """An extreme value that repeats and lies far outside the others."""
    for extreme in (known.min(), known.max()) if len(known) > 10 else ():
        rest = known[known != extreme]
        count = len(known) - len(rest)
        if count < 2 or len(rest) < 5 or count > 0.9 * len(known):
            continue
        gap, spread = np.abs(rest - extreme).min(), np.ptp(rest)
        usual = KNOWN_CODES.fullmatch(f"{extreme:g}") is not None
        if spread > 0 and gap > (0.25 if usual else 2.0) * spread:
            return float(extreme)
    return None
