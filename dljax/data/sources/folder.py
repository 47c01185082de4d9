"""The user's own images: a folder of images per class, and images to predict."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources.dataset import CLASSIFICATION, Dataset, labelled
from dljax.data.sources.image import (
    Levels,
    UnreadableImage,
    image_size,
    measure,
    read_image,
    read_or_measure,
    to_channels,
    usual_levels,
)
from dljax.data.sources.layout import (
    Listing,
    Part,
    by_ending,
    image_files,
    list_parts,
    natural,
    other_files,
    some,
    split_by_hash,
)

UNREADABLE_SHARE = 0.01
DEFAULT_SIZE = (64, 64)
SAMPLE = 256  # files whose range of grey levels is measured, of those that are read later


class Images(NamedTuple):
    """Images without labels, and what could not be read."""

    names: tuple[str, ...]
    images: np.ndarray
    """uint8 [N, H, W, C]"""
    skipped: tuple[str, ...]
    """'FILE (REASON)' of each unreadable file."""
    notes: tuple[str, ...] = ()
    """Lines for the user: how grey levels were scaled."""
    levels: Levels | None = None
    """As of `Dataset`."""


def image_folder(
    root: str,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    levels: Levels | None = None,
    quiet: bool = False,
) -> Dataset:
    """Reads a folder per class, below train/ and test/ (val/ or validation/ too) or directly.

    Directly, a fifth of each class becomes the test set: the files whose path relative to the
    root has the smallest SHA-256. So the split does not depend on the machine, and adding a file
    moves at most one other. Without test/, the validation images serve as test set.

    Images (`image.SUFFIXES`) are found at any depth, hidden ones left out. Without `size`, images
    of one size keep it, and differing ones become 64 x 64. Without `channels`, images that are
    all grey have one channel, and otherwise three. Grey levels of more than 8 bits are scaled from
    `levels`; without, from the range that the files use (`usual_levels`). Unreadable files are
    skipped and listed in the notes, up to one in a hundred (and at least one).

    Raises:
      ValueError: one line: no images, an empty class, one class only, a class that train lacks, too
        many unreadable files.
    """
    return read_listing(root, list_parts(Path(root)), Path(root), size, channels, levels, quiet)


def read_listing(
    name: str,
    listing: Listing,
    root: Path,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    levels: Levels | None = None,
    quiet: bool = False,
) -> Dataset:
    """Reads the files of a listing; name: of the set. Other arguments and errors: `image_folder`.

    root: the folder that the names of files are relative to.
    """
    parts, classes, notes, left_out, problem = listing
    files = [file for part in parts.values() for file in part.files]
    bad: dict[Path, str] = {}
    if size is None:
        sizes = set(_apply(image_size, files, bad, "looking at images", quiet).values())
        size = sizes.pop() if len(sizes) == 1 else DEFAULT_SIZE
        if sizes:
            notes.append(
                f"The images of {name} differ in size: all are resized to "
                f"{size[0]} x {size[1]}; give a size to change that."
            )
    good = [file for file in files if file not in bad]
    images, levels, note = _read_all(name, good, bad, size, channels, levels, quiet)
    notes += note
    if bad:
        notes.append(_skipped(name, root, bad, len(files)))

    depth = channels or max(image.shape[-1] for image in images.values())
    arrays = {name: _stack(part, images, depth) for name, part in parts.items()}
    read = {
        name: tuple(_relative(x, root) for x in part.files if x in images)
        for name, part in parts.items()
    }
    for index, label in enumerate(classes if problem == CLASSIFICATION else ()):
        if index not in arrays["train"]["label"]:
            raise ValueError(f"{name}: class {label} has no readable image to train on.")
    return Dataset(
        name=name,
        train=arrays["train"],
        test=arrays["test"],
        classes=classes,
        validation=arrays.get("validation"),
        notes=tuple(notes),
        left_out=tuple(left_out),
        levels=levels,
        files=read,
        problem=problem,
    )


def _relative(file: Path, root: Path) -> str:
    return Path(os.path.relpath(file, root)).as_posix()


def _read_all(
    root: str,
    files: list[Path],
    bad: dict[Path, str],
    size: tuple[int, int] | None,
    channels: int | None,
    levels: Levels | None,
    quiet: bool,
    cut: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[dict[Path, np.ndarray], Levels | None, list[str]]:
    """The images of the files that can be read, the range of grey levels, and a note about it.

    levels: the range that is scaled to 0..255; None: the one that these files use, or None where
    all have 8 bits. cut: as in `read_images`.
    """

    def read(file: Path, levels: Levels | None) -> np.ndarray | Levels:
        found = read_or_measure(file, size, channels, levels)
        return found if cut is None or isinstance(found, Levels) else cut(found)

    images = _apply(partial(read, levels=levels), files, bad, "reading images", quiet)
    deep = {file: found for file, found in images.items() if isinstance(found, Levels)}
    if not deep:
        return images, levels, []
    levels, note = _agreed(root, list(deep.values()), len(files))
    images |= _apply(partial(read, levels=levels), list(deep), bad, "reading images", quiet)
    return {file: x for file, x in images.items() if file not in bad}, levels, [note]


def _agreed(root: str, found: list[Levels], count: int) -> tuple[Levels, str]:
    """The range of a set whose images of more than 8 bits have these, and the note about it."""
    levels = usual_levels(found)
    low, high = min(x.low for x in found), max(x.high for x in found)
    return levels, (
        f"{root}: {len(found)} of {count} images have grey levels of more than 8 bits, which reach "
        f"from {low:g} to {high:g}: {levels.low:g}..{levels.high:g} is scaled to 0..255."
    )


def common_levels(root: str, files: Sequence[Path]) -> tuple[Levels | None, list[str]]:
    """The range of grey levels that files use, by up to SAMPLE of them, and a note about it.

    None where all have 8 bits. Files that can't be read are passed over.
    """
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, SAMPLE).astype(int))]
    measured = _apply(measure, chosen, {}, "", True)
    found = [x for x in measured.values() if x is not None]
    if not found:
        return None, []
    levels, note = _agreed(root, found, len(chosen))
    return levels, [note]


def read_images(
    path: str,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    cut: Callable[[np.ndarray], np.ndarray] | None = None,
    levels: Levels | None = None,
) -> Images:
    """Reads an image, or all images of a folder at any depth, to predict on.

    Args:
      path: an image file or a folder.
      size: (height, width) to resize to; None is for images of one size.
      channels: 1 or 3; None takes 1 where all are grey.
      cut: what is done with each image, uint8 [H, W, C], as it comes from its file.
      levels: range of grey levels of more than 8 bits, as `image_folder`.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: no image could be read, or the sizes differ and no `size` is given.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no image or folder {path}.")
    files = sorted(image_files(root), key=natural) if root.is_dir() else [root]
    return read_files(path, files, size, channels, cut, levels)


