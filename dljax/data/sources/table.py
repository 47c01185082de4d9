"""CSV files with the usual separators, encodings and decimal signs.

`read_table` returns the cells as text with the line of each row; `numbers` reads a column as
numbers. Errors are one line that names file, column and line.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

MISSING = frozenset(
    (*("", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "missing"), *("?", "-", "--", "."))
)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*)(,\d+)?(e[+-]?\d+)?", re.IGNORECASE)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


class Table(NamedTuple):
    """The cells of a CSV.

    name: of the file, as messages call it. cells: column name -> text [rows], stripped, in the
    file's order. lines: int [rows], the line of the file that each row begins on. separator: the
    one it was split at. notes: lines for the user on how it was read.
    """

    name: str
    cells: dict[str, np.ndarray]
    lines: np.ndarray
    separator: str = ","
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> np.ndarray:
        """The cells of a column; raises ValueError with near matches if there is none."""
        if name not in self.cells:
            near = difflib.get_close_matches(name, self.cells, n=3, cutoff=0.5)
            known = f"did you mean {' or '.join(near)}?" if near else "it has "
            known += "" if near else ", ".join(list(self.cells)[:20])
            raise ValueError(f"{self.name} has no column {name!r}: {known}")
        return self.cells[name]


def read_table(path: str) -> Table:
    """Reads a CSV with a header line; gzip is unpacked.

    Separators: comma, semicolon, tab, bar. Encodings: UTF-8 and UTF-16 with or without
    byte order marks, else Windows-1252.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is empty, no text, has no header or no rows, or a row of another width.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if file.is_dir():
        raise ValueError(f"{path} is a folder: give a CSV file.")
    return parse_table(file.read_bytes(), str(path))


def parse_table(content: bytes, name: str) -> Table:
    """The `Table` in the content of a CSV file; see `read_table`."""
    text, notes = _text(content, name)
    if not text.strip():
        raise ValueError(f"{name} is empty.")
    separator = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, lines, end = [], [], 0
    try:
        for row in reader:
            first, end = end + 1, reader.line_num
            row = [cell.strip() for cell in row]
            if any(row):
                rows.append(row)
                lines.append(first)
    except csv.Error as error:
        raise ValueError(f"{name}, line {end + 1}: {error}.") from None
    header, rows, lines = rows[0], rows[1:], lines[1:]
    header = [" ".join(cell.split()) for cell in header]  # a sheet's headings may run over lines
    while header and not header[-1] and all(len(row) < len(header) or not row[-1] for row in rows):
        header, rows = header[:-1], [row[: len(header) - 1] for row in rows]
    _check_header(header, name)
    if not rows:
        raise ValueError(f"{name} has a header and no rows.")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise ValueError(
                f"{name}, line {line}: {len(row)} cells where the header has {len(header)} "
                f"(separated by {SEPARATORS[separator]})."
            )
    cells = {
        key: np.array(column) for key, column in zip(header, zip(*rows, strict=True), strict=True)
    }
    if separator != ",":
        notes += (f"{name} is separated by {SEPARATORS[separator]}.",)
    return Table(name, cells, np.array(lines), separator, notes)


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
    odd = sum(not c.isprintable() and c not in "\r\n\t\x0b\x0c\x1a" for c in sample)
    if "\0" in sample or odd > 0.01 * len(sample) or sample.count("�") > 0.01 * len(sample):
        raise ValueError(f"{name} is no text file: a CSV is needed.")
    return text, notes


def _separator(text: str) -> str:
    """The separator that splits the most of the first lines into the same number of cells."""
    sample = [line for line in text.splitlines()[:50] if line.strip()]

    def agreement(separator: str) -> tuple[float, int]:
        widths = [len(row) for row in csv.reader(sample, delimiter=separator)]
        return (widths.count(widths[0]) / len(widths) if widths[0] > 1 else 0.0, widths[0])

    return max(SEPARATORS, key=agreement)


def _check_header(header: list[str], name: str) -> None:
    if not all(header) and header[0]:
        raise ValueError(f"{name}: column {header.index('') + 1} has no name in the header.")
    for column in header:
        if header.count(column) > 1:
            raise ValueError(f"{name} has two columns named {column!r}: rename one.")
    if all(_number(cell) or re.match(r"\d", cell) for cell in header):
        raise ValueError(
            f"{name} begins with {', '.join(header)[:60]!r}, which is no header: "
            "add a first line of column names."
        )


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def missing(cells: np.ndarray) -> np.ndarray:
    """Which cells are missing values: empty, NA, NaN, null, ? and the like; bool [rows]."""
    words, inverse = np.unique(cells, return_inverse=True)
    return np.array([word.lower() in MISSING for word in words])[inverse]


def numbers(table: Table, column: str) -> np.ndarray:
    """A column as float64 [rows], NaN where a value is missing.

    In a file that is not separated by commas a comma is the decimal sign (1.234,5 is 1234.5); in
    one that is, it separates thousands ("1,234.5").

    Raises:
      ValueError: no such column, a cell that is no number, or an infinite one.
    """
    cells = table.column(column)
    absent = missing(cells)
    plain = np.where(absent, "nan", cells)
    if any("," in cell for cell in plain):
        plain = np.array([_point(cell, table.separator) for cell in plain])
    try:
        values = plain.astype(np.float64)
    except ValueError:
        bad = next(i for i, cell in enumerate(plain) if not _number(cell))
        raise ValueError(
            f"{table.name}, line {table.lines[bad]}: column {column} has {str(cells[bad])!r}, "
            "which is no number."
        ) from None
    infinite = np.isinf(values)
    if infinite.any():
        first = int(infinite.argmax())
        raise ValueError(
            f"{table.name}, line {table.lines[first]}: column {column} is infinite "
            f"({infinite.sum()} in all): write a number, or leave the cell empty."
        )
    return values


def _point(cell: str, separator: str) -> str:
    """A number in Python's notation, from one with the decimal sign and separators of its file."""
    if separator != "," and DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(".", "").replace(",", ".")
    return cell.replace(",", "") if THOUSANDS.fullmatch(cell) else cell


def is_numeric(table: Table, column: str) -> bool:
    """Whether at least 90 % of a sample of the cells are numbers."""
    cells = table.column(column)
    cells = cells[~missing(cells)]
    cells = cells[:: len(cells) // 1000 + 1]
    if not len(cells):
        return False
    return np.mean([_number(_point(cell, table.separator)) for cell in cells]) >= 0.9
