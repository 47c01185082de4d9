"""A CSV that names image files and what is to be told of each: `file,label`.

    file,label            file,label            file,cat,dog           file,label
    a.jpg,cat             a.jpg,cat|dog         a.jpg,1,1              a.jpg,3.7
    b.jpg,dog             b.jpg,dog             b.jpg,0,1              b.jpg,0.2

One class an image, several labels an image in one column or in a column each, or a number. A column
`split` (train, val, test in their usual spellings) divides the set.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources import notation, table
from dljax.data.sources.dataset import CLASSIFICATION, MULTI_LABEL, REGRESSION
from dljax.data.sources.image import SUFFIXES
from dljax.data.sources.layout import Listing, Part, natural, some, split_by_hash
from dljax.data.sources.number_cells import is_number
from dljax.data.sources.part_names import part_of, scored_part
from dljax.data.sources.table import Table, shown

FILE = (
    "file", "filename", "file_name", "path", "filepath", "file_path", "image", "image_path", "img",
    "image_id", "id",
)  # fmt: skip
LABEL = ("label", "labels", "class", "category", "target", "tags")
SPLIT = ("split", "part", "subset", "partition")
SEPARATOR = "|"
INDICATORS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


class Columns(NamedTuple):
    """Which columns of a table are read, and what they mean.

    file, label: their names; "" and (): found by the usual names. Several columns of labels hold 0
    and 1. folder: of the files; "": that of the table. problem: classification, multi_label,
    regression, or auto, which takes cells with '|' and several columns for several labels and
    everything else for classes. scored: nothing is trained, so the test part alone is wanted: the
    rows for test, else for validation, else all rows; `Dataset.train` is the same.
    """

    file: str = ""
    label: tuple[str, ...] = ()
    folder: str = ""
    problem: str = CLASSIFICATION
    scored: bool = False


def list_table(path: str, columns: Columns) -> tuple[Listing, Path]:
    """The images of a table in their parts, and the folder that their names are relative to.

    Without a column `split` a fifth, by a hash of the name, of each class if there are classes, is
    the test part. Labels are class indices, or rows of 0 and 1, or numbers.

    Raises:
      FileNotFoundError, ValueError: one line with the column or the line of the file: a column that
        is not there or could be several, a file that is absent or named twice, an empty or
        unreadable label, a part or a class that train lacks.
    """
    read = table.read_table(path, headers=1)  # the cells below may be words alone
    file, label = _columns(read, columns)
    root = Path(columns.folder or os.path.dirname(path) or ".").expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"--images: there is no folder {columns.folder}.")
    files = _files(read, read.column(file), root)
    problem, labels, classes, note = _labels(read, label, columns.problem)
    notes = [*read.notes, *note]
    each = _named_parts(read)
    if columns.scored:
        part = scored_part(each)
        notes.append(f"{path}: {each.count(part)} of {len(each)} images are scored.")
        chosen = Part(*_chosen(files, labels, each, part))
        return Listing({"train": chosen, "test": chosen}, classes, notes, [], problem), root
    if set(each) == {"train"}:
        each = _hashed_parts(read, files, labels, root, problem)
        whole = "of each class" if problem == CLASSIFICATION else "of the images"
        notes.append(
            f"{path} names no test part (column split): a fifth {whole}, by hash, is the test set."
        )
    elif "test" not in each:
        each = ["test" if x == "validation" else x for x in each]
        notes.append(f"{path} has no test part: its validation images serve as one.")
    if "train" not in each:
        raise ValueError(f"{path} has no row for train: there is nothing to train on.")
    parts = {
        part: Part(*_chosen(files, labels, each, part))
        for part in ("train", "test", "validation")
        if part in each
    }
    others = [x for x in read.cells if x not in (file, *label) and x.lower() not in SPLIT]
    left_out = [f"columns that are not used: {some(others)}"] if others else []
    if problem == CLASSIFICATION:
        _check_classes(read.name, parts, classes)
    return Listing(parts, classes, notes, left_out, problem), root


def _columns(read: Table, columns: Columns) -> tuple[str, tuple[str, ...]]:
    """The column of the files, and those of the labels."""
    if columns.file:
        read.column(columns.file)
    file = columns.file or _usual(read, FILE, "the image files", "file_column", columns.label)
    for name in columns.label:
        read.column(name)
    if file in columns.label or len(set(columns.label)) < len(columns.label):
        raise ValueError(f"{read.name}: --label_column names a column twice, or that of the files.")
    return file, columns.label or (_usual(read, LABEL, "the label", "label_column", (file,)),)


def _usual(read: Table, names: Sequence[str], what: str, flag: str, taken: Sequence[str]) -> str:
    """The only column with one of the usual names."""
    found = [x for x in read.cells if x.lower() in names and x not in taken]
    if len(found) != 1:
        which = f"no column is called {names[0]}: which one holds {what}"
        if found:
            which = f"each of {', '.join(found)} may be {what}"
        have = ", ".join(list(read.cells)[:20])
        raise ValueError(f"{read.name}: {which}; it has {have}. --{flag}=NAME says which.")
    return found[0]


def _files(read: Table, names: np.ndarray, root: Path) -> list[Path]:
    """The file of each row; the ending may be left out where all leave it out."""
    files, seen, missing = [], {}, []
    for name, line in zip(names.tolist(), read.lines.tolist(), strict=True):
        if not name:
            raise ValueError(f"{read.name}, line {line}: the name of the file is empty.")
        file = root / name
        if not file.is_file() and file.suffix.lower() not in SUFFIXES:
            ends = [x for x in sorted(SUFFIXES) if Path(f"{file}{x}").is_file()]
            if len(ends) > 1:
                raise ValueError(
                    f"{read.name}, line {line}: {name} may be {some([name + x for x in ends])}: "
                    "write the ending."
                )
            file = Path(f"{file}{ends[0]}") if ends else file
        if not file.is_file():
            missing.append(f"{name} in line {line}")
        key = os.path.normpath(file)
        if key in seen:
            raise ValueError(
                f"{read.name}, line {line}: {name} stands in line {seen[key]} too: an image has "
                "one row."
            )
        seen[key] = line
        files.append(file)
    if missing:
        raise FileNotFoundError(
            f"{read.name}: {len(missing)} of {len(files)} files are not in {root}: "
            f"{some(missing)}. --images=FOLDER says where they are."
        )
    return files


def _labels(
    read: Table, columns: tuple[str, ...], problem: str
) -> tuple[str, np.ndarray, tuple[str, ...], list[str]]:
    """What is to be told, the labels [rows, ...], the names of classes or labels, and notes."""
    for column in columns:
        empty = np.flatnonzero(read.column(column) == "")
        if len(empty):
            raise ValueError(
                f"{read.name}, line {read.lines[empty[0]]}: {column} is empty"
                f"{f', and so in {len(empty) - 1} more lines' if len(empty) > 1 else ''}: write a "
                "label, or delete the row."
            )
    if len(columns) > 1:
        if problem not in ("auto", MULTI_LABEL):
            raise ValueError(
                f"{read.name}: several columns of labels are for --problem=multi_label, not for "
                f"{problem}."
            )
        return MULTI_LABEL, _indicators(read, columns), columns, []
    (column,) = columns
    cells = read.column(column)
    divided = [x for x in cells.tolist() if SEPARATOR in x]
    if problem == REGRESSION:
        values, notes = _numbers(read, column)
        return REGRESSION, values, (column,), notes
    if problem == MULTI_LABEL:
        return MULTI_LABEL, *_divided(cells), []
    if problem == "auto" and divided:
        note = (
            f"{read.name}: {column} holds {shown(divided[0])}: several labels an image, divided at "
            f"{SEPARATOR}; --problem=classification takes each cell for a class."
        )
        return MULTI_LABEL, *_divided(cells), [note]
    measured = [x for x in cells.tolist() if is_number(x) and not x.isdigit()]
    if problem == "auto" and measured:
        raise ValueError(
            f"{read.name}: {column} holds numbers like {measured[0]}: --problem=regression "
            "predicts them, --problem=classification takes each for a class."
        )
    classes = tuple(sorted(set(cells.tolist()), key=natural))
    number = {name: index for index, name in enumerate(classes)}
    note = (
        [f"{read.name}: {shown(divided[0])} in {column} is taken for a class."] if divided else []
    )
    return CLASSIFICATION, np.array([number[x] for x in cells.tolist()]), classes, note


def _indicators(read: Table, columns: Sequence[str]) -> np.ndarray:
    """int [rows, K] of columns that hold 0 and 1."""
    found = np.empty((len(read.lines), len(columns)), int)
    for k, column in enumerate(columns):
        for i, cell in enumerate(read.column(column).tolist()):
            if cell not in INDICATORS:
                raise ValueError(
                    f"{read.name}, line {read.lines[i]}: {column} is {shown(cell)}; a column of "
                    "several holds 0 or 1."
                )
            found[i, k] = INDICATORS[cell]
    return found


def _divided(cells: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """int [rows, K] and the names of the labels, of cells like a|b."""
    rows = [{x.strip() for x in cell.split(SEPARATOR)} - {""} for cell in cells.tolist()]
    classes = tuple(sorted(set().union(*rows), key=natural))
    return np.array([[int(name in row) for name in classes] for row in rows]), classes


def _numbers(read: Table, column: str) -> tuple[np.ndarray, list[str]]:
    """float [rows], and notes. Between commas a decimal comma can't be meant."""
    if read.separator == ",":
        read = read._replace(decimal="point")
    values, notes = notation.numbers(read, column)
    unknown = np.flatnonzero(np.isnan(values))
    if len(unknown):
        cell, line = read.column(column)[unknown[0]], read.lines[unknown[0]]
        raise ValueError(
            f"{read.name}, line {line}: {column} is {shown(cell)}, which is no number."
        )
    return values, list(notes)


