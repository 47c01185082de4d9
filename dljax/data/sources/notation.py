"""Numbers as people write them: decimal points and commas, groups of digits, currencies, per cent.

A cell like 2,134 is a number with a decimal comma or with a group of thousands. What it is follows
from the other cells of its column (0,134 and 12,5 have decimal commas), else from other columns of
the file, else from how dates are written; where nothing decides, `numbers` asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from dljax.data.sources.number_cells import (
    BOOLEANS,
    MISSING,
    SINGLE,
    Cell,
    is_number,
    parse_cell,
    plain_number,
)
from dljax.data.sources.table import Table, shown

SIGNS = {"point": ".", "comma": ","}
DOTTED_DATE = re.compile(r"\d{1,2}\.\d{1,2}\.(\d{4}|\d{2})\b.*")


def missing(table: Table, cells: np.ndarray) -> np.ndarray:
    """Which cells are missing values: empty, NA, NaN, null, ? and the like; bool [rows]."""
    words = MISSING | {word.lower() for word in table.absent}
    longest = max(map(len, words))
    found = (len(cell) <= longest and cell.lower() in words for cell in cells.tolist())
    return np.fromiter(found, bool, len(cells))


def numbers(table: Table, column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """A column as float64 [rows], NaN where a value is missing, and notes on how it was read.

    Raises:
      ValueError: no such column; a cell that is no number, or an infinite one; two notations in one
        column, or one that nothing decides.
    """
    cells = table.column(column)
    values, notes = _plain(table, column, cells), ()
    if values is None:
        values, notes = _written(table, column, cells)
    for word in table.absent:
        if plain_number(word):
            values = np.where(values == float(word), np.nan, values)
    infinite = np.isinf(values)
    if infinite.any():
        first = int(infinite.argmax())
        raise ValueError(
            f"{table.name}, line {table.lines[first]}: column {column} is infinite "
            f"({infinite.sum()} in all): write a number, or leave the cell empty."
        )
    return values, notes


def _plain(table: Table, column: str, cells: np.ndarray) -> np.ndarray | None:
    """The values in Python's notation, None where they have another one or may have."""
    try:
        values = cells.astype(np.float64)
    except ValueError:
        try:
            values = np.where(missing(table, cells), "nan", cells).astype(np.float64)
        except ValueError:
            return None
    dotted = (cell for cell in cells.tolist() if "." in cell)
    sure = (not SINGLE.fullmatch(cell.lstrip("+-")) for cell in dotted)
    first = next(sure, None)
    if table.decimal == "comma":
        return values if first is None else None
    return values if first is None or first or any(sure) else None


