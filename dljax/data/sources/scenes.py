"""The embedded data set of detection and segmentation: real digits on textured grounds.

Scans of scikit-learn's digits (real, 8 x 8) are enlarged, coloured, placed on grounds of noise and
stripes, and partly hidden by each other and by bars. Every scene is a pure function of (part, seed,
index), and each part has scans of its own: a test scene shows no scan that a training scene shows.
Training scenes also turn and slant the scans a little and change the width of the strokes, as there
are only 1,197 of them.

    train = scenes(3000, "train")           # {"image", "mask", "instance", "boxes", "labels", ...}
    source = SceneSource(100_000, "train")  # the same scenes one by one, for data.streaming

A scene, with S = `size` and M = OBJECTS:
  image     uint8 [S, S, 3]
  boxes     float32 [M, 4]: x1, y1, x2, y2 in pixels, the tight box of what is visible (pixel
            column i spans i to i + 1); rows beyond the objects are 0
  labels    int32 [M]: the digit; -1 beyond the objects
  flags     uint8 [M]: 0, as no object is difficult or a crowd
  size      int32 [2]: S, S
  mask      uint8 [S, S]: 0 the ground, 1 + digit where an object is visible
  instance  uint8 [S, S]: 0 the ground, 1 + row of `boxes` where an object is visible

`python -m dljax.data.sources.scenes JOB` is a worker (see workers.py): JOB is JSON, and the bytes
of its scenes' arrays go to its standard output, in this order.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import BinaryIO, Literal

import numpy as np

from dljax.data.sources import digits, workers

Part = Literal["train", "validation", "test"]

CLASSES = tuple(str(digit) for digit in range(10))
MASK_CLASSES = ("background", *CLASSES)
OBJECTS = 6  # most objects of a scene
SMALLEST, LARGEST = 0.2, 0.5  # sides of a digit, as shares of the scene's side
VISIBLE = 0.7  # the least share of a digit's pixels that must stay visible
TRIES = 12  # places tried for all objects of a scene
TURN, SLANT, STROKE = 0.2, 0.2, 0.08  # of scans in training scenes: at most, radians, and ink level
CONTRAST = 55  # least distance in grey levels between a digit and its ground
VALIDATION_SCANS, TEST_SCANS = 240, 360
MANY = 256  # scenes that are worth a process for each core


def scenes(
    count: int, part: Part, *, size: int = 96, seed: int = 0, quiet: bool = True
) -> dict[str, np.ndarray]:
    """`count` scenes of a part: arrays [count, ...] of what the module's docstring lists.

    Many are drawn by all cores. quiet: shows no progress bar.
    Raises ValueError for a side below 32 pixels, for no scene, and where a process fails.
    """
    if count < 1:
        raise ValueError(f"At least one scene is needed, not {count}.")
    source = SceneSource(count, part, size=size, seed=seed)
    made = {name: np.empty((count, *x.shape), x.dtype) for name, x in source[0].items()}
    if count < MANY:
        for index in range(count):
            for name, x in source[index].items():
                made[name][index] = x
        return made
    from tqdm import tqdm

    spans = workers.bounds(count)
    jobs = [{"part": part, "seed": seed, "size": size, "span": span} for span in spans]
    with tqdm(total=count, desc=f"drawing {part} scenes", unit=" scenes", disable=quiet) as bar:

        def read(number: int, output: BinaryIO) -> Iterator[int]:
            for index in range(*spans[number]):
                for array in made.values():
                    place = array[index].reshape(-1).view(np.uint8)
                    if output.readinto(place) < len(place):
                        return  # the worker has ended
                yield 1

        if reason := workers.run("dljax.data.sources.scenes", jobs, read, bar.update):
            raise ValueError(f"scenes could not be drawn: {reason}")
    return made


def work(job: dict) -> None:
    """Draws the job's scenes."""
    for index in range(*job["span"]):
        for array in scene(job["part"], job["seed"], index, job["size"]).values():
            sys.stdout.buffer.write(array.tobytes())


