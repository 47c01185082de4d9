"""What people call the parts of a data set: train, Training, testing, valid, ..."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

SPELLINGS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
WORDS = {  # beginnings and whole words that make a longer name look like that of a part
    "train": (("train",), ("tr",)),
    "validation": (("valid",), ("val", "dev")),
    "test": (("test", "eval", "predict"), ("holdout", "heldout", "pred")),
}


def part_of(name: str) -> str | None:
    """'train', 'validation' or 'test' for a usual spelling of it, in any case."""
    name = name.lower()
    return next((part for part, words in SPELLINGS.items() if name in words), None)


def resembles_part(name: str) -> str | None:
    """The part that a name looks like, 'seg_train' or 'TestSet2', of which `part_of` is not sure.

    'terrain', 'latest' and 'contest' look like none.
    """
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())
    for part, (beginnings, whole) in WORDS.items():
        if any(word.startswith(beginnings) or word in whole for word in words):
            return part
    return None


def part_folders(root: Path) -> dict[str, Path]:
    """The folders of a folder that are named like parts.

    Raises ValueError where two are the same part ('val' and 'valid').
    """
    folders: dict[str, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        part = part_of(path.name) if path.is_dir() else None
        if part in folders:
            raise ValueError(
                f"{root} has {folders[part].name}/ and {path.name}/ for one part: keep one of them."
            )
        if part:
            folders[part] = path
    return folders


def scored_part(parts: Iterable[str]) -> str:
    """The part of a set that a trained network is scored on, of those that there are."""
    parts = set(parts)
    return next(part for part in ("test", "validation", "train") if part in parts)