def _written(table: Table, column: str, cells: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The values in any notation, and notes."""
    absent = missing(table, cells)
    rows = np.flatnonzero(~absent)
    parsed = [parse_cell(cell) for cell in cells[rows].tolist()]
    for row, cell in zip(rows, parsed, strict=True):
        if cell is None and not is_number(str(cells[row])):
            raise ValueError(
                f"{table.name}, line {table.lines[row]}: column {column} has "
                f"{shown(cells[row])}, which is no number."
            )
    known = [cell for cell in parsed if cell is not None]
    decimal, notes = _decimal(table, column, known)
    notes += _units(table, column, known)
    values = np.full(len(cells), np.nan)
    for row, cell in zip(rows, parsed, strict=True):
        if cell is None:  # true, false, inf
            word = str(cells[row]).lower()
            values[row] = BOOLEANS[word] if word in BOOLEANS else float(word)
            continue
        value = _value(cell, decimal)
        if value is None:
            raise ValueError(
                f"{table.name}, line {table.lines[row]}: column {column} has {shown(cells[row])}, "
                f"which is no number with a decimal {decimal}."
            )
        values[row] = value
    return values, notes


def _value(cell: Cell, decimal: str) -> float | None:
    """The number, None where it is not written with this decimal sign."""
    if cell.kind in SIGNS and cell.kind != decimal:
        return None
    group = "," if decimal == "point" else "."
    text = cell.body.replace(group, "").replace(",", ".")
    return -float(text) if cell.negative else float(text)


def _decimal(table: Table, column: str, cells: list[Cell]) -> tuple[str, tuple[str, ...]]:
    """'point' or 'comma' for the cells of a column, and a note where it is no plain matter."""
    first = {cell.kind: cell.body for cell in reversed(cells)}
    if table.decimal != "auto":
        return table.decimal, ()
    if "point" in first and "comma" in first:
        raise ValueError(
            f"{table.name}: column {column} has {first['point']!r} and {first['comma']!r}, two "
            "notations of numbers: write one, or leave the column out."
        )
    for decimal in SIGNS:
        if decimal in first:
            return decimal, ()
    if "either" not in first:
        return "point", ()
    example = first["either"]
    decimal, why = _by_the_file(table, column, cells, example)
    if decimal is None:
        whole = re.sub("[.,]", "", example)
        raise ValueError(
            f"{table.name}: column {column} has {example!r}, which may be "
            f"{example.replace(',', '.')} or {whole}{why}: give --decimal=point or --decimal=comma."
        )
    if not why:
        return decimal, ()
    grouped = (decimal == "point") == ("," in example)
    value = re.sub("[.,]", "", example) if grouped else example.replace(",", ".")
    return decimal, (f"Column {column}: {example} is read as {value}, as {why}.",)


def _by_the_file(
    table: Table, column: str, cells: list[Cell], example: str
) -> tuple[str | None, str]:
    """The decimal sign of a column that does not tell itself, and why; None: nothing decides."""
    signs = {cell.body for cell in cells if cell.kind == "either"}
    both = any("." in body for body in signs) and any("," in body for body in signs)
    others = _evidence(table, column)
    if both:
        return None, " (and others the other way)"
    if len(others) == 1:
        ((decimal, where),) = others.items()
        return decimal, f"column {where} has decimal {decimal}s"
    if others:
        return None, ""
    plain = [cell.body for cell in cells if cell.kind == "plain" and cell.body.strip("0")]
    ungrouped = any(len(body) > 3 for body in plain)
    dates = _dotted_date(table)
    if "." in example:
        if ungrouped or not (plain or dates):
            return (
                "point",
                "larger ones have no dot" if ungrouped else "every cell has three decimals",
            )
        return None, f", beside {plain[0]}" if plain else ""
    if (dates or table.separator == ";") and not plain:
        return "comma", f"dates are written {dates}" if dates else "semicolons separate the cells"
    if plain and not ungrouped and not dates and table.separator == ",":
        return "point", f"{plain[0]} stands beside it"
    return None, f", beside {plain[0]}" if plain else ""


def _evidence(table: Table, column: str) -> dict[str, str]:
    """The decimal signs that other columns can only have, and a column that has each."""
    found: dict[str, str] = {}
    for name, cells in table.cells.items():
        if name != column and is_numeric(table, name):
            kinds = {cell.kind for text in cells.tolist() if (cell := parse_cell(text))} & {*SIGNS}
            if len(kinds) == 1:
                found.setdefault(kinds.pop(), name)
    return found


def _dotted_date(table: Table) -> str:
    """The first cell of a column of dates like 31.12.2020; '' where there is none."""
    firsts = (str(cells[0]) for cells in table.cells.values())
    return next((cell for cell in firsts if DOTTED_DATE.fullmatch(cell)), "")


def _units(table: Table, column: str, cells: Iterable[Cell]) -> tuple[str, ...]:
    """A note on signs of currency or per cent; raises ValueError where they differ in a column."""
    units = {cell.unit for cell in cells if cell.body.strip("0.,") or cell.unit}
    named = sorted(units - {""})
    if len(named) > 1 or ("%" in named and "" in units):
        other = named[1] if len(named) > 1 else "numbers without it"
        raise ValueError(
            f"{table.name}: column {column} has {named[0]} beside {other}: write one unit."
        )
    if not named:
        return ()
    return (f"Column {column} is read without its sign {named[0]}.",)


def is_numeric(table: Table, column: str) -> bool:
    """Whether at least 90 % of a sample of the cells are numbers."""
    cells = table.column(column)
    cells = cells[:: len(cells) // 2000 + 1]
    cells = cells[~missing(table, cells)].tolist()
    return bool(cells) and sum(map(is_number, cells)) >= 0.9 * len(cells)
