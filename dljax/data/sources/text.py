"""Texts from the values of `--dataset` in language modelling.

    load_text("kjv")                     # embedded: the King James Bible
    load_text("novel.txt")               # one text
    load_text("texts/")                  # a folder: each .txt or .md in it is a document
    load_text("posts.jsonl")             # a document a line: {"text": "..."} or "..."

Text is taken as it is: no line end, space or letter is changed. It must be UTF-8 (or UTF-16 with a
byte order mark); with `raw`, any bytes will do.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources import embedded_text

ENDINGS = (".txt", ".md")
KINDS = "'kjv', a text file, a folder of .txt files or a .jsonl file"
BOM = b"\xef\xbb\xbf"


class Text(NamedTuple):
    """Documents in order. notes: lines for the user, how they were read.

    Bytes that are no UTF-8, which `raw` alone lets in, are surrogates (as of surrogateescape).
    """

    name: str
    documents: tuple[str, ...]
    notes: tuple[str, ...] = ()


def load_text(dataset: str, *, column: str = "text", raw: bool = False) -> Text:
    """Reads a text.

    column: the field of a .jsonl file's objects that holds the text. raw: read bytes as they are, a
    byte order mark included.
    Raises FileNotFoundError, ValueError: one line with file and place.
    """
    if dataset == "kjv":
        documents = tuple(embedded_text.books().values())
        return Text("kjv", documents, ("The King James Bible; a book is a document.",))
    path = Path(os.path.expanduser(dataset))
    if path.is_dir():
        return _folder(path, raw)
    if not path.exists():
        raise FileNotFoundError(f"There is no {dataset}: --dataset takes {KINDS}.")
    if path.suffix.lower() in (".csv", ".tsv"):
        raise ValueError(f"{path} is a table: text_classification reads those. Here: {KINDS}.")
    if path.suffix.lower() == ".jsonl":
        return _lines(path, column)
    text, notes = read(path, raw, by_bytes=True)
    if not text:
        raise ValueError(f"{path} is empty.")
    return Text(path.stem, (text,), notes)


def read(path: Path, raw: bool = False, by_bytes: bool = False) -> tuple[str, tuple[str, ...]]:
    """The text of a file and notes on how it was read; errors as of `load_text`.

    by_bytes: whether --tokens=bytes would read it too, which the error then says.
    """
    content = path.read_bytes()
    if raw:
        return content.decode("utf-8", errors="surrogateescape"), ()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding, notes = "utf-16", (f"{path.name} is UTF-16.",)
    elif content.startswith(BOM):
        encoding, notes = "utf-8-sig", (f"{path.name}: its byte order mark was left out.",)
    else:
        encoding, notes = "utf-8", ()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        more = ", or read its bytes with --tokens=bytes" if by_bytes else ""
        raise ValueError(
            f"{path} is not {encoding.removesuffix('-sig').upper()} at byte {error.start} "
            f"({content[error.start]:#04x}): convert it (iconv -f WINDOWS-1252 -t UTF-8){more}"
        ) from None
    if "\0" in text:
        raise ValueError(f"{path} has a zero character at {text.index(chr(0))}: it is no text.")
    return text, notes


def half_pair(text: str) -> str:
    """What is wrong where JSON's \\uXXXX gave half of a pair of surrogates; '' where none did."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"\\u{ord(text[error.start]):04x}"
        return f"{code} at character {error.start} is half of a character: it is no text"
    return ""


def _folder(folder: Path, raw: bool) -> Text:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise ValueError(f"{folder} holds no {' or '.join(ENDINGS)} file: --dataset takes {KINDS}.")
    found, notes = zip(*(read(path, raw, by_bytes=True) for path in files), strict=True)
    documents = tuple(text for text in found if text)
    if not documents:
        raise ValueError(f"All texts in {folder} are empty.")
    lines = [line for note in notes for line in note]
    if len(documents) < len(found):
        lines.append(f"{len(found) - len(documents)} empty files were left out.")
    return Text(folder.resolve().name, documents, tuple(lines))


def _lines(path: Path, column: str) -> Text:
    text, notes = read(path)
    documents = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: no JSON: {error}") from None
        found = entry.get(column) if isinstance(entry, dict) else entry
        if not isinstance(found, str):
            fields = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
            raise ValueError(
                f"{path}, line {number}: no text in the field {column!r}, but there is: {fields}. "
                "--text_column names another"
            )
        if half := half_pair(found):
            raise ValueError(f"{path}, line {number}: {half}")
        if found:
            documents.append(found)
    if not documents:
        raise ValueError(f"{path} holds no text.")
    return Text(path.stem, tuple(documents), notes)
