"""Images and films for a trained model: one file, or all files of a folder, frame by frame.

A film is a GIF, WebP, PNG or TIFF of several frames, which Pillow reads, or a video (VIDEOS), which
PyAV reads where it is installed (`pip install av`). One frame is in memory at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources.image import (
    SUFFIXES,
    Levels,
    UnreadableImage,
    frame_pixels,
    read_image,
    to_channels,
)
from dljax.data.sources.layout import image_files

VIDEOS = frozenset((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"))
MOVING = frozenset((".gif", ".webp", ".png", ".apng", ".tif", ".tiff"))


class Frame(NamedTuple):
    """An image, or one frame of a film.

    file: where it comes from. number: of the frame in its film, from 0; None of an image. seconds:
    when it is shown, from the film's start; None where the film does not say. image: uint8
    [H, W, C].
    """

    file: Path
    number: int | None
    seconds: float | None
    image: np.ndarray

    def when(self) -> dict[str, int | float | None]:
        """Number and seconds as columns of a table."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {"frame": self.number, "seconds": seconds}

    def name(self) -> str:
        """The file's path, of a film with the number of the frame: 'film.gif#12'."""
        return str(self.file) if self.number is None else f"{self.file}#{self.number}"


def frames(
    path: str, channels: int, skipped: list[str], levels: Levels | None = None
) -> Iterator[Frame]:
    """The image, or the frames of the film, or those of all images and films of a folder, in order.

    channels: 1 or 3. skipped: gets a line for each file that can't be read (of a film that breaks
    off, the frames before are there). levels: as of `read_image`. Raises FileNotFoundError where
    there is no such path, and ValueError where a single file can't be read, or videos need a
    package.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no image or folder {path}.")
    if not root.is_dir():
        count = 0
        try:
            for frame in _frames(root, channels, levels):
                yield frame
                count += 1
        except UnreadableImage as error:
            if not count:
                raise ValueError(f"{root} is no readable image or film ({error}).") from None
            skipped.append(f"{root} from frame {count} on ({error})")
        return
    for file in image_files(root, SUFFIXES | VIDEOS):
        try:
            yield from _frames(file, channels, levels)
        except UnreadableImage as error:
            skipped.append(f"{file} ({error})")


def pieces(items: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """The frames in lists of `size`; the last one may be shorter."""
    rest = iter(items)
    while piece := list(itertools.islice(rest, size)):
        yield piece


def moving_frames(
    file: Path, levels: Levels | None = None
) -> Iterator[tuple[np.ndarray, float | None]]:
    """(uint8 [H, W, C], milliseconds that it lasts, if it says so) of each frame, by Pillow.

    levels: as of `read_image`, of each frame.
    Raises UnreadableImage where the file can't be read, or breaks off.
    """
    from PIL import Image, ImageSequence

    try:
        with Image.open(file) as film:
            for frame in ImageSequence.Iterator(film):
                picture = frame_pixels(frame, levels)  # decodes it: then its duration is known
                yield picture, frame.info.get("duration")
    except Exception as error:  # Pillow's decoders raise anything
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def _frames(file: Path, channels: int, levels: Levels | None) -> Iterator[Frame]:
    if file.suffix.lower() in VIDEOS:
        pictures = _video(file)
    elif file.suffix.lower() in MOVING and _count(file) > 1:
        pictures = _timed(moving_frames(file, levels))
    else:
        yield Frame(file, None, None, read_image(file, channels=channels, levels=levels))
        return
    for number, (picture, seconds) in enumerate(pictures):
        yield Frame(file, number, seconds, to_channels(picture, channels))


def _timed(
    frames: Iterator[tuple[np.ndarray, float | None]],
) -> Iterator[tuple[np.ndarray, float | None]]:
    """Of frames with the milliseconds that they last: with the seconds at which they begin."""
    begin = 0.0
    for picture, duration in frames:
        yield picture, None if duration is None else begin / 1000
        begin += duration or 0.0


def _count(file: Path) -> int:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return getattr(image, "n_frames", 1)
    except Exception as error:
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def _video(file: Path) -> Iterator[tuple[np.ndarray, float | None]]:
    try:
        import av
    except ImportError:
        raise ValueError(f"{file} is a video, which needs a package: pip install av") from None
    try:
        with av.open(str(file)) as film:
            for frame in film.decode(video=0):
                yield frame.to_ndarray(format="rgb24"), frame.time
    except (av.FFmpegError, IndexError) as error:  # IndexError: there is no video in it
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error
