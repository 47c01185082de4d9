"""Images with boxes: what the readers of VOC, COCO and YOLO return, and the source of examples.

    data = load_boxes("bccd/", size=(320, 320))     # BoxedImages; see __init__
    data.train[0]                                   # one example, decoded now: for data.streaming
    data.train.arrays()                             # all, decoded once: for data.feed.in_memory
    truth(data.test)                                # the boxes in original pixels: for the scores

An example, with M the most boxes of an image of the set:
  image   uint8 [H, W, 3], fitted to one size (letterbox.py)
  boxes   float32 [M, 4]: x1, y1, x2, y2 in pixels of the fitted image; rows beyond its boxes are 0
  labels  int32 [M]: index of the class; -1 beyond its boxes
  flags   uint8 [M]: 0, or DIFFICULT (VOC) or CROWD (COCO); such boxes are neither learnt nor missed
  size    int32 [2]: height and width of the original image, for `letterbox.unfit_boxes`
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources.dataset import Arrays
from dljax.data.sources.image import Levels, UnreadableImage, read_image
from dljax.data.sources.layout import some
from dljax.data.sources.vision.letterbox import FILL, Fit, Size, fit_boxes, fitted, pad
from dljax.data.sources.vision.parts import (
    Findings,
    Record,
    Scoring,
    encoded,
    origins,
    refuse_unreadable,
    set_levels,
    settle,
)

DIFFICULT, CROWD = 1, 2
ROUNDING = 2.0  # pixels by which a box may reach out, however small it is


class Annotated(NamedTuple):
    """An image file and what is annotated in it, in pixels of the original.

    size: (height, width). boxes: float64 [n, 4]. names: of their classes. flags: uint8 [n].
    areas: float64 [n], COCO's `area` (of the segment) or the box's. id: of the image, COCO's own or
    its path without ending. upright: whether EXIF orientation is applied. segments: of COCO:
    polygons or RLE of each box. record: of the image, where `file` is but its name.
    """

    file: Path
    size: Size
    boxes: np.ndarray
    names: tuple[str, ...]
    flags: np.ndarray
    areas: np.ndarray
    id: int | str
    upright: bool = True
    segments: tuple[Any, ...] = ()
    record: Record | None = None


class Truth(NamedTuple):
    """The boxes of an image in its original pixels; fields as in `Annotated`, labels int32 [n]."""

    id: int | str
    size: Size
    boxes: np.ndarray
    labels: np.ndarray
    flags: np.ndarray
    areas: np.ndarray


class BoxSource(Sequence):
    """Random access to the examples of one part, images decoded on demand, in RGB.

    levels: of grey levels of more than 8 bits, the range that is scaled to 0..255.
    """

    def __init__(
        self,
        items: Sequence[Annotated],
        classes: tuple[str, ...],
        most: int,
        size: Size,
        fit: Fit,
        levels: Levels | None = None,
    ):
        self.items, self.classes, self.most, self.size, self.fit = items, classes, most, size, fit
        self.levels = levels
        self._number = {name: index for index, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        item = self.items[index]
        try:
            return self._example(item)
        except UnreadableImage as error:
            refuse_unreadable({item.file: error})
            raise

    def _example(self, item: Annotated) -> dict[str, np.ndarray]:
        inner = fitted(item.size, self.size, self.fit)
        image = read_image(encoded(item), inner, 3, item.upright, self.levels)
        boxes, labels = np.zeros((self.most, 4), np.float32), np.full(self.most, -1, np.int32)
        flags, count = np.zeros(self.most, np.uint8), len(item.boxes)
        boxes[:count] = fit_boxes(item.boxes, item.size, self.size, self.fit)
        labels[:count], flags[:count] = self._labels(item), item.flags
        return {
            "image": pad(image, self.size, FILL),
            "boxes": boxes,
            "labels": labels,
            "flags": flags,
            "size": np.array(item.size, np.int32),
        }

    def arrays(self, quiet: bool = True) -> Arrays:
        """All examples decoded and stacked: arrays [N, ...].

        Raises ValueError that names the images that can't be read.
        """
        return stack(self, [item.file for item in self.items], self._example, quiet)

    def truth(self) -> list[Truth]:
        """What is annotated in each image, in original pixels."""
        return [Truth(x.id, x.size, x.boxes, self._labels(x), x.flags, x.areas) for x in self.items]

    def names(self) -> list[str]:
        """The path of each image."""
        return [str(item.file) for item in self.items]

    def files(self) -> list[str]:
        """What the part was read from, for its record."""
        return origins(self.items)

    def subset(self, indices: Sequence[int]) -> "BoxSource":
        """The examples at these indices."""
        chosen = [self.items[int(index)] for index in indices]
        return BoxSource(chosen, self.classes, self.most, self.size, self.fit, self.levels)

    def _labels(self, item: Annotated) -> np.ndarray:
        return np.array([self._number[name] for name in item.names], np.int32)


class BoxedImages(NamedTuple):
    """A data set of images with boxes.

    train, validation, test: `BoxSource`s (or `scenes.SceneSource`s); train is empty where files
    were read for `Scoring`. category_ids: what each class is called in COCO results: its own ids,
    or 1, 2, ... notes: lines for the user.
    """

    name: str
    train: Sequence
    test: Sequence
    classes: tuple[str, ...]
    validation: Sequence | None = None
    category_ids: tuple[int | str, ...] = ()
    notes: tuple[str, ...] = ()


def truth(source: Sequence) -> list[Truth]:
    """What is annotated in each image of a `BoxSource` or `scenes.SceneSource`."""
    if isinstance(source, BoxSource):
        return source.truth()
    found, rows = [], source.annotations()
    for index, labels in enumerate(rows["labels"]):
        there = labels >= 0
        boxes = rows["boxes"][index][there].astype(np.float64)
        height, width = rows["size"][index].tolist()
        kept = (labels[there], rows["flags"][index][there])
        found.append(Truth(index, (height, width), boxes, *kept, box_areas(boxes)))
    return found


def assemble(
    parts: dict[str, list[Annotated]],
    classes: Sequence[str] | None,
    size: Size,
    fit: Fit,
    found: Findings,
    category_ids: Sequence[int | str] | None = None,
    scoring: Scoring | None = None,
) -> BoxedImages:
    """The data set of what a reader found; `classes` None takes the names in train, sorted.

    For `scoring` those in test. Raises ValueError for a class that is not among them, and for a set
    without boxes.
    """
    parts = settle(parts, lambda item: item.file, found, scoring)
    used = {name for item in parts["test" if scoring else "train"] for name in item.names}
    listed = tuple(classes) if classes is not None else tuple(sorted(used))
    for part, items in parts.items():
        for item in items:
            strange = [name for name in item.names if name not in listed]
            if strange:
                where = "which no training image has" if classes is None else "which is not listed"
                raise ValueError(
                    f"{item.file}: {part} has the class {strange[0]!r}, {where}: {some(listed)}."
                )
    if not used:
        which = "image that is scored" if scoring else "training image"
        raise ValueError(f"{found.root}: no {which} has a box.")
    unused = [name for name in listed if name not in used]
    if unused and not scoring:
        found.say(f"classes without a training box: {some(unused)}.")
    alike = {name.lower() for name in listed}
    if len(alike) < len(listed):
        twins = [name for name in listed if sum(name.lower() == x.lower() for x in listed) > 1]
        found.say(f"classes that differ in case alone are kept apart: {some(twins)}.")
    for items in parts.values():
        for item in items:
            rows = {(*box, name) for box, name in zip(item.boxes.tolist(), item.names, strict=True)}
            if len(rows) < len(item.names):
                twice = len(item.names) - len(rows)
                found.saw("boxes are there twice, with one class, and are kept", item.file, twice)
    empty = sum(not len(item.boxes) for items in parts.values() for item in items)
    if empty:
        found.say(f"{empty} images have no box: they are kept, as images without objects.")
    most = max(len(item.boxes) for items in parts.values() for item in items)
    levels = set_levels(parts, found, scoring)
    sources = {
        part: BoxSource(items, listed, most, size, fit, levels) for part, items in parts.items()
    }
    return BoxedImages(
        str(found.root),
        sources["train"],
        sources["test"],
        listed,
        sources.get("validation"),
        tuple(category_ids or range(1, len(listed) + 1)),
        found.notes(),
    )


def check_boxes(
    boxes: np.ndarray, size: Size, where: str | Path, found: Findings
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [n, 4] put in order and clipped to the image: (boxes, which to keep bool [n]).

    Reversed corners are turned, boxes without area left out, boxes that reach out clipped; all are
    said. Raises ValueError where a number is not finite, or most of a box lies outside.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise ValueError(f"{where}: a box has a coordinate that is no finite number.")
    turned = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
    )
    swapped = int((turned != boxes).any(1).sum())
    if swapped:
        found.saw("boxes with reversed corners are turned", where, swapped)
    edges = np.array([size[1], size[0], size[1], size[0]], np.float64)
    clipped = np.clip(turned, 0, edges)
    out = np.abs(turned - clipped).max(1, initial=0)
    whole, inside = box_areas(turned), box_areas(clipped)
    absurd = (out > ROUNDING) & (inside < 0.5 * whole)
    if absurd.any():
        box = ", ".join(f"{x:g}" for x in turned[absurd][0])
        raise ValueError(
            f"{where}: the box ({box}) lies mostly outside of its image of {size[1]}x{size[0]} "
            "pixels: correct or remove it."
        )
    keep = inside > 0
    reaching = int((keep & (out > 1e-6 * edges.max())).sum())
    if reaching:
        found.saw("boxes reach beyond their image and are clipped", where, reaching)
    if not keep.all():
        found.saw("boxes without area are left out", where, int((~keep).sum()))
    return clipped, keep


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """float [n] of boxes [n, 4]."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def stack(source: Sequence, files: Sequence[Path], example, quiet: bool) -> Arrays:
    """The examples of all `source.items` over threads, written into arrays [N, ...]."""
    from tqdm import tqdm

    bad: dict[Path, Exception] = {}
    arrays: Arrays = {}

    def write(index: int) -> None:
        try:
            row = example(source.items[index])
        except UnreadableImage as error:
            bad[files[index]] = error
            return
        if not arrays:
            arrays.update({k: np.zeros((len(files), *v.shape), v.dtype) for k, v in row.items()})
        for name, value in row.items():
            arrays[name][index] = value

    write(0)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rest = pool.map(write, range(1, len(files)))
        for _ in tqdm(rest, "reading images", len(files) - 1, unit=" images", disable=quiet):
            pass
    refuse_unreadable(bad)
    return arrays
