"""Metrics of forecasts on the host: errors, skill, coverage, direction, and their uncertainty.

Forecasts and truth are [N, H, C] in one unit, window by window. Neighbouring windows share most of
their future and are not independent: confidence intervals are those of a bootstrap of blocks of
windows, with all columns together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dljax.train.bootstrap import Estimate, block_means, estimate


def mase_scale(train: np.ndarray, season: int = 1) -> np.ndarray:
    """Mean absolute error of repeating the last season one step ahead on train [T, C]: [C].

    Hyndman and Koehler 2006, equation 7, with the season of Makridakis et al. 2020. Raises
    ValueError where it is zero or the rows are too few.
    """
    if len(train) <= season:
        raise ValueError(f"the scale of MASE needs more than a season of {season} rows")
    scale = np.abs(train[season:].astype(np.float64) - train[:-season]).mean(0)
    if (scale == 0).any():
        raise ValueError("a column repeats itself season by season: MASE has no scale")
    return scale


def errors(predictions: np.ndarray, truth: np.ndarray, scale: np.ndarray) -> dict[str, float]:
    """Mean squared, mean absolute and mean absolute scaled error (MASE) over all entries.

    scale: `mase_scale` [C].
    """
    error = np.asarray(predictions, np.float64) - truth
    absolute = np.abs(error)
    return {
        "mse": float(np.square(error).mean()),
        "mae": float(absolute.mean()),
        "mase": float((absolute / scale).mean()),
    }


def covered(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Share of the truth within intervals, ends included, and their mean width."""
    inside = (low <= truth) & (truth <= high)
    return {"coverage": float(inside.mean()), "width": float(np.mean(high - low))}


class Direction(NamedTuple):
    """Shares of changes with the predicted sign, and of those that are positive ('always up')."""

    accuracy: Estimate
    up: Estimate
    changes: int


def direction(
    predicted: np.ndarray, change: np.ndarray, block: int, confidence: float = 0.95
) -> Direction:
    """How often the sign of a predicted change [N, C] is that of the actual change [N, C].

    Changes of zero are left out; a prediction of zero is wrong. For changes over h steps, `block`
    is h or more. Raises ValueError where nothing changed.
    """
    moved = change != 0
    if not moved.any():
        raise ValueError("no value changed: there is no direction to forecast")
    right = (np.sign(predicted) == np.sign(change)) & moved
    counts = np.stack([right.sum(1), (change > 0).sum(1), moved.sum(1)], -1)
    mean, sampled = counts.mean(0), block_means(counts, block)
    with np.errstate(invalid="ignore"):
        accuracy, up = (
            estimate(mean[i] / mean[2], sampled[:, i] / sampled[:, 2], confidence) for i in range(2)
        )
    return Direction(accuracy, up, int(moved.sum()))
