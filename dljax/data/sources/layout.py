"""Which files of a folder are images of which class and which part of the data set."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.image import CONVERTERS, SUFFIXES
from dljax.data.sources.part_names import part_folders, part_of, resembles_part

TEST_SHARE = 0.2
LAYOUT = "a folder of images per class, directly or below train/ and test/"
SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini")  # of Windows, as hidden as others' are


class Part(NamedTuple):
    """The files of one part of a data set, and the label of each: of classes their index."""

    files: list[Path]
    labels: Sequence


class Listing(NamedTuple):
    """What a folder holds.

    parts: by name: 'train', 'test', perhaps 'validation'. notes: lines about what was taken for
    what. left_out: lines, what was not read and why. problem: as of `Dataset`.
    """

    parts: dict[str, Part]
    classes: tuple[str, ...]
    notes: list[str]
    left_out: list[str]
    problem: str = "classification"


class _Classes(NamedTuple):
    """files: of each class. loose: images beside the folders. others: files that are not read.

    folders: of each class, those in it that hold images; "" for its own.
    """

    files: dict[str, list[Path]]
    loose: list[Path]
    others: list[Path]
    folders: dict[str, set[str]]


def list_parts(root: Path) -> Listing:
    """Lists the images below train/ and test/, or splits the classes of a folder.

    Folders of parts have their names in any case and in the usual words (`part_names`).

    Raises:
      ValueError: as `folder.image_folder`.
    """
    notes, left_out = [], []
    folders = part_folders(root)
    divided = any(path.is_dir() for path in _visible(folders.get("train", root / "train")))
    if divided:
        found = {part: _classes(folders[part]) for part in ("train", "test", "validation")
                 if part in folders}  # fmt: skip
        if "test" not in found and "validation" not in found:
            name = folders["train"].name
            raise ValueError(f"{root} has {name}/ but no test/ and no val/: add one of them.")
        left_out += _unused(root, [folders[part] for part in found])
        if "test" not in found:
            found["test"] = found.pop("validation")
            notes.append(f"{root} has no test/: its validation images serve as test set.")
    else:
        whole = _classes(root)
        _check_names(root, whole.folders, notes)
        found = {"train": whole._replace(files={}), "test": _Classes({}, [], [], {})}
        for name, files in whole.files.items():
            held, rest = split_by_hash(files, root)
            found["test"].files[name], found["train"].files[name] = held, rest
        notes.append(
            f"{root} has no train/ and test/: a fifth of each class, by hash, is the test set."
        )

    classes = tuple(found["train"].files)
    if len(classes) < 2:
        inside = _visible((folders["train"] if divided else root) / classes[0])
        names = [f"{path.name}/" for path in inside if path.is_dir()]
        hint = f" It holds {some(names)}: if these are the classes, name it." if names else ""
        raise ValueError(f"{root} has one class only ({classes[0]}): two are needed.{hint}")
    folded = {name.casefold(): name for name in classes}
    for part, by_class in found.items():
        strange = [name for name in by_class.files if name not in classes]
        if strange:
            alike = folded.get(strange[0].casefold())
            hint = f" (train has {alike})" if alike else ""
            raise ValueError(f"{root}: {part} has classes that train lacks: {some(strange)}{hint}.")
    parts = {
        part: Part(
            [file for files in by_class.files.values() for file in files],
            [classes.index(name) for name, files in by_class.files.items() for _ in files],
        )
        for part, by_class in found.items()
    }
    if not parts["test"].files:
        raise ValueError(f"{root} has one image per class, so none is left for the test set.")
    loose = [file for by_class in found.values() for file in by_class.loose]
    if loose:
        names = some([file.relative_to(root) for file in loose])
        left_out.append(f"left out, in no class's folder: {len(loose)} images ({names})")
    others = [file for by_class in found.values() for file in by_class.others]
    if others:
        left_out.append(f"left out, no images that are read: {by_ending(others)}")
    return Listing(parts, classes, notes, left_out)


def image_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The image files at any depth of a folder, sorted, without hidden files and folders."""
    return sorted(_walk(folder, suffixes).images)


def other_files(folder: Path) -> list[Path]:
    """The other files at any depth of a folder, hidden ones left out."""
    return _walk(folder).others


def natural(path: Path | str) -> tuple:
    """The key that sorts paths as people count: frame2 before frame10."""
    parts = Path(path).parts
    return (
        tuple(
            tuple((int(x), "") if x.isascii() and x.isdigit() else (-1, x) for x in pieces if x)
            for pieces in (re.split("([0-9]+)", part) for part in parts)
        ),
        parts,
    )


