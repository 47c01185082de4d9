"""A `.zip` of images: a folder per class inside it, as `folder.image_folder` reads it."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dljax.data.sources.image import SUFFIXES

LARGEST_RATIO = 200  # of what an entry unpacks to over what it takes; images have about 1


@contextmanager
def unpacked(path: str) -> Iterator[Path]:
    """A temporary folder with the images of an archive, gone afterwards.

    A single folder that holds everything else is left out, as most programs pack one. Entries
    keep their folders; what would lie outside of the archive, or is no image, is never written.

    Raises:
      FileNotFoundError, ValueError: one line for no archive, a damaged or encrypted one, an entry
        that leads outside, or one that unpacks to far more than images do.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}.")
    with tempfile.TemporaryDirectory() as place:
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    entry.filename = entry.filename.replace("\\", "/")
                    _check(path, entry)
                    if PurePosixPath(entry.filename).suffix.lower() in SUFFIXES:
                        archive.extract(entry, place)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(f"{path} is no readable .zip file: {error}.") from None
        root = Path(place)
        while len(inside := _visible(root)) == 1 and _folders(inside[0]):
            root = inside[0]
        yield root


def _check(path: str, entry: zipfile.ZipInfo) -> None:
    name = PurePosixPath(entry.filename)
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename.split("/")[0]:
        raise ValueError(f"{path}: the entry {entry.filename!r} leads outside of the archive.")
    if entry.flag_bits & 1:
        raise ValueError(f"{path}: {entry.filename!r} is encrypted: unpack it yourself.")
    if entry.file_size > LARGEST_RATIO * max(entry.compress_size, 10_000):
        raise ValueError(
            f"{path}: {entry.filename!r} unpacks to {entry.file_size} bytes from "
            f"{entry.compress_size}: that is no image."
        )


def _visible(folder: Path) -> list[Path]:
    return [x for x in folder.iterdir() if not x.name.startswith((".", "__MACOSX"))]


def _folders(path: Path) -> list[Path]:
    return [x for x in _visible(path) if x.is_dir()] if path.is_dir() else []
