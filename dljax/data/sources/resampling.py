"""Rows in order on the grid of one time step without gaps; other rows are refused with the line.

Nothing is filled unless a rule is named: 'forward' repeats the last value before, which uses the
past only; 'linear' interpolates, which looks ahead.
"""

from __future__ import annotations

import numpy as np

from dljax.data.sources import frequency
from dljax.data.sources.table import Table
from dljax.data.sources.zones import clock_changes

HOLIDAYS = 0.1  # largest share of business days without a row
HOUR = np.timedelta64(3600, "s")
CLOSURE = 10  # largest number of consecutive business days without a row


def in_order(
    table: Table, when: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """The rows in increasing order of time and their lines; newest-first files are reversed."""
    lines, notes = table.lines, ()
    steps = np.diff(when).astype(np.int64)
    if len(steps) and (steps < 0).all():
        when, matrix, lines, steps = when[::-1], matrix[::-1], lines[::-1], -steps[::-1]
        notes += ("The file begins with the newest row: its order is reversed.",)
    if (steps < 0).any():
        row = int((steps < 0).argmax()) + 1
        raise ValueError(
            f"{table.name}, line {lines[row]}: {written(when[row])} comes after "
            f"{written(when[row - 1])}: sort the file by time, or, if it has several series, name "
            "their column by --series."
        )
    if (steps == 0).any():
        same = np.flatnonzero(steps == 0) + 1
        differ = [r for r in same if not np.array_equal(matrix[r], matrix[r - 1], equal_nan=True)]
        if differ:
            raise ValueError(
                f"{table.name}, line {lines[differ[0]]}: {written(when[differ[0]])} is there "
                f"twice, with other values ({len(differ)} such rows): keep one row a stamp"
                f"{_summer_time(when[differ[0]])}, or name the column of the series by --series."
            )
        keep = np.setdiff1d(np.arange(len(when)), same)
        when, matrix, lines = when[keep], matrix[keep], lines[keep]
        notes += (f"Repeated rows left out: {len(same)}.",)
    return when, matrix, lines, notes


def known_rows(
    name: str,
    when: np.ndarray,
    matrix: np.ndarray,
    columns: tuple[str, ...],
    targets: int,
    coming: int,
    fill: str,
) -> tuple[int, tuple[str, ...]]:
    """How many rows there are before the future, and a note on rows that are left out.

    Rows at the end without any target are the future, in the form in which known covariates are
    written; the last `coming` columns are known there. With a rule to fill by, rows without one of
    the targets are too: the end of a series is never filled. Raises ValueError where that is more
    than a tenth of the rows.
    """
    known = ~np.isnan(matrix[:, :targets])
    ends = [int(np.flatnonzero(column)[-1]) + 1 if column.any() else 0 for column in known.T]
    count = max(ends) if fill == "refuse" else min(ends)
    rest = len(when) - count
    if not rest:
        return count, ()
    which = columns[ends.index(count)]
    if count < max(ends) and rest > 0.1 * len(when):
        raise ValueError(
            f"{name}: column {which} ends {rest} rows before others, on "
            f"{written(when[count - 1])}: the end of a series is not filled; leave the column out."
        )
    covariates = ", ".join(columns[targets : len(columns) - coming])
    return count, (
        f"The last {rest} rows have no {which}: they are the future, forecasts begin after "
        f"{written(when[count - 1])}"
        + (f"; their {covariates} is not used." if covariates else "."),
    )


def on_grid(
    name: str,
    when: np.ndarray,
    matrix: np.ndarray,
    lines: np.ndarray,
    columns: tuple[str, ...],
    freq: str,
    fill: str,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Increasing times [T] and values [T, C], NaN where missing, on the complete grid of `freq`.

    name, lines, columns: for messages. fill: 'refuse', 'forward' or 'linear'. Returns times,
    finite values and notes. Raises ValueError for rows that are refused.
    """
    _check_clocks(name, when, freq)
    business = frequency.step(freq)[0] == "B"
    place, notes = frequency.position(when, freq), ()
    if business:
        place, notes = _business(name, when, place, lines)
    if fill == "refuse":
        _refuse(name, when, matrix, lines, columns, freq, place)
        return when, matrix, notes
    uneven, absent = int((place != np.rint(place)).sum()), np.isnan(matrix).sum(0)
    length = int(place[-1]) + 1
    gaps = length - len(np.unique(np.rint(place)))
    if length > 20 * len(when):
        raise ValueError(
            f"{name} has {len(when)} rows for {length} steps of {freq}: too few to fill."
        )
    if gaps:
        notes += (f"Missing stamps of step {freq}: {gaps}, filled ({fill}).",)
    if uneven:
        notes += (f"Stamps off the grid of step {freq}: {uneven}, moved ({fill}).",)
    if absent.any():
        counts = ", ".join(f"{c} {n}" for c, n in zip(columns, absent, strict=True) if n)
        notes += (f"Missing values, filled ({fill}): {counts}.",)
    if not (gaps or uneven or absent.any()):
        return when, matrix, notes
    if fill == "linear":
        notes += ("Linear interpolation looks ahead: errors at filled rows are too low.",)
    where = np.arange(length, dtype=np.float64)
    matrix = np.stack([_filled(place, column, where, fill) for column in matrix.T], -1)
    when = when if business else frequency.steps_after(when[0], freq, length)
    begin = int(np.isnan(matrix).any(1).argmin())
    if begin:
        notes += (
            f"Rows cut off at the beginning, without an earlier value to fill from: {begin}.",
        )
    return when[begin:], matrix[begin:], notes


def _check_clocks(name: str, when: np.ndarray, freq: str) -> None:
    """Raises ValueError for days or longer steps whose clock changes by an hour, as in summer."""
    kind, count = frequency.step(freq)
    clocks = np.unique(when - when.astype("datetime64[D]"))
    if (kind == "s" and count < 86400) or len(clocks) != 2 or np.diff(clocks)[0] != HOUR:
        return
    early, late = (str(np.datetime64("2000-01-01", "s") + clock)[11:16] for clock in clocks)
    raise ValueError(
        f"{name}: the clock changes between {early} and {late}, as that of local midnights written "
        "in UTC does in summer: write local dates, or stamps with their offsets."
    )


def _refuse(name, when, matrix, lines, columns, freq, place) -> None:
    """Raises ValueError for the first time off the grid, the first gap, or a missing value."""
    hint = "choose --fill=forward (past values) or --fill=linear"
    uneven, holes, absent = place != np.rint(place), np.diff(place) > 1, np.isnan(matrix)
    if uneven.any():
        row = int(uneven.argmax())
        raise ValueError(
            f"{name}, line {lines[row]}: {written(when[row])} is off the grid of step {freq} that "
            f"begins at {written(when[0])} ({uneven.sum()} rows are): give --freq, or {hint}."
        )
    if holes.any():
        row = int(holes.argmax()) + 1
        raise ValueError(
            f"{name}, line {lines[row]}: missing stamps of step {freq}: "
            f"{int(place[-1]) + 1 - len(when)}, the first after {written(when[row - 1])}"
            f"{_summer_time(when[row - 1])}: {hint}."
        )
    if absent.any():
        column = int(absent.any(0).argmax())
        row = int(absent[:, column].argmax())
        raise ValueError(
            f"{name}, line {lines[row]}: column {columns[column]} has no value "
            f"({absent[:, column].sum()} of {len(when)} rows): {hint}, or leave the column out."
        )


def _business(name, when, place, lines):
    """Rows as steps: business days without a row count as holidays, if they are few."""
    off = (place != np.rint(place)) | ~np.is_busday(when.astype("datetime64[D]"))
    if off.any():
        row = int(off.argmax())
        raise ValueError(
            f"{name}, line {lines[row]}: {written(when[row])} is no business day: give --freq=D."
        )
    closed = int(place[-1]) + 1 - len(when)
    longest = int(np.diff(place).max()) - 1
    if closed > HOLIDAYS * len(when) or longest > CLOSURE:
        row = int(np.diff(place).argmax()) + 1
        raise ValueError(
            f"{name}, line {lines[row]}: {closed} business days have no row, {longest} in a row "
            f"after {written(when[row - 1])}: too many for holidays."
        )
    note = f"Business days without a row (holidays): {closed}; the next row is the next step."
    return np.arange(len(when), dtype=np.float64), (note,) if closed else ()


def _filled(place: np.ndarray, column: np.ndarray, where: np.ndarray, fill: str) -> np.ndarray:
    """The column at the positions `where` of the grid; NaN before its first value."""
    known = ~np.isnan(column)
    place, column = place[known], column[known]
    last = np.searchsorted(place, where, side="right") - 1
    if fill == "forward":
        values = column[np.maximum(last, 0)]
    else:
        values = np.interp(where, place, column)
    return np.where(last < 0, np.nan, values)


def _summer_time(stamp: np.datetime64) -> str:
    """A hint where clocks commonly change."""
    return " (a change of summer time? write UTC or offsets)" if clock_changes(stamp) else ""


def written(stamp: np.datetime64) -> str:
    """A time as a message names it, without a midnight."""
    text = str(stamp.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(" 00:00:00")
