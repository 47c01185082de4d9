"""Baseline detectors without a network.

DETECTORS are (Labelled) -> scores [T], causal, larger for less expected rows.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfc

from dljax.data.anomaly_series import Labelled
from dljax.rnn.anomaly import prequential

TINY = 1e-6


def windowed_gaussian(series: Labelled, window: int = 6400, step: int = 100) -> np.ndarray:
    """1 - Q(|x - mean| / deviation) by the last `window` values, updated every `step` rows.

    NAB's baseline of that name: the window grows row by row until it is full.
    """
    x = series.values
    total, squares = (np.concatenate([[0.0], np.cumsum(y)]) for y in (x - x[0], (x - x[0]) ** 2))
    row = np.arange(1, len(x))
    first = np.maximum(row - window, 0) // step * step
    end = np.minimum(row, first + window)
    mean = (total[end] - total[first]) / (end - first)
    variance = (squares[end] - squares[first]) / (end - first) - mean**2
    deviation = np.sqrt(np.maximum(variance, 0))
    z = np.abs(x[1:] - x[0] - mean) / np.where(deviation > TINY, deviation, TINY)
    return np.concatenate([[0.0], 1 - 0.5 * erfc(z / np.sqrt(2))])


def seasonal_z(series: Labelled) -> np.ndarray:
    """|x_t - x_(t - season)| standardised by its running moments (a season is a day or week).

    Rows of the first season are compared with the previous row.
    """
    season = prequential.season(series)
    row = np.arange(len(series.values))
    past = np.where(row >= season, row - season, np.maximum(row - 1, 0))
    change = series.values - series.values[past]
    mean, deviation = prequential.running_moments(change)
    return np.abs(change - mean) / deviation


DETECTORS = {"windowed Gaussian": windowed_gaussian, "seasonal z": seasonal_z}
