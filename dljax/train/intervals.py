"""Uncertainty of a mean over a few seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit


class Interval(NamedTuple):
    """A mean over seeds and its confidence interval."""

    mean: float
    low: float
    high: float

    def is_gain(self) -> bool:
        """Whether all of it lies above 0."""
        return self.low > 0

    def is_loss(self) -> bool:
        """Whether all of it lies below 0."""
        return self.high < 0


def interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval of the mean of values [S]; of a single value, without bounds.

    Of differences between two methods, seed by seed, it is that of a paired t-test.
    """
    values = np.asarray(values, np.float64)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Interval(mean, -np.inf, np.inf)
    reach = stdtrit(count - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(count)
    return Interval(mean, mean - float(reach), mean + float(reach))
