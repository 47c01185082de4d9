"""CSV files with the usual separators, encodings and decimal signs.

`read_table` returns the cells as text with the line of each row. Errors are one line that names
file, column and line.
"""

from __future__ import annotations

import collections
import csv
import difflib
import gzip
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources import header
from dljax.data.sources.header import is_data

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
DECIMALS = ("auto", "point", "comma")
MOST_HEADERS = 4  # lines of a header


class Table(NamedTuple):
    """The cells of a CSV.

    name: of the file, as messages call it. cells: column name -> text [rows], stripped, in the
    file's order. lines: int [rows], the line of the file that each row begins on. separator: the
    one it was split at. notes: lines for the user on how it was read. decimal: 'auto' (each column
    tells), 'point' or 'comma'. absent: words and numbers that stand for missing values, beyond the
    usual ones.
    """

    name: str
    cells: dict[str, np.ndarray]
    lines: np.ndarray
    separator: str = ","
    notes: tuple[str, ...] = ()
    decimal: str = "auto"
    absent: tuple[str, ...] = ()

    def column(self, name: str) -> np.ndarray:
        """The cells of a column; raises ValueError with near matches if there is none."""
        if name not in self.cells:
            near = difflib.get_close_matches(name, self.cells, n=3, cutoff=0.5)
            known = f"did you mean {' or '.join(near)}?" if near else "it has "
            known += "" if near else ", ".join(list(self.cells)[:20])
            raise ValueError(f"{self.name} has no column {name!r}: {known}")
        return self.cells[name]

    def rows(self, picked: np.ndarray) -> Table:
        """The table of some of the rows, int or bool."""
        cells = {name: column[picked] for name, column in self.cells.items()}
        return self._replace(cells=cells, lines=self.lines[picked])


def shown(cell: str) -> str:
    """A cell as messages show it: quoted, cut where it is long."""
    cell = str(cell)
    hint = " (a quote is not closed?)" if "\n" in cell else ""
    return repr(cell if len(cell) <= 40 else cell[:37] + "...") + hint


def read_table(
    path: str, decimal: str = "auto", absent: Sequence[str] = (), headers: int = MOST_HEADERS
) -> Table:
    """Reads a CSV with a header line; gzip is unpacked.

    Separators: comma, semicolon, tab, bar. Encodings: UTF-8 and UTF-16 with or without
    byte order marks, else Windows-1252. Comment lines (#) and lines of another width above the
    header are left out; header lines, those above the first number or date, are joined, `headers`
    of them at most. decimal, absent: of the `Table`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is empty, no text, has no header or no rows, or a row of another width.
    """
    if decimal not in DECIMALS:
        raise ValueError(f"decimal={decimal!r}: choose one of {', '.join(DECIMALS)}")
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if file.is_dir():
        raise ValueError(f"{path} is a folder: give a CSV file.")
    table = parse_table(file.read_bytes(), str(path), headers=headers)
    return table._replace(decimal=decimal, absent=tuple(absent))


def parse_table(
    content: bytes, name: str, columns: Sequence[str] = (), headers: int = MOST_HEADERS
) -> Table:
    """The `Table` in the content of a CSV file; see `read_table`.

    columns: the names of them, of a file that has no header.
    """
    text, notes = _text(content, name)
    if not text.strip():
        raise ValueError(f"{name} is empty.")
    separator, text, skipped = _stated_separator(text)
    separator = separator or _separator(text)
    rows, lines = _rows(text, separator, name, skipped)
    rows, lines, more = header.without_comments(rows, lines)
    notes += more
    if not rows:
        raise ValueError(f"{name} has comments and no rows.")
    above = "the header has"
    if columns:
        above = f"{', '.join(columns)} are"
    else:
        width = _usual_width(rows)
        rows, lines, more = header.from_header_on(rows, lines, width)
        notes += more
        columns, count, more = header.column_names(rows, headers)
        notes += more
        rows, lines = rows[count:], lines[count:]
    while columns and not columns[-1] and all(len(r) < len(columns) or not r[-1] for r in rows):
        columns, rows = columns[:-1], [row[: len(columns) - 1] for row in rows]
    _check_header(columns, name)
    if not rows:
        raise ValueError(f"{name} has a header and no rows.")
    _check_widths(rows, lines, len(columns), above, separator, name)
    cells = {
        key: np.array(column) for key, column in zip(columns, zip(*rows, strict=True), strict=True)
    }
    if separator != ",":
        notes += (f"{name} is separated by {SEPARATORS[separator]}.",)
    return Table(name, cells, np.array(lines), separator, notes)


