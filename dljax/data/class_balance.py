"""Rare classes beside common ones: weights of classes in a loss, and of examples in a sampling."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def class_weights(labels: np.ndarray, classes: int, power: float) -> np.ndarray:
    """Weights [classes] for a loss, n_c ** -power scaled to a mean of 1 over the examples.

    labels: int [N]. power: 1 gives every class the same total weight, 0 every example. A class
    without examples has the weight 0.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.where(counts, np.maximum(counts, 1.0) ** -power, 0.0)
    return weights / np.average(weights, weights=counts)


def positive_weights(labels: np.ndarray, power: float) -> np.ndarray:
    """Weights [K] of the presence of each label in a loss: (absent / present) ** power.

    labels: [N, K] of 0 and 1. A label that is never present, or always, has the weight 1.
    """
    present = labels.sum(0)
    absent = len(labels) - present
    both = (present > 0) & (absent > 0)
    return np.where(both, absent / np.maximum(present, 1), 1.0) ** power


def level_counts(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """How often each level is in uint8 arrays of any shapes; int [256].

    One by one, for bincount makes eight bytes of each pixel.
    """
    counts = np.zeros(256, int)
    for array in arrays:
        counts += np.bincount(array.ravel(), minlength=256)
    return counts


def sampling_weights(labels: np.ndarray, power: float) -> np.ndarray:
    """Weights [N] to draw examples by, of labels int [N]: the inverse frequency to a power.

    power: at 1 every class is drawn as often as any other, at 0 every example.
    """
    return np.bincount(labels)[labels] ** -float(power)


def draw(random: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """As many indices int [N] as there are weights [N], in random order, each in proportion to its.

    Systematic sampling (Madow 1949): an example whose expected number of draws is between n and
    n + 1 is drawn n or n + 1 times, so that an epoch of them leaves out as little as it can.
    """
    order = random.permutation(len(weights))
    order = order[np.argsort(weights[order], kind="stable")]  # examples of a class side by side
    ends = np.cumsum(weights[order])
    ends = np.floor(ends * (len(weights) / ends[-1]) + random.random()).astype(int)
    ends[-1] = len(weights)  # whatever the rounding
    return random.permutation(np.repeat(order, np.diff(ends, prepend=0)))
