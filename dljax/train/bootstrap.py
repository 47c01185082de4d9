"""Uncertainty of scores over time, whose neighbours are not independent: the block bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A value and its confidence interval."""

    value: float
    low: float
    high: float


def block_means(values: np.ndarray, block: int, samples: int = 2000, seed: int = 0) -> np.ndarray:
    """Means [samples, K] of values [N, K] resampled in blocks of neighbours.

    The circular block bootstrap (Politis and Romano 1992); `block` should not be shorter than the
    time over which neighbours are alike (of forecasts, the horizon).
    """
    n = len(values)
    block = min(block, n)
    count = -(-n // block)
    rest = n - (count - 1) * block
    wrapped = np.concatenate([values, values[:block]]).astype(np.float64)
    sums = np.concatenate([np.zeros((1, values.shape[1])), wrapped.cumsum(0)])
    starts = np.random.default_rng(seed).integers(0, n, (samples, count))
    lengths = np.full(count, block)
    lengths[-1] = rest
    return (sums[starts + lengths] - sums[starts]).sum(1) / n


def skill(
    losses: np.ndarray, reference: np.ndarray, block: int, confidence: float = 0.95
) -> Estimate:
    """1 - loss / reference over stamps or windows [N]: above 0 where the losses are the lower ones.

    The difference is significant where the interval excludes 0.
    """
    pairs = np.stack([losses, reference], -1)
    mean, sampled = pairs.mean(0), block_means(pairs, block)
    with np.errstate(divide="ignore", invalid="ignore"):  # a reference without any error
        value, values = 1 - mean[0] / mean[1], 1 - sampled[:, 0] / sampled[:, 1]
    return estimate(value, values, confidence)


def estimate(value: float, sampled: np.ndarray, confidence: float = 0.95) -> Estimate:
    """A value with the percentile interval of its bootstrap values, those that are not NaN."""
    if not np.isfinite(sampled).any():
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.nanquantile(sampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(low), float(high))
