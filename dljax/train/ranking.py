"""How well scores rank: areas under curves from counts that add up over batches and devices.

Scores are log odds in BINS equal bins; those of one bin are ties. So the areas are within about
0.001 of those of the scores themselves.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

BINS, LARGEST = 400, 12.0  # of log odds: the outer bins hold what lies beyond


def rank_counts(
    logits: Array, labels: Array, mask: Array, multi_label: bool
) -> tuple[Array, Array]:
    """Counts [C, 2, BINS] of log odds, of images without and with each class; and of images.

    logits [B, C]; labels int [B], or [B, C] of 0 and 1; mask [B].
    """
    classes = logits.shape[-1]
    if multi_label:
        odds, positive = logits, labels
    else:
        others = jax.scipy.special.logsumexp(
            jnp.where(jnp.eye(classes, dtype=bool), -jnp.inf, logits[:, None]), axis=-1
        )
        odds, positive = logits - others, jax.nn.one_hot(labels, classes)
    place = jnp.clip((odds + LARGEST) * (BINS / (2 * LARGEST)), 0, BINS - 1).astype(jnp.int32)
    member = jax.nn.one_hot(place, BINS) * mask[:, None, None]
    positive = positive.astype(jnp.float32)
    sides = jnp.stack([1 - positive, positive], -1)
    return jnp.einsum("bck,bcs->csk", member, sides), mask.sum()


def auc_of_counts(counts: np.ndarray) -> np.ndarray:
    """The mean AUC [...] over classes of `rank_counts` [..., C, 2, BINS]; see `auc_of_each`."""
    return _mean(auc_of_each(counts))


def auc_of_each(counts: np.ndarray) -> np.ndarray:
    """The area under the ROC curve [..., C]; NaN for a class that no example has, or all have."""
    without, having = counts[..., 0, :], counts[..., 1, :]
    below = np.cumsum(without, -1) - without / 2
    pairs = without.sum(-1) * having.sum(-1)
    return (having * below).sum(-1) / np.where(pairs == 0, np.nan, pairs)


def average_precision_of_counts(counts: np.ndarray) -> np.ndarray:
    """The mean average precision [...] over classes; see `average_precision_of_each`."""
    return _mean(average_precision_of_each(counts))


def average_precision_of_each(counts: np.ndarray) -> np.ndarray:
    """Average precision [..., C]: the precision at each threshold, weighted by the rise in recall.

    Without interpolation, as in scikit-learn. NaN for a class that no example has.
    """
    without, having = counts[..., 0, ::-1], counts[..., 1, ::-1]
    found, called = np.cumsum(having, -1), np.cumsum(without + having, -1)
    total = having.sum(-1)
    weighted = (having * found / np.maximum(called, 1)).sum(-1)
    return weighted / np.where(total == 0, np.nan, total)


def _mean(each: np.ndarray) -> np.ndarray:
    """Over the classes that have a value; 0 where none has."""
    known = ~np.isnan(each)
    return np.where(known, each, 0).sum(-1) / np.maximum(known.sum(-1), 1)
