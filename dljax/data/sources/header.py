"""What stands above the rows of a table: comments, titles, one or several lines of column names."""

from __future__ import annotations

from dljax.data.sources import dates
from dljax.data.sources.number_cells import MISSING, is_number

Rows = list[list[str]]
LOOKED_AT = 12  # lines


def is_data(cell: str) -> bool:
    """Whether a cell is a number or a date, as no name of a column is."""
    return cell.lower() not in MISSING and (is_number(cell) or dates.looks_like_date(cell))


def without_comments(rows: Rows, lines: list[int]) -> tuple[Rows, list[int], tuple[str, ...]]:
    """The rows and lines without comments (#), and a note.

    A comment right above the first row of numbers, of as many cells, is the header.
    """
    marked = [bool(row[0]) and row[0][0] == "#" for row in rows]
    if not any(marked):
        return rows, lines, ()
    first = marked.index(False) if False in marked else len(rows)
    header = []
    if 0 < first < len(rows):
        above, row = rows[first - 1], rows[first]
        if len(above) == len(row) and any(map(is_data, row)) and not any(map(is_data, above)):
            name = above[0].lstrip("#").strip()
            header = [([name or above[0], *above[1:]], lines[first - 1])]
    kept = [i for i, comment in enumerate(marked) if not comment]
    count = len(rows) - len(kept) - len(header)
    rows = [row for row, _ in header] + [rows[i] for i in kept]
    lines = [line for _, line in header] + [lines[i] for i in kept]
    return rows, lines, (f"Comment lines (#) left out: {count}.",) if count else ()


def from_header_on(
    rows: Rows, lines: list[int], width: int
) -> tuple[Rows, list[int], tuple[str, ...]]:
    """The rows and lines from the header on, and a note on lines of another width above it.

    width: of most rows. Where the first row of that width is data, nothing is left out.
    """
    first = next(i for i, row in enumerate(rows) if len(row) == width)
    if not 0 < first <= LOOKED_AT or any(map(is_data, rows[first])) or len(rows[0]) > width:
        return rows, lines, ()
    title = " ".join(filter(None, rows[0]))[:60]
    note = f"Lines above the header left out: {first}, the first {title!r}."
    return rows[first:], lines[first:], (note,)


def column_names(rows: Rows, most: int) -> tuple[list[str], int, tuple[str, ...]]:
    """The names of the columns, the number of lines they stand on, and a note where it is not one.

    Lines below the first without a number or date belong to the header, as in exports of prices
    (Close, High; below them AAPL, AAPL; below them Date) and lines of units.
    """
    first = next((i for i, row in enumerate(rows[1:], 1) if any(map(is_data, row))), None)
    count = first if first is not None and first <= most else 1
    parts = [[" ".join(cell.split()) for cell in row] for row in rows[:count]]
    if count > 1 and len({len(row) for row in parts}) > 1:
        parts, count = parts[:1], 1
    if count == 1:
        return parts[0], 1, ()
    *upper, last = parts
    if len({*filter(None, last)}) < sum(map(bool, last)):  # merged cells above equal names
        upper = [_carried(row, last) for row in upper]
    alone = sum(map(bool, last)) == 1  # the name of the index alone
    names = []
    for i, below in enumerate(last):
        above = [row[i] for row in upper]
        used = [below] if alone and below else [*above, below]
        names.append(" ".join(dict.fromkeys(filter(None, used))))
    return names, count, (f"{count} lines of header are joined: {', '.join(names)[:80]}.",)


def _carried(row: list[str], below: list[str]) -> list[str]:
    """A row whose empty cells have the value to their left, where there is a name below."""
    result = []
    for cell, name in zip(row, below, strict=True):
        result.append(cell or (result[-1] if result and name else ""))
    return result