def by_ending(files: Iterable[Path]) -> str:
    """How many files there are of each ending, and what reads images that are not read here."""
    endings = Counter(_ending(file) for file in files)
    texts = [
        f"{count} {name or 'without ending'}"
        + (f" ({CONVERTERS[name]} reads them: convert to PNG)" if name in CONVERTERS else "")
        for name, count in endings.most_common()
    ]
    return some(texts, 10)


def some(names: list, count: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(str(name) for name in names[:count]) + more


def _ending(file: Path) -> str:
    two = "".join(file.suffixes[-2:]).lower()
    return two if two in CONVERTERS else file.suffix.lower()


class _Found(NamedTuple):
    """At any depth of a folder, none hidden: images, other files, and its folders with images."""

    images: list[Path]
    others: list[Path]
    folders: set[str]  # "" for the folder itself


def _walk(folder: Path, suffixes: Collection[str] = SUFFIXES) -> _Found:
    found = _Found([], [], set())
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        before = len(found.images)
        for name in names:
            if name.startswith(".") or name.lower() in SYSTEM:
                continue
            image = os.path.splitext(name)[1].lower() in suffixes
            (found.images if image else found.others).append(Path(where, name))
        if len(found.images) > before:
            below = os.path.relpath(where, folder)
            found.folders.add("" if below == "." else below.split(os.sep)[0])
    return found


def _visible(folder: Path) -> list[Path]:
    """Sorted entries of a folder that are not hidden; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))


def _classes(folder: Path) -> _Classes:
    """The classes of a folder; every class has some images."""
    found: dict[str, _Found] = {}
    loose, others = [], []
    for path in _visible(folder):
        if path.is_dir():
            found[path.name] = _walk(path)
            others += found[path.name].others
        elif path.suffix.lower() in SUFFIXES:
            loose.append(path)
        elif path.name.lower() not in SYSTEM:
            others.append(path)
    if not any(x.images for x in found.values()):
        there = f" There are {by_ending(loose + others)}." if loose or others else ""
        raise ValueError(
            f"There are no images in folders below {folder}: {LAYOUT} is expected, with files "
            f"{', '.join(sorted(SUFFIXES))}.{there}"
        )
    empty = [
        f"{name} (it has {by_ending(x.others)})" if x.others else name
        for name, x in found.items()
        if not x.images
    ]
    if empty:
        raise ValueError(
            f"{folder} has class folders without images: {some(empty)}. Fill or remove them."
        )
    files = {name: sorted(x.images) for name, x in found.items()}
    return _Classes(files, loose, others, {name: x.folders for name, x in found.items()})


def _check_names(root: Path, folders: dict[str, set[str]], notes: list[str]) -> None:
    """Refuses classes that are named like parts; says where all hold folders of the same names."""
    first = next(iter(folders.values()))
    same = len(folders) > 1 and len(first - {""}) > 1 and all(x == first for x in folders.values())
    nested = [name for name, inside in folders.items() if part_of(name) and inside - {""}]
    if nested:
        raise ValueError(
            f"{root} has {nested[0]}/ with folders in it, but no train/: put the folders of the "
            "classes into train/."
        )
    alike = {name: part for name in folders if (part := resembles_part(name))}
    if len(set(alike.values())) > 1 or (alike and (same or len(alike) == len(folders))):
        names = some([f"{name}/" for name in alike])
        raise ValueError(
            f"{root}: {names} are named like parts of a data set, not like classes: name them "
            "train/ and test/, and put a folder of images for each class into both."
        )
    if same:
        notes.append(
            f"{root}: its folders {some(list(folders))} are taken for the classes, though all of "
            f"them hold folders of the same names ({some(sorted(first - {''}))})."
        )
    if alike:
        notes.append(f"{root}: {some(list(alike))} is taken for a class, whatever its name.")


def _unused(root: Path, parts: list[Path]) -> list[str]:
    """A line about the folders and images beside those of the parts."""
    lines = []
    for path in _visible(root):
        if path.is_dir() and path not in parts:
            count = len(_walk(path).images)
            lines.append(f"not used, beside {some([f'{x.name}/' for x in parts])}: "
                         f"{path.name}/ ({count} images)")  # fmt: skip
    images = [x for x in _visible(root) if x.is_file() and x.suffix.lower() in SUFFIXES]
    if images:
        names = some([x.name for x in images])
        lines.append(f"left out, in no class's folder: {len(images)} images ({names})")
    return lines


def split_by_hash(files: list[Path], root: Path) -> tuple[list[Path], list[Path]]:
    """(test, train): a fifth of the files, those with the smallest SHA-256 of the relative path."""

    def digest(file: Path) -> bytes:
        relative = Path(os.path.relpath(file, root)).as_posix()
        return hashlib.sha256(relative.encode()).digest()

    count = min(max(1, round(TEST_SHARE * len(files))), len(files) - 1)
    test = set(sorted(files, key=digest)[:count])
    return [file for file in files if file in test], [file for file in files if file not in test]