def read_files(
    path: str,
    files: list[Path],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    cut: Callable[[np.ndarray], np.ndarray] | None = None,
    levels: Levels | None = None,
) -> Images:
    """Reads these image files, of a set named by its path; as `read_images`."""
    bad: dict[Path, str] = {}
    images, levels, note = _read_all(path, files, bad, size, channels, levels, True, cut)
    skipped = tuple(f"{file} ({reason})" for file, reason in bad.items())
    if not images:
        raise ValueError(f"{path} has no readable image{': ' if bad else ''}{some(skipped)}.")
    depth = max(image.shape[-1] for image in images.values())
    if len({image.shape[:2] for image in images.values()}) > 1:
        raise ValueError(f"The images of {path} differ in size: give a size for all.")
    stacked = np.stack([to_channels(image, depth) for image in images.values()])
    return Images(tuple(str(file) for file in images), stacked, skipped, tuple(note), levels)


def plain_folder(root: str, size: tuple[int, int] | None = None) -> Dataset | None:
    """Images that lie in a folder itself, without classes: one class, 'image'.

    None where there is none, as in a folder of classes. A fifth, chosen as in `image_folder`, is
    the test set.

    Raises:
      ValueError: there is one image only, or none is readable, or sizes differ without a `size`.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir() or not any(file.parent == folder for file in image_files(folder)):
        return None
    images = read_images(root, size)
    if len(images.names) < 2:
        raise ValueError(f"{root} has one readable image only: one to train and one to test on.")
    files = [Path(name) for name in images.names]
    order = sorted(range(len(files)), key=files.__getitem__)
    pictures, files = images.images[order], [files[i] for i in order]
    test = np.isin([str(x) for x in files], [str(x) for x in split_by_hash(files, folder)[0]])
    parts = [labelled(pictures[x], np.zeros(x.sum(), int)) for x in (~test, test)]
    notes = (*(f"skipped: {skipped}" for skipped in images.skipped), *images.notes)
    others = other_files(folder)
    left_out = (f"left out, no images that are read: {by_ending(others)}",) if others else ()
    return Dataset(root, *parts, ("image",), None, notes, left_out, images.levels)


class FolderSource(Sequence):
    """Random access to the images of one part, decoded on demand; for `streaming.stream`.

    `source[index]` is {'image': uint8 [H, W, C], 'label': int32 []}. An unreadable file raises.
    levels: of images of more than 8 bits, the range that is scaled to 0..255. left_out, notes: of
    the whole folder, as of `Dataset`.
    """

    def __init__(
        self,
        part: Part,
        classes: tuple[str, ...],
        size: tuple[int, int],
        channels: int,
        levels: Levels | None = None,
        notes: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ):
        self.classes, self.levels = classes, levels
        self.notes, self.left_out = tuple(notes), tuple(left_out)
        self.labels = labelled(np.empty(0), part.labels)["label"]
        self._part, self._size, self._channels = part, size, channels

    def __len__(self) -> int:
        return len(self._part.files)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        file = self._part.files[index]
        try:
            image = read_image(file, self._size, self._channels, levels=self.levels)
        except UnreadableImage as error:
            raise ValueError(
                f"{file} is no readable image ({error}): repair or remove it."
            ) from None
        return {"image": image, "label": self.labels[index]}

    def files(self) -> list[str]:
        """What is read, in the order of the examples."""
        return [str(file) for file in self._part.files]


def image_folder_source(
    root: str,
    part: str,
    size: tuple[int, int],
    channels: int = 3,
    levels: Levels | None = None,
) -> FolderSource:
    """Random access to one part ('train', 'test', 'validation') of a folder per class.

    The layouts and the split are those of `image_folder`; no more than one image is in memory.
    Without `levels`, the range of grey levels is that of a sample of the training images.

    Raises:
      FileNotFoundError, ValueError: no such folder or part, or one of `image_folder`'s errors.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    parts, classes, notes, left_out, _ = list_parts(folder)
    if part not in parts:
        raise ValueError(f"{root} has no images for {part}, only for {', '.join(parts)}.")
    if levels is None:
        levels, note = common_levels(root, parts["train"].files)
        notes += note
    return FolderSource(parts[part], classes, size, channels, levels, notes, left_out)


