"""COCO's polygons and run-length codes as class masks.

Class 0 is 'background', the categories follow in the order of their ids. Where annotations overlap,
the smaller one is on top; what only a crowd covers is ignored.
"""

from functools import partial
from pathlib import Path

import numpy as np

from dljax.data.sources.vision.boxes import CROWD, Annotated
from dljax.data.sources.vision.coco import read_parts
from dljax.data.sources.vision.coco_segments import segment_mask
from dljax.data.sources.vision.letterbox import IGNORE, Fit, Size
from dljax.data.sources.vision.mask_folders import assemble
from dljax.data.sources.vision.masks import Masked, MaskedImages
from dljax.data.sources.vision.parts import Scoring, settle


def read_coco_masks(
    path: str,
    size: Size | None,
    fit: Fit = "letterbox",
    channels: int | None = 3,
    scoring: Scoring | None = None,
) -> MaskedImages:
    """Reads the segments of a COCO JSON file, or of a folder with such files, as class masks.

    Raises ValueError: one line that names the file and what is wrong.
    """
    parts, categories, found = read_parts(path, True, scoring)
    parts = settle(parts, lambda item: item.file, found, scoring)
    classes = ("background", *categories.names)
    if len(classes) >= 254:
        raise ValueError(f"{path} has {len(categories.names)} categories; 252 are the most.")
    number = {name: index for index, name in enumerate(classes)}
    found.say("pixels of no segment are the class 'background'; of two, the smaller is on top.")
    for items in parts.values():
        for item in items:
            bare = sum(not shape for shape in item.segments)
            if bare:
                raise ValueError(
                    f"{item.file}: {bare} of its {len(item.segments)} annotations have no "
                    "segmentation: a mask can't be drawn from a box."
                )
    done = {
        part: [
            Masked(item.file, Path(path), item.size, partial(draw, item, number), item.upright)
            for item in items
        ]
        for part, items in parts.items()
    }
    ids = tuple(range(len(classes)))
    return assemble(done, classes, ids, None, size, fit, channels, found, scoring)


def draw(item: Annotated, number: dict[str, int]) -> np.ndarray:
    """uint8 [H, W]: the class of each pixel of an annotated image."""
    where = f"{item.file}"
    shapes = [segment_mask(shape, item.size, where) for shape in item.segments]
    areas = [int(shape.sum()) for shape in shapes]
    crowd = (item.flags & CROWD) > 0
    mask = np.zeros(item.size, np.uint8)
    for k in np.flatnonzero(crowd):
        mask[shapes[k]] = IGNORE
    for k in sorted(np.flatnonzero(~crowd), key=lambda k: -areas[k]):
        mask[shapes[k]] = number[item.names[k]]
    return mask
