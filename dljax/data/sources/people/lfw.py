"""pairs.txt of Labeled Faces in the Wild: pairs of images in folds (Huang et al. 2007).

The first line has the number of folds and of pairs of either kind in each (of one fold, as in
pairsDevTest.txt, the latter alone). Each fold then has lines 'NAME I J', two images of one person,
and 'NAME I OTHER J', of two people. Image I of NAME is NAME/NAME_000I with any ending of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class FoldPairs(NamedTuple):
    """rows int [P, 2]: the two images; same bool [P]; fold int [P], from 0 on."""

    rows: np.ndarray
    same: np.ndarray
    fold: np.ndarray


def read(path: Path, files: Sequence[str], root: Path) -> FoldPairs:
    """The pairs of a file whose images are among `files`, below root.

    Raises ValueError, with the line, for one that is neither kind of pair or names a missing image.
    """
    number = {Path(name).relative_to(root).with_suffix("").as_posix(): i
              for i, name in enumerate(files)}  # fmt: skip
    lines = path.read_text(encoding="utf-8").splitlines()
    numbered = [(i, line.split()) for i, line in enumerate(lines, 1) if line.strip()]
    head = numbered[0][1] if numbered else []
    if len(head) not in (1, 2) or not all(x.isascii() and x.isdigit() for x in head):
        raise ValueError(
            f"{path} begins with the number of folds and of pairs of each kind in a fold, as LFW's "
            f"pairs.txt, not with {' '.join(head)[:60]!r}"
        )
    folds, each = (1, int(head[0])) if len(head) == 1 else map(int, head)
    body = numbered[1:]
    if not each or not folds or len(body) != 2 * each * folds:
        raise ValueError(
            f"{path} names {folds} folds of {each} pairs of each kind, {2 * each * folds} lines, "
            f"but has {len(body)}"
        )

    def image(line: int, name: str, index: str) -> int:
        if not (index.isascii() and index.isdigit()):
            raise ValueError(f"{path}, line {line}: {index!r} is no number of an image")
        key = f"{name}/{name}_{int(index):04d}"
        if key not in number:
            raise ValueError(f"{path}, line {line}: there is no readable image {root}/{key}")
        return number[key]

    rows, same = [], []
    for line, words in body:
        if len(words) not in (3, 4):
            raise ValueError(
                f"{path}, line {line}: a pair is NAME I J or NAME I OTHER J, with blanks between"
            )
        name, first, *rest = words
        other, second = rest if len(rest) == 2 else (name, rest[0])
        rows.append((image(line, name, first), image(line, other, second)))
        same.append(name == other)
    return FoldPairs(np.array(rows), np.array(same), np.repeat(np.arange(folds), 2 * each))
