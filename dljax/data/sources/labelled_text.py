"""Labelled texts from the values of `--dataset` in text classification.

    load_labelled("kjv_books")                  # embedded: which book a passage comes from
    load_labelled("reviews.csv", text="review", label="stars")
    load_labelled("mails/")                     # a folder of .txt files per class

What has no test part of its own loses a share of its texts to one, chosen by a hash of the text, so
that equal texts stay in one part.
"""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources import embedded_text
from dljax.data.sources.divided import HIDDEN, divide
from dljax.data.sources.layout import some
from dljax.data.sources.text import read

KINDS = (
    "'kjv_books', a .csv or .tsv file with a header, or a folder with a folder of .txt per class"
)
LARGEST_CELL = 2**31 - 1  # characters that a cell may have; csv's own limit is 131,072
SHORTEST, CHAPTERS = 200, 20  # of the embedded set: characters of a passage, chapters of a book


class Part(NamedTuple):
    """Texts, and the index of each one's class."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]


class Labelled(NamedTuple):
    """A set of labelled texts; every class occurs in train."""

    name: str
    train: Part
    test: Part
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def load_labelled(
    dataset: str, *, text: str = "text", label: str = "label", test: float = 0.2
) -> Labelled:
    """Reads labelled texts.

    text, label: columns of a table. test: share of the texts to test on, where there is no test
    part (folders train/ and test/, or train/ and val/, in any case and the usual words).
    Raises FileNotFoundError, ValueError: one line with file and place.
    """
    if dataset == "kjv_books":
        return _passages()
    path = Path(os.path.expanduser(dataset))
    found, notes = _rows(path, text, label)
    if len(found) > 1:
        if "test" not in found:
            found["test"] = found.pop("validation")
            notes += (f"{path} has no test part: its validation part serves as one",)
        return _labelled(path, found["train"], found["test"], notes)
    rows = found["train"]
    chosen = [_hash(content) < test for content, _ in rows]
    parts = [[row for row, x in zip(rows, chosen, strict=True) if x == part] for part in (0, 1)]
    return _labelled(path, *parts, (*notes, f"test part: {test:g} of the texts, by a hash of them"))


def to_score(
    dataset: str, classes: Sequence[str], *, text: str, label: str
) -> tuple[Part, tuple[str, ...]]:
    """(the texts to score by `classes`, notes): of a test part if there is one, or else all.

    Raises FileNotFoundError, ValueError: one line with file and place; for other classes too.
    """
    if dataset == "kjv_books":
        passages = _passages()
        labels = [passages.classes[i] for i in passages.test.labels]
        found, notes = {"test": list(zip(passages.test.texts, labels, strict=True))}, passages.notes
    else:
        found, notes = _rows(Path(os.path.expanduser(dataset)), text, label)
    part = next(name for name in ("test", "validation", "train") if name in found)
    rows = found[part]
    if strange := sorted({name for _, name in rows} - set(classes)):
        raise ValueError(
            f"{dataset} has the class {strange[0]!r}, which the run does not know: it knows "
            f"{', '.join(classes)[:200]}"
        )
    which = "all" if part == "train" else f"the {part} part:"
    notes += (f"{which} {len(rows)} texts are scored",)
    return Part(tuple(x for x, _ in rows), tuple(classes.index(name) for _, name in rows)), notes


def _rows(
    path: Path, text: str, label: str
) -> tuple[dict[str, list[tuple[str, str]]], tuple[str, ...]]:
    """({part: (text, class) of its texts}, notes) of a folder or a table; train if undivided.

    A validation part is read where there is no test part.
    """
    if path.is_dir():
        parts, notes = divide(path)
        if "test" in parts and "validation" in parts:
            unused = parts.pop("validation")
            count = len(_text_files(unused))
            notes += (f"not used: {unused.name}/ ({count} texts); --validation splits train/",)
        found = {part: _folder(folder) for part, folder in parts.items()}
        notes += tuple(note for _, more in found.values() for note in more)
        return {part: rows for part, (rows, _) in found.items()}, notes
    if path.exists():
        return {"train": _table(path, text, label)}, ()
    raise FileNotFoundError(f"There is no {path}: --dataset takes {KINDS}.")


def _labelled(
    path: Path,
    train: Sequence[tuple[str, str]],
    test: Sequence[tuple[str, str]],
    notes: tuple[str, ...],
) -> Labelled:
    """The set of rows (text, class)."""
    classes = tuple(sorted({name for _, name in train}))
    if len(classes) < 2 or not test:
        raise ValueError(
            f"{path} has {len(train)} texts of {len(classes)} classes to train on and {len(test)} "
            "to test on: there must be two classes and a text to test on at least."
        )
    strange = sorted({name for _, name in test} - set(classes))
    if strange:
        raise ValueError(f"{path}: the test part has classes that train lacks: {strange[0]}.")
    common = {text for text, _ in train} & {text for text, _ in test}
    if common:
        notes += (f"{len(common)} texts of the test part are in the training part too.",)
    parts = (
        Part(tuple(text for text, _ in rows), tuple(classes.index(name) for _, name in rows))
        for rows in (train, test)
    )
    return Labelled(path.resolve().stem, *parts, classes, notes)


def _folder(folder: Path) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """((text, class) of every .txt file below the folders of the classes, notes)."""
    rows, empty = [], []
    for part in sorted(folder.iterdir()):
        if part.is_dir() and not part.name.startswith(HIDDEN):
            files = _text_files(part)
            rows += [(read(file)[0], part.name) for file in files]
            empty += [] if files else [f"{part.name}/"]
    if not rows:
        raise ValueError(f"{folder} holds no folder of .txt files: --dataset takes {KINDS}.")
    notes = (f"{folder}: left out, without .txt files: {some(empty)}",)
    return rows, notes if empty else ()


def _text_files(folder: Path) -> list[Path]:
    """The .txt files at any depth, their ending in any case, sorted, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ".txt"
        and path.is_file()
        and not any(x.startswith(HIDDEN) for x in path.relative_to(folder).parts)
    )


