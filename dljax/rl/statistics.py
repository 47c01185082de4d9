"""Statistics of a few seeds (Agarwal et al. 2021, "Deep RL at the edge of the precipice")."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A value and its interval."""

    value: float
    low: float
    high: float


def interquartile_mean(values: np.ndarray, samples: int = 5000, seed: int = 0) -> Estimate:
    """Mean of the middle half of values [S], with the 95 % percentile bootstrap over the seeds.

    A value that the quartiles cut counts for its part: four seeds have a mean of two, five one of
    the middle one and three quarters of each neighbour. With one seed the interval is that value.
    """
    values = np.asarray(values, float)
    drawn = np.random.default_rng(seed).choice(values, (samples, len(values)))
    low, high = np.percentile(_middle(drawn), (2.5, 97.5))
    return Estimate(float(_middle(values)), float(low), float(high))


def _middle(values: np.ndarray) -> np.ndarray:
    n = values.shape[-1]
    edges = np.arange(n + 1)
    weight = np.diff(np.clip(edges, n / 4, 3 * n / 4))  # of each rank: its part in the middle half
    return (np.sort(values) * weight).sum(-1) / weight.sum()