class SceneSource(Sequence):
    """Random access to scenes, each made when it is asked for."""

    classes = CLASSES

    def __init__(self, count: int, part: Part, *, size: int = 96, seed: int = 0):
        if size < 32:
            raise ValueError(f"Scenes have sides of 32 pixels or more, not {size}.")
        self._count, self._part, self._size, self._seed = count, part, size, seed
        self._annotations: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return scene(self._part, self._seed, index, self._size)

    def arrays(self, quiet: bool = True) -> dict[str, np.ndarray]:
        """All scenes, stacked: arrays [count, ...]."""
        made = scenes(self._count, self._part, size=self._size, seed=self._seed, quiet=quiet)
        self._annotations = {name: made[name] for name in ("boxes", "labels", "flags", "size")}
        return made

    def annotations(self) -> dict[str, np.ndarray]:
        """The boxes, labels, flags and sizes of all scenes, [count, ...]; they are made once."""
        if not self._annotations:
            self.arrays()
        return self._annotations

    def names(self) -> list[str]:
        """A name for each scene."""
        return [f"{self._part} scene {index}" for index in range(self._count)]


def scene(part: Part, seed: int, index: int, size: int) -> dict[str, np.ndarray]:
    """One scene; see the module's docstring."""
    scans, digits = _scans()[part]
    rng = np.random.default_rng([("train", "validation", "test").index(part), seed, index])
    ground = _ground(rng, size)
    image, instance = ground.copy(), np.zeros((size, size), np.uint8)
    labels, areas = [], []
    wanted = int(rng.integers(1, OBJECTS + 1))
    for _ in range(TRIES):
        if len(labels) == wanted:
            break
        side = int(rng.integers(round(SMALLEST * size), round(LARGEST * size) + 1))
        which = int(rng.integers(len(scans)))
        ink = _enlarge(scans[which], side, rng if part == "train" else None)
        y, x = rng.integers(0, size - side + 1, 2)
        place = np.s_[y : y + side, x : x + side]
        solid = ink > 0.5
        area, level = int(solid.sum()), _colour(rng, ground[place][solid])
        there = instance[place]
        now = np.where(solid, len(labels) + 1, there).astype(np.uint8)
        left = np.bincount(now.ravel(), minlength=len(labels) + 2)
        before = np.bincount(there.ravel(), minlength=len(labels) + 2)
        total = np.bincount(instance.ravel(), minlength=len(labels) + 2) - before + left
        if any(total[k + 1] < VISIBLE * areas[k] for k in range(len(areas))):
            continue
        instance[place] = now
        labels.append(int(digits[which]))
        areas.append(area)
        image[place] += ink[..., None] * (level - image[place])
    _hide(rng, image, instance, areas)
    image += rng.uniform(1, 8) * rng.standard_normal(image.shape, np.float32)
    return {
        "image": np.clip(np.round(image), 0, 255).astype(np.uint8),
        "boxes": _boxes(instance, len(labels)),
        "labels": np.array(labels + [-1] * (OBJECTS - len(labels)), np.int32),
        "flags": np.zeros(OBJECTS, np.uint8),
        "size": np.array([size, size], np.int32),
        "mask": np.array([0, *(1 + label for label in labels)], np.uint8)[instance],
        "instance": instance,
    }