@contextmanager
def _large_cells() -> Iterator[None]:
    """Lets csv read cells of any size; afterwards its limit is as before."""
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@_large_cells()
def _table(path: Path, text: str, label: str) -> list[tuple[str, str]]:
    """(text, class) of every row of a CSV, or of a TSV by its ending."""
    content, _ = read(path)
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    rows: list[tuple[str, str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        for name, flag in ((text, "text_column"), (label, "label_column")):
            if header.count(name) != 1:
                raise ValueError(
                    f"{path} has no single column {name!r}, but: {', '.join(header)[:200]}. "
                    f"--{flag} names another"
                )
        places = header.index(text), header.index(label)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} cells, the header has "
                    f"{len(header)}: put texts that hold the separator in double quotes"
                )
            found = row[places[0]], row[places[1]].strip()
            if not all(found):
                raise ValueError(f"{path}, line {reader.line_num}: an empty text or label")
            rows.append(found)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{path} has a header, but no rows below it")
    return rows


def texts_of(path: Path, column: str) -> list[str]:
    """The texts to classify in a file: a column of a .csv or .tsv, or all of another text file.

    Raises FileNotFoundError, ValueError: one line with file and place.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        return [row[0] for row in _table(path, column, column)]
    text, _ = read(path)
    if not text:
        raise ValueError(f"{path} is empty.")
    return [text]


def _passages() -> Labelled:
    """Passages of the King James Bible; the class is the book.

    Of the books with CHAPTERS or more chapters, every fifth of which is tested on. A passage is so
    many whole lines of one chapter that it has SHORTEST characters; the rest of a chapter is left
    out.
    """
    chapters = embedded_text.chapters()
    count: dict[str, int] = {}
    for chapter in chapters:
        count[chapter.book] = count.get(chapter.book, 0) + 1
    classes = tuple(book for book, n in count.items() if n >= CHAPTERS)
    parts: list[list[tuple[str, int]]] = [[], []]
    for chapter in chapters:
        if chapter.book not in classes:
            continue
        passage = ""
        for line in chapter.lines:
            passage += ("\n" if passage else "") + line
            if len(passage) >= SHORTEST:
                parts[chapter.number % 5 == 0].append((passage, classes.index(chapter.book)))
                passage = ""
    train, test = (Part(*zip(*rows, strict=True)) for rows in parts)
    notes = ("Passages of the books of the King James Bible; every fifth chapter is tested on.",)
    return Labelled("kjv_books", train, test, classes, notes)


def _hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return zlib.crc32(text.encode("utf-8", errors="surrogateescape")) / 2**32
