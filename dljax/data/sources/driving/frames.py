"""The pictures of a drive as the network reads them: sky and bonnet cut off, made smaller.

A pixel of the result is the mean of those that it covers (Pillow's box filter). `weights` gives the
same filter as two matrices, for a program that holds the whole of it (`dljax.train.export`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from dljax.data.sources.driving.log import Recording
from dljax.data.sources.image import UnreadableImage, read_image


class Framing(NamedTuple):
    """What is cut off at the top and at the bottom, as shares of the height, and the size then."""

    top: float
    bottom: float
    height: int
    width: int

    def rows(self, height: int) -> slice:
        """The rows of a picture of this height that are kept."""
        first, last = round(self.top * height), round((1 - self.bottom) * height)
        if last - first < 1:
            raise ValueError(
                f"nothing is left of pictures of {height} rows without {self.top:g} at the top and "
                f"{self.bottom:g} at the bottom: crop less"
            )
        return slice(first, last)


def framed(picture: np.ndarray, framing: Framing) -> np.ndarray:
    """uint8 [H, W, 3] cut and resized to [height, width, 3]."""
    from PIL import Image

    kept = Image.fromarray(picture[framing.rows(len(picture))])
    size = (framing.width, framing.height)
    return np.asarray(kept.resize(size, Image.Resampling.BOX))


def weights(framing: Framing, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`framed` of pictures of this (height, width) as matrices: rows [h, H], columns [w, W]."""
    from PIL import Image

    kept = framing.rows(size[0])

    def filters(length: int, count: int) -> np.ndarray:
        """Each pixel alone as an image, resized: what it adds to each pixel of the result."""
        unit = Image.fromarray(np.eye(length, dtype=np.float32))
        return np.asarray(unit.resize((length, count), Image.Resampling.BOX))

    rows = np.zeros((framing.height, size[0]), np.float32)
    rows[:, kept] = filters(kept.stop - kept.start, framing.height)
    return rows, filters(size[1], framing.width)


def read(recording: Recording, camera: str, framing: Framing) -> np.ndarray:
    """The pictures of a camera, uint8 [T, height, width, 3].

    Raises ValueError, with file and line, for one that is no readable image.
    """
    where = [f" ({recording.log}, line {line})" for line in recording.lines]
    return read_files(recording.cameras[camera], framing, where)


def read_files(
    files: Sequence[str], framing: Framing, where: Sequence[str] | None = None
) -> np.ndarray:
    """The pictures in files, uint8 [T, height, width, 3]; ValueError for an unreadable one.

    where: of each file, for the message.
    """
    where = where or [""] * len(files)
    out = np.empty((len(files), framing.height, framing.width, 3), np.uint8)

    def one(index: int) -> None:
        out[index] = framed(picture(files[index], where[index]), framing)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, range(len(files))))
    return out


def picture_size(file: str) -> tuple[int, int]:
    """The (height, width) of a picture."""
    return picture(file).shape[:2]


def picture(file: str, where: str = "") -> np.ndarray:
    """A picture as it is recorded, uint8 [H, W, 3]. where: of the file, for the message."""
    try:
        return read_image(file, channels=3)
    except UnreadableImage as error:
        raise ValueError(f"{file}{where} is no readable image: {error}") from None