@cache
def _scans() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{part: (scans float32 [n, 8, 8] in 0..1, digits [n])}; no scan is in two parts.

    The test part is that of the data set 'digits' (`digits.load_digits`).
    """
    images, labels = digits.scans()
    images = (images / 16).astype(np.float32)
    order = np.random.RandomState(0).permutation(len(labels))
    cuts = np.split(order, [-TEST_SCANS - VALIDATION_SCANS, -TEST_SCANS])
    parts = zip(("train", "validation", "test"), cuts, strict=True)
    return {part: (images[which], labels[which]) for part, which in parts}


@cache
def _stretch(fine: int, coarse: int) -> np.ndarray:
    """float32 [fine, coarse]: linear interpolation between the centres of coarse cells."""
    at = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(coarse))).astype(np.float32)


def _enlarge(scan: np.ndarray, side: int, rng: np.random.Generator | None) -> np.ndarray:
    """A scan [8, 8] as ink [side, side] in 0..1, with edges a pixel or two wide.

    rng: turns and slants it, its strokes wider or narrower.
    """
    level = 0.45
    if rng is None:
        stretch = _stretch(side, 8)
        smooth = stretch @ scan @ stretch.T
    else:
        smooth = _turned(scan, side, *rng.uniform(-1, 1, 2) * (TURN, SLANT))
        level += rng.uniform(-STROKE, STROKE)
    return np.clip((smooth - level) * (side / 8) + 0.5, 0, 1)


def _turned(scan: np.ndarray, side: int, angle: float, slant: float) -> np.ndarray:
    """A scan [8, 8] turned by an angle and slanted, as [side, side]; 0 beyond its edges."""
    edge = len(scan) + 2
    framed = np.pad(scan, 1, mode="edge").ravel()
    u = (np.arange(side, dtype=np.float32) + 0.5) * (len(scan) / side) - len(scan) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    rows = u[:, None] * cos - u * sin
    columns = u[:, None] * (sin + slant * cos) + u * (cos - slant * sin)
    inside = np.maximum(np.abs(rows), np.abs(columns)) <= len(scan) / 2
    y, x = (np.clip(z + (edge - 1) / 2, 0, edge - 1.001) for z in (rows, columns))
    top, left = y.astype(np.int32), x.astype(np.int32)
    y, x, at = y - top, x - left, top * edge + left
    above = framed[at] * (1 - x) + framed[at + 1] * x
    below = framed[at + edge] * (1 - x) + framed[at + edge + 1] * x
    return (above * (1 - y) + below * y) * inside


def _ground(rng: np.random.Generator, size: int) -> np.ndarray:
    """float32 [size, size, 3]: coloured noise at three scales, on every other ground stripes."""
    ground = np.broadcast_to(rng.uniform(50, 205, 3).astype(np.float32), (size, size, 3)).copy()
    for cells in (3, 8, 20):
        noise = rng.normal(0, rng.uniform(0, 14), (3, cells, cells)).astype(np.float32)
        stretch = _stretch(size, cells)
        ground += np.moveaxis(stretch @ noise @ stretch.T, 0, -1)
    if rng.integers(2):
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, size / 4)
        y, x = np.arange(size, dtype=np.float32)[:, None], np.arange(size, dtype=np.float32)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))
        ground += wave[..., None] * rng.uniform(-20, 20, 3).astype(np.float32)
    return ground


def _colour(rng: np.random.Generator, under: np.ndarray) -> np.ndarray:
    """A colour [3] that stands out by CONTRAST grey levels from the pixels [n, 3] it will cover."""
    mean = under.mean(0)
    colour = rng.uniform(0, 255, 3)
    while abs(np.mean(colour - mean)) < CONTRAST:
        colour = rng.uniform(0, 255, 3)
    return colour.astype(np.float32)


def _hide(
    rng: np.random.Generator, image: np.ndarray, instance: np.ndarray, areas: list[int]
) -> None:
    """Lays up to two bars over the scene, each left out where it would hide too much of a digit."""
    size = len(instance)
    for _ in range(int(rng.integers(3))):
        long = int(rng.integers(size // 6, size // 2))
        thin = int(rng.integers(max(2, size // 32), size // 12 + 1))
        height, width = (long, thin) if rng.integers(2) else (thin, long)
        y, x = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        place = np.s_[y : y + height, x : x + width]
        colour = rng.uniform(0, 255, 3).astype(np.float32)
        total = np.bincount(instance.ravel(), minlength=len(areas) + 1)
        total = total - np.bincount(instance[place].ravel(), minlength=len(areas) + 1)
        if all(total[k + 1] >= VISIBLE * area for k, area in enumerate(areas)):
            image[place], instance[place] = colour, 0


def _boxes(instance: np.ndarray, count: int) -> np.ndarray:
    """float32 [OBJECTS, 4]: the tight boxes of the visible pixels of each object."""
    boxes = np.zeros((OBJECTS, 4), np.float32)
    for k in range(count):
        shown = instance == k + 1
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        boxes[k] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
