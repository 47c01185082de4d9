"""Which places of a detector's maps answer for which object: task-aligned assignment.

Feng et al. 2021 (TOOD, arXiv:2108.07755, section 3.2.1): places near an object's centre are ranked
by s^alpha u^beta, with s the score that they give its class and u the IoU of their box; the best
`top` of each object learn it, with the rank, scaled to the object's best IoU, as target of their
score. All shapes are fixed: objects are padded and masked, every place gets one answer or none.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dljax.cnn.detection.boxes import pairwise_iou

Array = jax.Array


class Settings(NamedTuple):
    """alpha, beta: powers of score and IoU in the rank. top: places of an object."""

    alpha: float = 1.0
    beta: float = 6.0
    top: int = 10


class Assigned(NamedTuple):
    """Of each place: index of its object [A], its target score [A], 0 where it has no object."""

    object: Array
    score: Array


SETTINGS = Settings()


def assign(
    scores: Array,
    predicted: Array,
    centres: Array,
    strides: Array,
    boxes: Array,
    labels: Array,
    settings: Settings = SETTINGS,
) -> Assigned:
    """The assignment of one image.

    Args:
      scores: probabilities [A, C]. predicted: boxes [A, 4]. centres, strides: of the places.
      boxes: of the objects [M, 4]. labels: int [M], -1 of padding.
    """
    valid = labels >= 0
    overlap = pairwise_iou(boxes, predicted)  # [M, A]
    score = scores.T[jnp.maximum(labels, 0)]
    # An object that is smaller than a stride still has the places around its centre.
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    reach = jnp.maximum((boxes[:, None, 2:] - boxes[:, None, :2]) / 2, strides[None, :, None])
    away = jnp.abs(centres[None] - middle) / reach
    candidate = (away < 1).all(-1) & valid[:, None]
    # The last term ranks places before anything is learned.
    rank = score**settings.alpha * overlap**settings.beta
    order = jnp.where(candidate, rank + 1e-9 * (2 - away.max(-1)), 0)
    top = min(settings.top, order.shape[1])
    least = jax.lax.top_k(order, top)[0][:, -1:]
    chosen = candidate & (order >= least)
    # A place that several objects want goes to the one that its box fits best.
    fit = jnp.where(chosen, overlap + 1e-9 * (2 - away.max(-1)), -1)
    owner = fit.argmax(0)
    mine = chosen & (owner[None] == jnp.arange(len(labels))[:, None])
    rank = jnp.where(mine, jnp.maximum(rank, 1e-9), 0)
    best_rank = rank.max(1, keepdims=True)
    best_fit = jnp.where(mine, overlap, 0).max(1, keepdims=True)
    target = rank / jnp.maximum(best_rank, 1e-9) * jnp.maximum(best_fit, 1e-3)
    return Assigned(owner, jnp.where(mine, target, 0).max(0))