def _named_parts(read: Table) -> list[str]:
    """The part of each row by the column `split`; all for train where there is none."""
    named = [x for x in read.cells if x.lower() in SPLIT]
    if len(named) > 1:
        raise ValueError(f"{read.name}: each of {', '.join(named)} may divide the set: keep one.")
    if not named:
        return ["train"] * len(read.lines)
    each = []
    for cell, line in zip(read.column(named[0]).tolist(), read.lines, strict=True):
        if (part := part_of(cell)) is None:
            raise ValueError(
                f"{read.name}, line {line}: {named[0]} is {shown(cell)}, which is none of train, "
                "val and test."
            )
        each.append(part)
    return each


def _hashed_parts(
    read: Table, files: list[Path], labels: np.ndarray, root: Path, problem: str
) -> list[str]:
    """A fifth of the files, of each class if there are classes, for test."""
    groups = labels if problem == CLASSIFICATION else np.zeros(len(files))
    test: set[Path] = set()
    for group in np.unique(groups):
        members = [file for file, x in zip(files, groups, strict=True) if x == group]
        test |= set(split_by_hash(members, root)[0])
    if not test:
        raise ValueError(f"{read.name} has too few images for a test part.")
    return ["test" if file in test else "train" for file in files]


def _chosen(
    files: list[Path], labels: np.ndarray, each: list[str], part: str
) -> tuple[list[Path], np.ndarray]:
    """The files and labels of a part."""
    rows = [i for i, x in enumerate(each) if x == part]
    return [files[i] for i in rows], labels[rows]


def _check_classes(name: str, parts: dict[str, Part], classes: tuple[str, ...]) -> None:
    """Refuses one class alone, and a class that train lacks."""
    if len(classes) < 2:
        raise ValueError(f"{name} has one class only ({classes[0]}): two are needed.")
    for part, (_, labels) in parts.items():
        strange = set(np.unique(labels)) - set(np.unique(parts["train"].labels))
        if strange:
            names = some([classes[i] for i in sorted(strange)])
            raise ValueError(f"{name}: {part} has classes that train lacks: {names}.")
