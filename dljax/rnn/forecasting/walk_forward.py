"""Walk-forward evaluation: forecast, observe, and refit at intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dljax.rnn.forecasting.baselines import Fit


class Backtest(NamedTuple):
    """origins: int [N]. predictions: [N, H, C]. fits: the rows known at each fit, in order."""

    origins: np.ndarray
    predictions: np.ndarray
    fits: tuple[int, ...]


def walk_forward(
    values: np.ndarray,
    fit: Fit,
    origins: np.ndarray,
    *,
    held: int = 0,
    refit_every: int = 0,
) -> Backtest:
    """Forecasts from each origin by a model that is given only the rows before it.

    Args:
      values: [T, C].
      fit: (known rows, held) -> predict, as in baselines.py; it may train a network.
      origins: increasing rows, the first that each forecast is for.
      held: how many of the last known rows a fit holds out for validation.
      refit_every: rows after which the model is refitted to all known rows (an expanding window);
        0: fitted once, before the first origin.

    Raises:
      ValueError: origins that do not increase or reach beyond the series.
    """
    origins = np.asarray(origins)
    if (
        not len(origins)
        or (np.diff(origins) <= 0).any()
        or not 0 < origins[0] <= origins[-1] <= len(values)
    ):
        raise ValueError("origins must be increasing rows of the series, one or more")
    age = origins - origins[0]
    generation = age // refit_every if refit_every else np.zeros(len(origins), int)
    predictions, fits = [], []
    for g in np.unique(generation):
        turn = origins[generation == g]
        predict = fit(values[: turn[0]], held)
        predictions.append(predict(values[: turn[-1]], turn))
        fits.append(int(turn[0]))
    return Backtest(origins, np.concatenate(predictions), tuple(fits))
