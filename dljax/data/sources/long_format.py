"""Tables in long format: several series in rows, named by a column (unique_id, ds, y)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from dljax.data.sources.date_fields import is_monotone
from dljax.data.sources.notation import is_numeric, missing
from dljax.data.sources.roles import IDS
from dljax.data.sources.table import Table

SHOWN = 5


def series_columns(
    table: Table, when: np.ndarray, others: Collection[str], named: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that name the series of each row, () where there is one series, and notes.

    named: the column(s), separated by commas; 'none': there is one series. None: columns named
    like ids that change, and columns that tell repeated stamps apart.
    """
    if named == "none":
        return (), ()
    if named:
        names = (named,) if named in table.cells else tuple(x.strip() for x in named.split(","))
        for name in names:
            table.column(name)
        return names, ()
    rest = [name for name in table.cells if name not in others]
    text = [name for name in rest if not is_numeric(table, name) and _few(table, name)]
    ids = [name for name in rest if IDS.match(name) and _few(table, name)]
    if ids and not _unique(table, ids[:1], when) and _unique(table, ids, when):
        return tuple(ids), ()
    if ids:
        return tuple(ids[:1]), ()
    if len(np.unique(when)) < 0.75 * len(when) or not is_monotone(when):
        codes = [name for name in rest if name not in text and _is_code(table, name)]
        for columns in [[name] for name in (*text, *codes)] + [text] * (len(text) > 1):
            apart = len(np.unique(when)) < 0.75 * len(when) or _in_blocks(table, columns[0])
            if apart and _unique(table, columns, when):
                return tuple(columns), ()
        return (), ()
    notes = ()
    for name in text:
        if _in_blocks(table, name):
            cells = table.column(name)
            row = int((cells != cells[0]).argmax())
            notes += (
                f"Column {name} changes from {str(cells[0])!r} to {str(cells[row])!r} in line "
                f"{table.lines[row]}: if these are several series, give --series={name}.",
            )
    return (), notes


def labels(table: Table, columns: tuple[str, ...]) -> np.ndarray:
    """The name of the series of each row: the cells of the columns, joined by '/'."""
    result = table.column(columns[0])
    for name in columns[1:]:
        result = np.char.add(np.char.add(result, "/"), table.column(name))
    return result


def described(columns: tuple[str, ...], names: dict[str, int]) -> str:
    """A line on the series that were found: name -> rows."""
    listed = ", ".join(f"{name} ({rows} rows)" for name, rows in list(names.items())[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"Column {', '.join(columns)} names {len(names)} series: {listed}{more}."


def _few(table: Table, name: str) -> bool:
    """Whether a column has several values, each in two rows or more on average, none missing."""
    cells = table.column(name)
    count = len(np.unique(cells))
    return 1 < count <= len(cells) / 2 and not missing(table, cells).any()


def _is_code(table: Table, name: str) -> bool:
    """Whether a column has few whole numbers without a sign."""
    cells = table.column(name)
    count = len(np.unique(cells))
    return 1 < count <= len(cells) / 5 and all(cell.isdigit() for cell in cells.tolist())


def _in_blocks(table: Table, name: str) -> bool:
    """Whether equal cells stand together."""
    cells = table.column(name)
    return int((cells[1:] != cells[:-1]).sum()) + 1 == len(np.unique(cells))


def _unique(table: Table, columns: list[str], when: np.ndarray) -> bool:
    """Whether no stamp is there twice in one series."""
    pairs = zip(labels(table, tuple(columns)).tolist(), when.astype(np.int64).tolist(), strict=True)
    return len(set(pairs)) == len(when)
