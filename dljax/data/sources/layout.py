"""Which files of a folder are images of which class and which part of the data set."""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.image import SUFFIXES

TEST_SHARE = 0.2
LAYOUT = "a folder of images per class, directly or below train/ and test/"


class Part(NamedTuple):
    """The files of one part of a data set, and the index of each file's class."""

    files: list[Path]
    labels: list[int]


def list_parts(root: Path) -> tuple[dict[str, Part], tuple[str, ...], list[str]]:
    """Lists the images below train/ and test/, or splits the classes of a folder.

    Returns:
      (parts by name: 'train', 'test', perhaps 'validation'; class names; notes).

    Raises:
      ValueError: as `folder.image_folder`.
    """
    notes = []
    if any(entry.is_dir() for entry in _visible(root / "train")):
        folders = {"train": root / "train", "test": root / "test"}
        folders["validation"] = root / "val" if (root / "val").is_dir() else root / "validation"
        found = {name: _classes(path) for name, path in folders.items() if path.is_dir()}
        if "test" not in found and "validation" not in found:
            raise ValueError(f"{root} has train/ but no test/ and no val/: add one of them.")
        if "test" not in found:
            found["test"] = found.pop("validation")
            notes.append(f"{root} has no test/: its validation images serve as test set.")
    else:
        classes = _classes(root)
        found = {"train": {}, "test": {}}
        for name, files in classes.items():
            found["test"][name], found["train"][name] = split_by_hash(files, root)
        notes.append(
            f"{root} has no train/ and test/: a fifth of each class, by hash, is the test set."
        )

    classes = tuple(found["train"])
    if len(classes) < 2:
        raise ValueError(f"{root} has one class only ({classes[0]}): at least two are needed.")
    for part, files in found.items():
        strange = [name for name in files if name not in classes]
        if strange:
            raise ValueError(f"{root}: {part} has classes that train lacks: {some(strange)}.")
    parts = {
        part: Part(
            [file for files in by_class.values() for file in files],
            [classes.index(name) for name, files in by_class.items() for _ in files],
        )
        for part, by_class in found.items()
    }
    if not parts["test"].files:
        raise ValueError(f"{root} has one image per class, so none is left for the test set.")
    return parts, classes, notes


def image_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The image files at any depth of a folder, sorted, without hidden files and folders."""
    files = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        files += [
            Path(where, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    return sorted(files)


def some(names: list, count: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(str(name) for name in names[:count]) + more


def _visible(folder: Path) -> list[Path]:
    """Sorted entries of a folder that are not hidden; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """{class name: its image files}; every class has some."""
    classes = {path.name: image_files(path) for path in _visible(folder) if path.is_dir()}
    if not any(classes.values()):
        raise ValueError(
            f"There are no images in folders below {folder}: {LAYOUT} is expected, with files "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise ValueError(
            f"{folder} has class folders without images: {some(empty)}. Fill or remove them."
        )
    return classes


def split_by_hash(files: list[Path], root: Path) -> tuple[list[Path], list[Path]]:
    """(test, train): a fifth of the files, those with the smallest SHA-256 of the relative path."""

    def digest(file: Path) -> bytes:
        return hashlib.sha256(file.relative_to(root).as_posix().encode()).digest()

    count = min(max(1, round(TEST_SHARE * len(files))), len(files) - 1)
    test = set(sorted(files, key=digest)[:count])
    return [file for file in files if file in test], [file for file in files if file not in test]
