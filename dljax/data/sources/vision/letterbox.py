"""Images, boxes and masks of any size brought to one size, and results brought back.

Fit "letterbox" keeps the aspect: the image is scaled to fit, lies in the upper left corner, and the
rest is FILL (in a mask: IGNORE). Fit "pad" does the same, but never enlarges. Fit "stretch" scales
each side on its own. All follow from the original size alone: no transformation is stored.

Boxes are x1, y1, x2, y2 in pixels, where pixel column i spans from i to i + 1.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Fit = Literal["letterbox", "pad", "stretch"]
Size = tuple[int, int]  # height, width

FILL = 114  # the grey of YOLO's letterbox
IGNORE = 255  # in a mask: a pixel without a class


def fitted(original: Size, size: Size, fit: Fit = "letterbox") -> Size:
    """The (height, width) that an image of the original size takes up within `size`."""
    if fit == "stretch":
        return size
    scale = min(size[0] / original[0], size[1] / original[1])
    scale = min(scale, 1.0) if fit == "pad" else scale
    return (
        min(size[0], max(1, round(original[0] * scale))),
        min(size[1], max(1, round(original[1] * scale))),
    )


def box_scales(sizes: np.ndarray, size: Size, fit: Fit = "letterbox") -> np.ndarray:
    """float64 [N, 4], what boxes of images of sizes [N, 2] (height, width) are multiplied by."""
    sizes = np.asarray(sizes)
    inner = np.array([fitted((int(h), int(w)), size, fit) for h, w in sizes]).reshape(-1, 2)
    y, x = (inner / sizes).T
    return np.stack([x, y, x, y], -1)


def fit_boxes(boxes: np.ndarray, original: Size, size: Size, fit: Fit = "letterbox") -> np.ndarray:
    """Boxes [n, 4] of an image of the original size as boxes of the fitted one."""
    return boxes * box_scales(np.array([original]), size, fit)


def unfit_boxes(
    boxes: np.ndarray, sizes: np.ndarray, size: Size, fit: Fit = "letterbox"
) -> np.ndarray:
    """Boxes [N, M, 4] of fitted images in the pixels of the originals [N, 2], clipped to them."""
    original = np.asarray(boxes, np.float64) / box_scales(sizes, size, fit)[:, None]
    edges = np.asarray(sizes)[:, None, [1, 0, 1, 0]]
    return np.clip(original, 0, edges)


def pad(image: np.ndarray, size: Size, fill: int) -> np.ndarray:
    """The image [h, w, ...] in the upper left corner of one of `size`."""
    if image.shape[:2] == tuple(size):
        return image
    padded = np.full((*size, *image.shape[2:]), fill, image.dtype)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def fit_mask(mask: np.ndarray, size: Size, fit: Fit = "letterbox") -> np.ndarray:
    """Class ids [H, W] by the nearest pixel; beside a letterboxed image: IGNORE."""
    inner = fitted(mask.shape, size, fit)
    return pad(nearest(mask, inner), size, IGNORE)


def unfit_mask(mask: np.ndarray, original: Size, fit: Fit = "letterbox") -> np.ndarray:
    """Class ids [h, w] of a fitted image as a mask of the original size."""
    height, width = fitted(original, mask.shape, fit)
    return nearest(mask[:height, :width], original)


def nearest(array: np.ndarray, size: Size) -> np.ndarray:
    """Resizes the first two axes, each pixel the one whose area holds its centre."""
    if array.shape[:2] == tuple(size):
        return array
    rows, columns = (_centres(old, new) for old, new in zip(array.shape[:2], size, strict=True))
    return array[rows[:, None], columns]


def _centres(old: int, new: int) -> Sequence[int]:
    return (2 * np.arange(new) + 1) * old // (2 * new)
