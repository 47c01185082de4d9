"""What all annotated images share: names of parts, lists of files, and what is said of them."""

import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from dljax.data.sources.folder import common_levels
from dljax.data.sources.image import Levels, UnreadableImage, image_header
from dljax.data.sources.layout import image_files, some, split_by_hash
from dljax.data.sources.part_names import part_of, scored_part

Item = TypeVar("Item")

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages")
LEAVE_OUT_SHARE = 0.01


class Record(NamedTuple):
    """An encoded image that lies in a file with others. read: () -> its bytes. files: where."""

    read: Callable[[], bytes]
    files: tuple[Path, ...]


class AnnotatedImage(Protocol):
    """An annotated image: its file, or the name of a record."""

    file: Path
    record: Record | None


def encoded(item: AnnotatedImage) -> Path | io.BytesIO:
    """Where the encoded image of an item can be read."""
    return item.file if item.record is None else io.BytesIO(item.record.read())


def origins(items: Iterable[AnnotatedImage]) -> list[str]:
    """The files that items are read from, each once."""
    files = [(item.file,) if item.record is None else item.record.files for item in items]
    return [str(file) for each in dict.fromkeys(files) for file in each]


class Findings:
    """What reading a data set came upon, gathered to a line for each kind."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.lines: list[str] = []
        self._places: dict[str, list[str]] = defaultdict(list)

    def say(self, line: str) -> None:
        """A line of its own."""
        self.lines.append(f"{self.root}: {line}")

    def saw(self, what: str, where: str | Path, count: int = 1) -> None:
        """`count` times what is in the plural: '2 boxes without area are left out: a.xml'."""
        self._places[what] += [self.short(where)] * count

    def short(self, where: str | Path) -> str:
        """A path relative to the root."""
        return os.path.relpath(where, self.root) if isinstance(where, Path) else where

    def notes(self) -> tuple[str, ...]:
        """The lines, in the order of the first finding of each kind."""
        counted = [
            f"{self.root}: {len(places)} {what}: {some(list(dict.fromkeys(places)))}."
            for what, places in self._places.items()
        ]
        return (*self.lines, *counted)

    def leave_out(self, missing: Sequence[str], total: int, what: str, advice: str) -> None:
        """Says that a few are left out; refuses where they are more than one in a hundred."""
        if not missing:
            return
        if len(missing) > max(1, int(LEAVE_OUT_SHARE * total)) or len(missing) == total:
            raise ValueError(
                f"{self.root}: {len(missing)} of {total} {what}: {some(missing)}. {advice}"
            )
        self.say(f"left out {len(missing)} of {total}, {what}: {some(missing)}.")


def subfolder(root: Path, names: Iterable[str]) -> Path | None:
    """The folder of a folder that has one of these names, in any case; the earliest name wins."""
    if not root.is_dir():
        return None
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def folder_like(root: Path, names: Iterable[str], words: Iterable[str]) -> Path | None:
    """The `subfolder`, else the only one whose name has one of these words in it ('PNGImages')."""
    exact = subfolder(root, names)
    if exact is not None or not root.is_dir():
        return exact
    words = tuple(words)
    alike = [x for x in root.iterdir() if x.is_dir() and any(w in x.name.lower() for w in words)]
    return alike[0] if len(alike) == 1 else None


def split_lists(folder: Path) -> dict[str, list[str]]:
    """{part: ids} of train.txt, val.txt, test.txt in a folder such as VOC's ImageSets/Main.

    A line is an id, perhaps followed by more. trainval.txt stands for train where there is none.
    """
    lists: dict[str, Path] = {}
    for file in sorted(folder.glob("*.txt")):
        part = part_of(file.stem)
        if part in lists:
            raise ValueError(f"{folder} has {lists[part].name} and {file.name}: keep one of them.")
        if part:
            lists[part] = file
    if "train" not in lists and (folder / "trainval.txt").is_file():
        lists["train"] = folder / "trainval.txt"
    found = {}
    for part, file in lists.items():
        lines = [line.split() for line in read_text(file).splitlines()]
        found[part] = [line[0] for line in lines if line]
    return found


class Scoring(NamedTuple):
    """That a set is read to score a trained network on it, of which it needs no train part.

    Then its test is its test part, else its validation part, else the whole set, and its train is
    empty. levels: those of the network's own images; None: what the set's files use.
    """

    levels: Levels | None = None


def settle(
    parts: Mapping[str, list[Item]],
    file: Callable[[Item], Path],
    found: Findings,
    scoring: Scoring | None = None,
) -> dict[str, list[Item]]:
    """The parts with train and test: validation serves as test, or a fifth is held out by hash.

    For `scoring` train is empty. Raises ValueError where no image is left to train or to test on.
    """
    parts = {part: items for part, items in parts.items() if items}
    if not parts:
        raise ValueError(f"{found.root}: no annotated image was found.")
    if scoring:
        part = scored_part(parts)
        if part != "test":
            which = "the validation images" if part == "validation" else "all images"
            found.say(f"there is no test part: {which} are scored.")
        return {"train": [], "test": parts[part]}
    if "train" not in parts:
        raise ValueError(f"{found.root} has images for {', '.join(parts)}, but none for train.")
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
        found.say("there is no test part: the validation images serve as test set.")
    elif "test" not in parts:
        items = parts["train"]
        if len(items) < 2:
            raise ValueError(f"{found.root} has one image: one to train and one to test on.")
        names = [Path(found.short(file(item))) for item in items]
        held = set(split_by_hash(names, Path())[0])
        chosen = [name in held for name in names]
        parts["test"] = [item for item, x in zip(items, chosen, strict=True) if x]
        parts["train"] = [item for item, x in zip(items, chosen, strict=True) if not x]
        found.say("there are no parts: a fifth of the images, by hash, is the test set.")
    trained = {file(item).resolve() for item in parts["train"]}
    for part in ("validation", "test"):
        twice = [file(item) for item in parts.get(part, ()) if file(item).resolve() in trained]
        if twice:
            names = some([found.short(path) for path in twice])
            found.say(f"{len(twice)} {part} images are training images too: {names}.")
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def by_stem(folder: Path, deep: bool = False) -> dict[str, list[Path]]:
    """{stem: image files} of a folder; with `deep` at any depth, the stem with its folders."""
    files: dict[str, list[Path]] = defaultdict(list)
    for file in image_files(folder) if folder.is_dir() else ():
        if deep or file.parent == folder:
            files[file.relative_to(folder).with_suffix("").as_posix()].append(file)
    return dict(files)


def headers(files: Sequence[Path]) -> dict[Path, tuple[tuple[int, int], int]]:
    """{file: ((height, width) as stored, EXIF orientation)}.

    Raises ValueError that names the files that are no images.
    """

    def attempt(file: Path):
        try:
            return image_header(file)
        except UnreadableImage as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = dict(zip(files, pool.map(attempt, files), strict=True))
    refuse_unreadable({file: x for file, x in outcomes.items() if isinstance(x, UnreadableImage)})
    return outcomes


def set_levels(
    parts: Mapping[str, Sequence[AnnotatedImage]],
    found: Findings,
    scoring: Scoring | None = None,
) -> Levels | None:
    """The range of grey levels of more than 8 bits that a set's files use; None where it has none.

    parts: of the set, items with a `file` and a `record`, None of a file of its own. scoring: its
    levels go before those of the files.
    """
    if scoring and scoring.levels:
        return scoring.levels
    files = [item.file for items in parts.values() for item in items if item.record is None]
    if not files:
        return None
    levels, notes = common_levels(str(found.root), files)
    found.lines += notes
    return levels


def refuse_unreadable(bad: Mapping[Path, Exception]) -> None:
    """Raises ValueError that names these files, if there are any."""
    if bad:
        listed = some([f"{file} ({error})" for file, error in bad.items()])
        what = "is no readable image" if len(bad) == 1 else "are no readable images"
        raise ValueError(f"{listed} {what}: repair or remove it, with its annotation.")


def stored_as(
    file: Path,
    header: tuple[tuple[int, int], int],
    stated: tuple[int, int] | None,
    found: Findings,
) -> tuple[tuple[int, int], bool]:
    """The (height, width) that an annotation counts in, and whether the image is to be turned.

    header: of `headers`. stated: the (height, width) that the annotation gives, if it does.
    Raises ValueError where the image has another size.
    """
    stored, orientation = header
    turned = stored[::-1] if orientation >= 5 else stored
    if stated is not None and stated not in (turned, stored):
        raise ValueError(
            f"{file} is {turned[1]}x{turned[0]} pixels, but annotated as {stated[1]}x{stated[0]}: "
            "its annotation belongs to another file, or the image was resized."
        )
    if stated is not None and stated != turned:
        found.saw("images are taken as stored, not upright, as they were annotated so", file)
        return stored, False
    if orientation > 1 and (stated is None or stored == turned):
        found.saw("images are turned upright (EXIF) and taken to be annotated so", file)
    return turned, True


def read_text(file: Path) -> str:
    """A text file; raises ValueError where it can't be read as UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} can't be read as text ({error}).") from None