def _apply(
    function: Callable[[Path], Any],
    files: list[Path],
    bad: dict[Path, str],
    title: str,
    quiet: bool,
) -> dict[Path, Any]:
    """{file: function(file)} over threads; files that can't be read go to `bad` with the reason."""
    from tqdm import tqdm

    def attempt(file: Path) -> Any:
        try:
            return function(file)
        except UnreadableImage as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = tqdm(pool.map(attempt, files), title, len(files), unit=" images", disable=quiet)
        results = dict(zip(files, outcomes, strict=True))
    failed = {file: str(e) for file, e in results.items() if isinstance(e, UnreadableImage)}
    bad.update(failed)
    return {file: result for file, result in results.items() if file not in failed}


def _skipped(name: str, root: Path, bad: dict[Path, str], total: int) -> str:
    """The note about the files that are skipped; refuses where they are too many."""
    allowed = max(1, int(UNREADABLE_SHARE * total))
    listed = some([f"{_relative(file, root)} ({reason})" for file, reason in bad.items()])
    if len(bad) > allowed or len(bad) == total:
        raise ValueError(
            f"{name}: {len(bad)} of {total} images can't be read, "
            f"of which {allowed} may be skipped: {listed}."
        )
    return f"{name}: skipped {len(bad)} of {total} images that can't be read: {listed}."


def _stack(part: Part, images: dict[Path, np.ndarray], depth: int) -> dict[str, np.ndarray]:
    """The arrays of a part, of those of its files that were read."""
    pairs = [(f, label) for f, label in zip(part.files, part.labels, strict=True) if f in images]
    if not pairs:
        raise ValueError(f"None of the {len(part.files)} test images can be read.")
    stacked = np.stack([to_channels(images[file], depth) for file, _ in pairs])
    return labelled(stacked, np.array([label for _, label in pairs]))
