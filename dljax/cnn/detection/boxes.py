"""Boxes as x1, y1, x2, y2 in pixels (float32 [..., 4]): areas, overlaps, distances to their sides.

Pixel column i spans i to i + 1. A box without area overlaps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def area(boxes: Array) -> Array:
    """[..., 4] to [...]; 0 where a side is not positive."""
    sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: Array, b: Array) -> Array:
    """The common area of boxes [..., 4] that broadcast against each other."""
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    return area(jnp.concatenate([low, high], -1))


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of boxes [..., 4] that broadcast against each other; 0 of nothing."""
    common = intersection(a, b)
    union = area(a) + area(b) - common
    return jnp.where(union > 0, common / jnp.where(union > 0, union, 1), 0)


def pairwise_iou(a: Array, b: Array) -> Array:
    """IoU of each of a [M, 4] with each of b [N, 4]: [M, N]."""
    return iou(a[:, None], b[None])


def giou(a: Array, b: Array) -> Array:
    """Generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1): -1 to 1.

    IoU less the share of the smallest box around both that neither covers.
    """
    common = intersection(a, b)
    union = area(a) + area(b) - common
    low, high = jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])
    around = area(jnp.concatenate([low, high], -1))
    return common / jnp.maximum(union, 1e-9) - (around - union) / jnp.maximum(around, 1e-9)


def grid(size: tuple[int, int], strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The places of a detector's maps: centres float32 [A, 2] as x, y, and strides [A].

    size: height and width of the image; a map of stride s has ceil(size / s) places along an axis.
    """
    centres, steps = [], []
    for stride in strides:
        rows, columns = (np.arange(-(-length // stride)) for length in size)
        y, x = np.meshgrid(rows, columns, indexing="ij")
        centres.append((np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        steps.append(np.full(x.size, stride))
    return np.concatenate(centres).astype(np.float32), np.concatenate(steps).astype(np.float32)


def from_distances(centres: Array, distances: Array) -> Array:
    """Boxes from distances to left, top, right, bottom [..., A, 4] of centres [A, 2], in pixels."""
    return jnp.concatenate([centres - distances[..., :2], centres + distances[..., 2:]], -1)


def to_distances(centres: Array, boxes: Array) -> Array:
    """The distances of centres [A, 2] to the sides of boxes [..., A, 4]; negative outside."""
    return jnp.concatenate([centres - boxes[..., :2], boxes[..., 2:] - centres], -1)
