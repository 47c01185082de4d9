"""Short clips: of labelled images that move (moving_images.py), or of the user's own files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dljax.data.sources.dataset import Arrays, Dataset
from dljax.data.sources.film import moving_frames
from dljax.data.sources.image import UnreadableImage, read_image, resize, to_channels
from dljax.data.sources.layout import (
    by_ending,
    image_files,
    natural,
    other_files,
    some,
    split_by_hash,
)
from dljax.data.sources.moving_images import move

TRAIN, TEST = 10_000, 2_000  # clips of moving images in each part
ANIMATIONS = (".gif", ".webp", ".apng", ".png")


class Clips(NamedTuple):
    """Clips of equal length and size.

    train, test: {'image': uint8 [N, T, H, W, C], 'label': int32 [N]}; of moving images also 'way':
    int32 [N], the direction of the first step (moving_images.WAYS). classes: of the labels; one
    where there are none. left_out: lines, what was not read and why.
    """

    name: str
    train: Arrays
    test: Arrays
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def moving_images(data: Dataset, size: int, frames: int) -> Clips:
    """Clips of a `Dataset`'s images, each on a canvas of `size` pixels a side (see `move`).

    TRAIN clips of the training images and TEST of the test images, always the same ones.
    """
    train, test = (
        move(part["image"], part["label"], size, frames, count, seed)
        for part, count, seed in ((data.train, TRAIN, 0), (data.test, TEST, 1))
    )
    return Clips(f"moving {data.name}", train, test, data.classes, data.notes)


def clip_folder(root: str, size: int, frames: int) -> Clips:
    """Reads GIFs and other animations, and folders of frames, at any depth of a folder.

    Frames are sorted by name, frame2 before frame10. A frame of an animation that lasts longer than
    others is repeated; transparent pixels lie on white. Every film is resized to size x size and
    cut into clips of `frames` frames; the rest at its end is left out. If every film lies in a
    folder of the root, and these are two or more, they are its classes. A fifth of the films of
    each class, by the hash of their path, is the test set.
    Grey films have one channel if all are.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: one line: no films, none long enough, fewer than two films of a class.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {root}: --dataset takes 'digits', 'tfds:NAME', or a folder of "
            "GIFs or of folders of frames."
        )
    films, short, longer = {}, [], []
    for path, files in _films(folder).items():
        pictures, added = _read(path, files, size)
        if added:
            longer.append(f"{path.relative_to(folder)} ({added})")
        count = len(pictures) // frames
        if count:
            clips = pictures[: count * frames]
            films[path] = clips.reshape(count, frames, *clips.shape[1:])
        else:
            short.append(f"{path.relative_to(folder)} ({len(pictures)})")
    if not films:
        found = f"only shorter ones: {some(short)}" if short else "there are none"
        raise ValueError(f"{root} has no GIF or folder of {frames} frames or more; {found}.")
    classes = _classes(folder, list(films))
    groups = [[p for p in films if _class(folder, p, classes) == i] for i in range(len(classes))]
    if min(map(len, groups)) < 2:
        raise ValueError(
            f"{root} needs two films or more (of each class): one is for the test set."
        )
    channels = max(clips.shape[-1] for clips in films.values())
    parts = {"train": ([], []), "test": ([], [])}
    for label, paths in enumerate(groups):
        for name, chosen in zip(("test", "train"), split_by_hash(paths, folder), strict=True):
            for path in chosen:
                parts[name][0].append(to_channels(films[path], channels))
                parts[name][1].append(np.full(len(films[path]), label, np.int32))
    train, test = (
        {"image": np.concatenate(x), "label": np.concatenate(y)} for x, y in parts.values()
    )
    notes = [f"{root}: a fifth of {len(films)} films, by hash, is the test set."]
    if longer:
        notes.append(f"{root}: frames that last longer were repeated (times): {some(longer)}.")
    left_out = [f"left out, shorter than {frames} frames: {some(short)}"] if short else []
    if others := other_files(folder):
        left_out.append(f"left out, no images that are read: {by_ending(others)}")
    return Clips(root, train, test, classes, tuple(notes), tuple(left_out))


def _films(folder: Path) -> dict[Path, list[Path]]:
    """{an animation: itself, or a folder: its frames as people count}, in the order of paths."""
    films: dict[Path, list[Path]] = {}
    for file in image_files(folder):
        films.setdefault(file if _animated(file) else file.parent, []).append(file)
    return {film: sorted(files, key=natural) for film, files in films.items()}


def _animated(file: Path) -> bool:
    ending = file.suffix.lower()
    if ending not in ANIMATIONS:
        return False
    try:
        with Image.open(file) as image:
            return ending == ".gif" or getattr(image, "n_frames", 1) > 1
    except Exception:  # said when it is read
        return True


def _read(film: Path, files: list[Path], size: int) -> tuple[np.ndarray, int]:
    """The frames of a film, uint8 [T, size, size, C], and how many were added for their time."""
    try:
        if film.is_dir():
            frames, times = [read_image(file, (size, size)) for file in files], [1] * len(files)
        else:
            shown = [
                (resize(x, (size, size)), duration or 0.0) for x, duration in moving_frames(film)
            ]
            frames, times = [x for x, _ in shown], repeats([duration for _, duration in shown])
    except UnreadableImage as error:
        raise ValueError(f"{film} can't be read ({error}): repair or remove it.") from None
    channels = max(x.shape[-1] for x in frames)
    frames = np.stack([to_channels(x, channels) for x in frames])
    return np.repeat(frames, times, axis=0), sum(times) - len(times)


def repeats(durations: list[float]) -> list[int]:
    """How often each frame of an animation is to be repeated, so that all last equally long.

    Encoders write equal frames as one that lasts longer. The unit is the shortest duration.
    """
    shortest = min((x for x in durations if x > 0), default=0)
    if not shortest:
        return [1] * len(durations)
    return [max(1, round(x / shortest)) for x in durations]


def _classes(folder: Path, films: list[Path]) -> tuple[str, ...]:
    parents = {os.path.relpath(film, folder).split(os.sep)[0] for film in films}
    nested = all(film.parent != folder and film != folder for film in films)
    return tuple(sorted(parents)) if nested and len(parents) > 1 else ("clip",)


def _class(folder: Path, film: Path, classes: tuple[str, ...]) -> int:
    first = os.path.relpath(film, folder).split(os.sep)[0]
    return classes.index(first) if len(classes) > 1 else 0