def _rows(text: str, separator: str, name: str, skipped: int) -> tuple[list[list[str]], list[int]]:
    """The stripped cells of the rows that are not empty, and the line that each begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, lines, end = [], [], 0
    bare = _needs_no_stripping(text, separator)
    try:
        for row in reader:
            first, end = end + 1, reader.line_num
            if not bare:
                row = [cell.strip() for cell in row]
            if any(row):
                rows.append(row)
                lines.append(first + skipped)
    except csv.Error as error:
        raise ValueError(f"{name}, line {end + 1}: {error}.") from None
    return rows, lines


def _needs_no_stripping(text: str, separator: str) -> bool:
    """Whether no cell begins or ends with white space, which is quicker to tell of all at once."""
    blank = (f"{separator} ", f" {separator}", "\n ", " \n", " \r", '"', "\t", "\x0b", "\x0c")
    if not text.isascii() or text[:1] == " " or text[-1:] == " ":
        return False
    return not any(part in text for part in blank if part != separator)


def _usual_width(rows: list[list[str]]) -> int:
    return collections.Counter(map(len, rows)).most_common(1)[0][0]


def _check_widths(rows, lines, columns: int, above: str, separator, name) -> None:
    if set(map(len, rows)) == {columns}:
        return
    row, line = next(
        (row, line) for row, line in zip(rows, lines, strict=True) if len(row) != columns
    )
    hint = ""
    if separator == "," and len(row) > columns:
        hint = "; decimal commas need quotes or semicolons between the cells"
    raise ValueError(
        f"{name}, line {line}: {len(row)} cells where {above} {columns} "
        f"(separated by {SEPARATORS[separator]}){hint}."
    )


def _text(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The content as text, and notes on how it was read."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise ValueError(f"{name} can't be unpacked: {error}.") from None
    if content[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise ValueError(f"{name} is a workbook or an archive: save the sheet as CSV.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace"), ()
    try:
        text, notes = content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
        notes = (f"{name} is not UTF-8: read as Windows-1252.",)
    sample = text[:65536]
    odd = 0
    if not sample.translate({9: None, 10: None, 13: None}).isprintable():
        odd = sum(not (c.isprintable() or c.isspace() or c == "\x1a") for c in sample)
    if "\0" in sample or odd > 0.01 * len(sample) or sample.count("�") > 0.01 * len(sample):
        raise ValueError(f"{name} is no text file: a CSV is needed.")
    return text, notes


def _stated_separator(text: str) -> tuple[str, str, int]:
    """The separator of a first line sep=; as Excel writes it, the rest, and the lines before it."""
    first, end, rest = text.partition("\n")
    found = re.fullmatch(r'"?sep=(.)"?', first.strip(), re.IGNORECASE)
    if found and found[1] in SEPARATORS and end:
        return found[1], rest, 1
    return "", text, 0


def _separator(text: str) -> str:
    """The separator that splits the most of the first lines into the same number of cells."""
    sample = [line for line in text[:200_000].splitlines()[:50] if line.strip()]

    def agreement(separator: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in csv.reader(sample, delimiter=separator)]
        except csv.Error:
            return 0.0, 0
        width = max((w for w in set(widths) if w > 1), key=widths.count, default=1)
        return (widths.count(width) / len(widths) if width > 1 else 0.0, width)

    return max(SEPARATORS, key=agreement)


def _check_header(columns: list[str], name: str) -> None:
    if not all(columns) and columns[0]:
        raise ValueError(f"{name}: column {columns.index('') + 1} has no name in the header.")
    for column in columns:
        if columns.count(column) > 1:
            raise ValueError(f"{name} has two columns named {column!r}: rename one.")
    if all(is_data(cell) or re.match(r"\d", cell) for cell in columns):
        raise ValueError(
            f"{name} begins with {', '.join(columns)[:60]!r}, which is no header: "
            "add a first line of column names."
        )
