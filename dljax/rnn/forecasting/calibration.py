"""Calibration of prediction intervals by the errors on a validation part.

Split conformal prediction measures the errors on data that the model was not fitted to, and widens
each forecast by their quantile. Its coverage guarantee needs exchangeable errors; a series that
changes violates it, so the coverage on the test part should be reported too. `adaptive` corrects
the width over time and needs no such assumption.

Forecasts are [N, H, C] at consecutive origins; every step and column has its own width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def residual_quantiles(
    predictions: np.ndarray, truth: np.ndarray, levels: Sequence[float]
) -> np.ndarray:
    """Quantiles of the residuals truth - prediction, to be added to a forecast; [H, C, Q].

    With n windows the level is moved outwards to ceil((n + 1) tau) / n above 0.5, and symmetrically
    below it, as split conformal prediction requires (Lei et al. 2018, section 2.2), but at most to
    the largest residual.
    """
    residuals = np.asarray(truth, np.float64) - predictions
    n = len(residuals)
    tau = np.asarray(levels, np.float64)
    outer = np.minimum(np.ceil((n + 1) * np.maximum(tau, 1 - tau) - 1e-9) / n, 1)
    upper = np.quantile(residuals, outer, axis=0, method="inverted_cdf")
    lower = -np.quantile(-residuals, outer, axis=0, method="inverted_cdf")
    middle = np.median(residuals, axis=0)
    tau = tau[:, None, None]
    return np.moveaxis(np.where(tau > 0.5, upper, np.where(tau < 0.5, lower, middle)), 0, -1)


def conformal_radius(scores: np.ndarray, level: float) -> np.ndarray:
    """The ceil((n + 1) level)-th smallest of scores [N, ...], the largest if there are too few.

    scores: |truth - prediction| for intervals around a point, or `beyond` for quantiles.
    """
    n = len(scores)
    rank = min(int(np.ceil((n + 1) * level - 1e-9)), n)
    return np.partition(scores, rank - 1, axis=0)[rank - 1]


def beyond(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The distance of the truth from an interval, negative inside; [N, H, C].

    The score of conformalised quantile regression: the interval [low - r, high + r], with r the
    `conformal_radius` of these, covers (Romano et al. 2019, equations 6 to 8).
    """
    return np.maximum(low - truth, truth - high)


def adaptive(
    earlier: np.ndarray, scores: np.ndarray, level: float, rate: float = 0.02
) -> np.ndarray:
    """The radius for each window [N, H, C], corrected by the misses known at its origin.

    The quantile tracker of Angelopoulos, Candes and Tibshirani 2023 (equation 4): after a miss the
    radius grows by rate * level * b, otherwise it shrinks by rate * (1 - level) * b, with b the
    largest earlier score. The share of misses converges to 1 - level for any series.

    Args:
      earlier: scores of the validation windows [M, H, C], which give the first radius.
      scores: scores of the windows to cover [N, H, C], one row apart; at the n-th origin, those of
        step h (from 1) are known up to window n - h.
      level: the share to cover.
      rate: how fast the radius follows.
    """
    radius = conformal_radius(earlier, level).astype(np.float64)
    unit = rate * np.max(np.abs(earlier), axis=0)
    out = np.empty(scores.shape)
    missed = np.empty(scores.shape, bool)
    steps = np.arange(scores.shape[1])
    for n in range(len(scores)):
        done = steps[steps < n]  # step h + 1 of window n - h - 1 is known by now
        miss = missed[n - done - 1, done]
        radius[done] += unit[done] * (miss - (1 - level))
        out[n] = radius
        missed[n] = scores[n] > radius
    return out
