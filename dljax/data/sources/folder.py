"""The user's own images: a folder of images per class, and images to predict."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources.dataset import Dataset, labelled
from dljax.data.sources.image import UnreadableImage, image_size, read_image, to_channels
from dljax.data.sources.layout import Part, image_files, list_parts, some, split_by_hash

UNREADABLE_SHARE = 0.01
DEFAULT_SIZE = (64, 64)


class Images(NamedTuple):
    """Images without labels, and what could not be read."""

    names: tuple[str, ...]
    images: np.ndarray
    """uint8 [N, H, W, C]"""
    skipped: tuple[str, ...]
    """'FILE (REASON)' of each unreadable file."""


def image_folder(
    root: str,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    quiet: bool = False,
) -> Dataset:
    """Reads a folder per class, below train/ and test/ (val/ or validation/ too) or directly.

    Directly, a fifth of each class becomes the test set: the files whose path relative to the
    root has the smallest SHA-256. So the split does not depend on the machine, and adding a file
    moves at most one other. Without test/, the validation images serve as test set.

    Images (`image.SUFFIXES`) are found at any depth, hidden ones left out. Without `size`, images
    of one size keep it, and differing ones become 64 x 64. Without `channels`, images that are
    all grey have one channel, and otherwise three. Unreadable files are skipped and listed in the
    notes, up to one in a hundred (and at least one).

    Raises:
      ValueError: one line: no images, an empty class, one class only, a class that train lacks, too
        many unreadable files.
    """
    parts, classes, notes = list_parts(Path(root))
    files = [file for part in parts.values() for file in part.files]
    bad: dict[Path, str] = {}
    if size is None:
        sizes = set(_apply(image_size, files, bad, "looking at images", quiet).values())
        size = sizes.pop() if len(sizes) == 1 else DEFAULT_SIZE
        if sizes:
            notes.append(
                f"The images of {root} differ in size: all are resized to "
                f"{size[0]} x {size[1]}; give a size to change that."
            )
    read = partial(read_image, size=size, channels=channels)
    good = [file for file in files if file not in bad]
    images = _apply(read, good, bad, "reading images", quiet)
    if bad:
        notes.append(_skipped(root, bad, len(files)))

    depth = channels or max(image.shape[-1] for image in images.values())
    arrays = {name: _stack(part, images, depth) for name, part in parts.items()}
    for index, name in enumerate(classes):
        if index not in arrays["train"]["label"]:
            raise ValueError(f"{root}: class {name} has no readable image to train on.")
    return Dataset(
        name=root,
        train=arrays["train"],
        test=arrays["test"],
        classes=classes,
        validation=arrays.get("validation"),
        notes=tuple(notes),
    )


def read_images(
    path: str,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    cut: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Images:
    """Reads an image, or all images of a folder at any depth, to predict on.

    Args:
      path: an image file or a folder.
      size: (height, width) to resize to; None is for images of one size.
      channels: 1 or 3; None takes 1 where all are grey.
      cut: what is done with each image, uint8 [H, W, C], as it comes from its file.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: no image could be read, or the sizes differ and no `size` is given.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no image or folder {path}.")
    files = image_files(root) if root.is_dir() else [root]
    bad: dict[Path, str] = {}
    read = partial(read_image, size=size, channels=channels)
    images = _apply((lambda file: cut(read(file))) if cut else read, files, bad, "", True)
    skipped = tuple(f"{file} ({reason})" for file, reason in bad.items())
    if not images:
        raise ValueError(f"{path} has no readable image{': ' if bad else ''}{some(skipped)}.")
    depth = max(image.shape[-1] for image in images.values())
    if len({image.shape[:2] for image in images.values()}) > 1:
        raise ValueError(f"The images of {path} differ in size: give a size for all.")
    stacked = np.stack([to_channels(image, depth) for image in images.values()])
    return Images(tuple(str(file) for file in images), stacked, skipped)


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
    held, _ = split_by_hash([Path(name) for name in images.names], folder)
    test = np.isin(images.names, [str(file) for file in held])
    parts = [labelled(images.images[x], np.zeros(x.sum())) for x in (~test, test)]
    notes = tuple(f"skipped: {skipped}" for skipped in images.skipped)
    return Dataset(root, *parts, ("image",), notes=notes)


class FolderSource(Sequence):
    """Random access to the images of one part, decoded on demand; for `streaming.stream`.

    `source[index]` is {'image': uint8 [H, W, C], 'label': int32 []}. An unreadable file raises.
    """

    def __init__(self, part: Part, classes: tuple[str, ...], size, channels: int):
        self.classes = classes
        self._part, self._size, self._channels = part, size, channels

    def __len__(self) -> int:
        return len(self._part.files)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        file = self._part.files[index]
        try:
            image = read_image(file, self._size, self._channels)
        except UnreadableImage as error:
            raise ValueError(
                f"{file} is no readable image ({error}): repair or remove it."
            ) from None
        return {"image": image, "label": np.int32(self._part.labels[index])}


def image_folder_source(
    root: str, part: str, size: tuple[int, int], channels: int = 3
) -> FolderSource:
    """Random access to one part ('train', 'test', 'validation') of a folder per class.

    The layouts and the split are those of `image_folder`; no more than one image is in memory.

    Raises:
      FileNotFoundError, ValueError: no such folder or part, or one of `image_folder`'s errors.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    parts, classes, _ = list_parts(folder)
    if part not in parts:
        raise ValueError(f"{root} has no images for {part}, only for {', '.join(parts)}.")
    return FolderSource(parts[part], classes, size, channels)


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


def _skipped(root: str, bad: dict[Path, str], total: int) -> str:
    """The note about the files that are skipped; refuses where they are too many."""
    allowed = max(1, int(UNREADABLE_SHARE * total))
    listed = some([f"{file.relative_to(root)} ({reason})" for file, reason in bad.items()])
    if len(bad) > allowed or len(bad) == total:
        raise ValueError(
            f"{root}: {len(bad)} of {total} images can't be read, "
            f"of which {allowed} may be skipped: {listed}."
        )
    return f"{root}: skipped {len(bad)} of {total} images that can't be read: {listed}."


def _stack(part: Part, images: dict[Path, np.ndarray], depth: int) -> dict[str, np.ndarray]:
    """The arrays of a part, of those of its files that were read."""
    pairs = [(f, label) for f, label in zip(part.files, part.labels, strict=True) if f in images]
    if not pairs:
        raise ValueError(f"None of the {len(part.files)} test images can be read.")
    stacked = np.stack([to_channels(images[file], depth) for file, _ in pairs])
    return labelled(stacked, np.array([label for _, label in pairs]))
