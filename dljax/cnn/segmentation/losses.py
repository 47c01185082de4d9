"""Losses of semantic segmentation, of logits [B, H, W, C] and class ids int [B, H, W].

Volumes have one axis more.

A pixel whose id is IGNORE counts nowhere. A loss is a function (logits, labels) -> value, the mean
over the batch that is minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.class_balance import level_counts
from dljax.train.metrics import softmax_loss

Array = jax.Array
Loss = Callable[[Array, Array], Array]

IGNORE = 255


def known(labels: Array) -> tuple[Array, Array]:
    """Class ids with 0 in place of IGNORE, and 1 where a pixel counts (float32)."""
    counts = labels != IGNORE
    return jnp.where(counts, labels, 0), counts.astype(jnp.float32)


def cross_entropy(weights: Sequence[float] | None = None, label_smoothing: float = 0.0) -> Loss:
    """The mean of -log p of the true class, in nats; weights: of the classes [C].

    With weights the mean is that of the weighted pixels (as torch.nn.CrossEntropyLoss has it).
    """

    def loss(logits: Array, labels: Array) -> Array:
        labels, counts = known(labels)
        if weights is not None:
            counts = counts * jnp.asarray(weights, jnp.float32)[labels]
        values = softmax_loss(logits, labels, label_smoothing) * counts
        return values.sum() / jnp.maximum(counts.sum(), 1e-6)

    return loss


def focal(gamma: float = 2.0, weights: Sequence[float] | None = None) -> Loss:
    """(1 - p)^gamma times the cross-entropy (Lin et al. 2017, arXiv:1708.02002, equation 4)."""

    def loss(logits: Array, labels: Array) -> Array:
        labels, counts = known(labels)
        values = softmax_loss(logits, labels)
        values = (1 - jnp.exp(-values)) ** gamma * values
        if weights is not None:
            values = values * jnp.asarray(weights, jnp.float32)[labels]
        return (values * counts).sum() / jnp.maximum(counts.sum(), 1)

    return loss


def dice(smooth: float = 1.0) -> Loss:
    """1 - the mean over classes of the soft Dice coefficient of the batch (Milletari et al. 2016).

    2 sum(p y) / (sum(p^2) + sum(y)) with p the probability of a class and y 1 where it is true
    (arXiv:1606.04797, section 3). A class that is nowhere in the batch does not count.
    """

    def loss(logits: Array, labels: Array) -> Array:
        labels, counts = known(labels)
        p = jax.nn.softmax(logits) * counts[..., None]
        true = jax.nn.one_hot(labels, logits.shape[-1]) * counts[..., None]
        axes = tuple(range(labels.ndim))
        overlap, total = 2 * (p * true).sum(axes), (p**2).sum(axes) + true.sum(axes)
        present = (true.sum(axes) > 0).astype(jnp.float32)
        value = 1 - (overlap + smooth) / (total + smooth)
        return (value * present).sum() / jnp.maximum(present.sum(), 1)

    return loss


def total(*losses: Loss) -> Loss:
    """The sum of several losses."""
    return lambda logits, labels: sum(loss(logits, labels) for loss in losses)


def frequencies(masks: np.ndarray, classes: int) -> np.ndarray:
    """The share of each class among the labelled pixels of masks [N, H, W]; float64 [C]."""
    counts = level_counts(masks)[:classes]
    return counts / max(counts.sum(), 1)


def enet_weights(frequency: np.ndarray, c: float = 1.02) -> tuple[float, ...]:
    """1 / ln(c + p) for classes of frequency p (Paszke et al. 2016, arXiv:1606.02147, section 5.2).

    From 1.4 of a class that fills the image to 50 of one that is nearly absent.
    """
    return tuple((1 / np.log(c + frequency)).tolist())


def median_weights(frequency: np.ndarray) -> tuple[float, ...]:
    """Median frequency over frequency (Eigen & Fergus 2015, section 6.2); 0 of an absent class."""
    median = np.median(frequency[frequency > 0])
    safe = np.where(frequency > 0, frequency, 1)
    return tuple(np.where(frequency > 0, median / safe, 0.0).tolist())
