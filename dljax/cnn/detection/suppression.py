"""Suppression of duplicates on the device: fixed sizes, so it may stand in an exported program."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dljax.cnn.detection.boxes import pairwise_iou

Array = jax.Array


class Detections(NamedTuple):
    """The detections of an image, best first.

    boxes [K, 4]: x1, y1, x2, y2 in pixels. labels int32 [K], -1 beyond the last. scores [K].
    """

    boxes: Array
    labels: Array
    scores: Array


def keep(boxes: Array, scores: Array, threshold: float) -> Array:
    """Greedy non-maximum suppression: bool [N] of boxes [N, 4] in falling order of scores [N].

    A box is kept unless one before it is kept whose IoU with it is above the threshold; one of
    score 0 or less is not. The rule is iterated from all boxes until nothing changes, which is its
    only solution: as many rounds as the longest chain of boxes that decide each other, not N.
    """
    count = len(boxes)
    order = jnp.arange(count)
    rivals = (pairwise_iou(boxes, boxes) > threshold) & (order[:, None] > order[None])
    alive = scores > 0

    def again(carry: tuple[Array, Array]) -> Array:
        return carry[1]

    def once(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        kept, _ = carry
        new = alive & ~(rivals & kept[None]).any(1)
        return new, (new != kept).any()

    return jax.lax.while_loop(again, once, (alive, jnp.bool_(True)))[0]


def suppress(
    boxes: Array,
    scores: Array,
    *,
    threshold: float = 0.6,
    least: float = 0.01,
    candidates: int = 300,
    most: int = 100,
) -> Detections:
    """The detections of one image: the best candidates, without duplicates of their class.

    Args:
      boxes: [A, 4]. scores: [A, C]; a place may be a detection of several classes.
      threshold: IoU above which the lower of two boxes of a class is dropped.
      least: scores below it are no candidates. candidates, most: fixed numbers.
    """
    places, classes = scores.shape
    candidates = min(candidates, places * classes)
    best, index = jax.lax.top_k(scores.reshape(-1), candidates)
    place, label = index // classes, index % classes
    chosen = boxes[place]
    best = jnp.where(best >= least, best, 0)
    # Classes are moved apart, so that boxes of different ones never overlap.
    apart = label[:, None] * (jnp.abs(boxes).max() * 2 + 1)
    kept = keep(chosen + apart, best, threshold)
    most = min(most, candidates)
    order = jnp.argsort(~kept, stable=True)[:most]  # kept ones first, in their order
    there = kept[order]
    return Detections(
        jnp.where(there[:, None], chosen[order], 0),
        jnp.where(there, label[order], -1).astype(jnp.int32),
        jnp.where(there, best[order], 0),
    )
