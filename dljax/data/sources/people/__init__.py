"""Images of people's faces, by person, from the values of `--dataset` of face recognition.

    load_faces("orl", Frame((56, 46)))             # embedded: 400 images of 40 people
    load_faces("photos/", Frame((56, 46)))         # a folder of images per person; LFW's layout
    load_faces("photos.csv", Frame((56, 46)))      # columns file and person

A folder with a pairs.txt (LFW's) has pairs in folds, which its own protocol scores.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources.folder import Images, read_files
from dljax.data.sources.image import Levels, resize
from dljax.data.sources.layout import by_ending, image_files, natural, other_files, some
from dljax.data.sources.people import lfw, orl
from dljax.data.sources.people.lfw import FoldPairs

KINDS = (
    "'orl', a folder with a folder of images per person (as LFW's, with its pairs.txt), or a .csv "
    "file with the columns file and person"
)


class Frame(NamedTuple):
    """How an image of any size becomes one of `size` (height, width).

    crop: the share of its height and width that is kept, about its centre (1: all). What is kept is
    cut to the aspect of `size`, about its centre too, and resized.
    """

    size: tuple[int, int]
    crop: float = 1.0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 [h, w, C] to uint8 [H, W, C]."""
        (height, width), (h, w) = self.size, image.shape[:2]
        scale = self.crop * min(h / height, w / width)
        rows, columns = (max(1, round(scale * side)) for side in self.size)
        top, left = (h - rows) // 2, (w - columns) // 2
        return resize(image[top : top + rows, left : left + columns], self.size)


class Faces(NamedTuple):
    """Images of known people, in the order of people and files.

    images: uint8 [N, H, W, C]. person: int32 [N], numbers of `people`. files: of the images. pairs:
    those of a pairs.txt. levels: of grey levels of more than 8 bits, what was scaled to 0..255.
    """

    name: str
    images: np.ndarray
    person: np.ndarray
    people: tuple[str, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    pairs: FoldPairs | None = None
    levels: Levels | None = None


def load_faces(
    dataset: str,
    frame: Frame,
    *,
    channels: int | None = None,
    levels: Levels | None = None,
    pairs: str = "",
) -> Faces:
    """Reads images of people into memory.

    channels: 1 or 3; None: 1 where all are grey. levels: see `read_images`. pairs: file of LFW's
    form; "": pairs.txt of the folder, where there is one. Raises FileNotFoundError, ValueError: one
    line that says what is wrong and what to do.
    """
    if dataset == "orl":
        if pairs:
            raise ValueError("--pairs goes with a folder in LFW's layout, not with orl")
        images, person, names, note = orl.load()
        framed = np.stack([frame(image) for image in images])
        if channels == 3:
            framed = np.repeat(framed, 3, -1)
        people = tuple(dict.fromkeys(name.split("/")[0] for name in names))
        return Faces("orl", framed, person, people, names, (note,))
    path = Path(os.path.expanduser(dataset))
    if path.is_dir():
        return _folder(path, frame, channels, levels, pairs)
    if path.suffix.lower() == ".csv" and path.is_file():
        if pairs:
            raise ValueError("--pairs goes with a folder in LFW's layout, not with a table")
        return _table(path, frame, channels, levels)
    if path.exists():
        raise ValueError(f"{dataset} is a file that is not read here: faces come from {KINDS}.")
    raise FileNotFoundError(f"There is no {dataset}: faces come from {KINDS}.")


def _folder(
    root: Path, frame: Frame, channels: int | None, levels: Levels | None, pairs: str
) -> Faces:
    """A folder per person, images at any depth below it."""
    found = sorted(image_files(root), key=natural)
    loose = [file for file in found if file.parent == root]
    files = [file for file in found if file.parent != root]
    if not files:
        more = f" There are {len(loose)} images beside each other." if loose else ""
        raise ValueError(f"{root} has no folder of images per person.{more}")
    left_out = []
    if loose:
        names = some([x.name for x in loose])
        left_out.append(f"left out, in no person's folder: {len(loose)} images ({names})")
    listed = [Path(pairs).expanduser()] if pairs else [root / "pairs.txt"]
    if pairs and not listed[0].is_file():
        raise FileNotFoundError(f"There is no file of pairs {pairs}.")
    others = [file for file in other_files(root) if file not in listed]
    if others:
        left_out.append(f"left out, no images that are read: {by_ending(others)}")
    who = [file.relative_to(root).parts[0] for file in files]
    faces = _read(str(root), files, who, frame, channels, levels, left_out)
    if listed[0].is_file():
        return faces._replace(pairs=lfw.read(listed[0], faces.files, root))
    return faces


def _table(path: Path, frame: Frame, channels: int | None, levels: Levels | None) -> Faces:
    """A CSV with the columns file (relative to it, or absolute) and person."""
    with open(path, newline="", encoding="utf-8-sig") as opened:
        try:
            rows = list(csv.DictReader(opened))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no table of text in UTF-8 ({error})") from None
    if not rows or not {"file", "person"} <= set(rows[0]):
        have = ", ".join(filter(None, rows[0])) if rows else "none"
        raise ValueError(f"{path} needs rows and the columns file and person; it has {have}")
    files, who, seen = [], [], {}
    for line, row in enumerate(rows, 2):
        name, person = (row["file"] or "").strip(), (row["person"] or "").strip()
        if not name or not person:
            raise ValueError(f"{path}, line {line}: file and person must not be empty")
        file = path.parent / name
        if not file.is_file():
            raise FileNotFoundError(f"{path}, line {line}: there is no file {file}")
        if file in seen:
            raise ValueError(f"{path}, line {line}: {name} stands in line {seen[file]} too")
        seen[file] = line
        files.append(file)
        who.append(person)
    return _read(str(path), files, who, frame, channels, levels, [])


def _read(
    root: str,
    files: Sequence[Path],
    who: Sequence[str],
    frame: Frame,
    channels: int | None,
    levels: Levels | None,
    left_out: Sequence[str],
) -> Faces:
    """The faces in files of these people, in the order of people, then of files."""
    order = sorted(range(len(files)), key=lambda i: (natural(who[i]), natural(files[i])))
    owner = {str(files[i]): who[i] for i in order}
    images: Images = read_files(
        root, [files[i] for i in order], channels=channels, cut=frame, levels=levels
    )
    people = tuple(dict.fromkeys(owner[name] for name in images.names))
    number = {name: index for index, name in enumerate(people)}
    gone = [name for name in dict.fromkeys(owner.values()) if name not in number]
    notes = [f"skipped: {line}" for line in images.skipped]
    notes += [f"without a readable image: {some(gone)}"] if gone else []
    person = np.array([number[owner[name]] for name in images.names], np.int32)
    return Faces(
        root,
        images.images,
        person,
        people,
        images.names,
        (*notes, *images.notes),
        tuple(left_out),
        levels=images.levels,
    )
