"""The walk-forward backtest of a network and its baselines, over consecutive windows.

Each forecast is for the H rows after those of the one before, so every row of the test part is
forecast once. With refits, network and baselines are retrained at intervals on all rows known by
then; without, they are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources.series import Series
from dljax.data.windows import Scaler, Split, Windows
from dljax.rnn.forecasting.assessment import Forecasts
from dljax.rnn.forecasting.baselines import Fit, Predict
from dljax.rnn.forecasting.forecaster import Forecaster, predictions
from dljax.rnn.forecasting.walk_forward import walk_forward
from dljax.train import driver
from dljax.train.loop import Task
from dljax.train.parallel import Placement


class Walk(NamedTuple):
    """origins: int [N]. predictions: name -> [N, H, C], scaled. fits: rows known at each fit."""

    origins: np.ndarray
    predictions: dict[str, np.ndarray]
    fits: tuple[int, ...] = ()


def without_refits(data: Windows, forecasts: Mapping[str, Forecasts]) -> Walk:
    """The walk of existing forecasts of every window of the test part."""
    where = [found["test"] for _, found in data.each()]
    picked = np.concatenate([np.arange(s.start, s.stop, data.horizon) for s in where])
    return Walk(
        data.origins["test"][picked], {n: f.test.values[picked] for n, f in forecasts.items()}
    )


def with_refits(data: Windows, fits: Mapping[str, Fit], times: int) -> Walk:
    """The walk of models that are fitted `times` times, evenly over the test part."""
    first, end = data.split.test
    origins = data.origins["test"][:: data.horizon]
    held = data.split.validation[1] - data.split.validation[0]
    every = -(-(end - first) // times)
    walks = {
        name: walk_forward(data.values, fit, origins, held=held, refit_every=every)
        for name, fit in fits.items()
    }
    known = next(iter(walks.values())).fits
    return Walk(origins, {name: walk.predictions for name, walk in walks.items()}, known)


def network(
    forecaster: Forecaster,
    task: Task,
    make: Callable[[Series, Split], Windows],
    series: Series,
    scaler: Scaler,
    *,
    steps: int,
    seeds: tuple[int, ...],
    placement: Placement,
) -> Fit:
    """A Fit that trains `task` for `steps` steps on all known rows, holding out none.

    make: (series, split) -> its windows. scaler: of the units in which it forecasts; each training
    scales by its own rows.
    """

    def fit(values: np.ndarray, held: int) -> Predict:
        del held
        rows = len(values)
        later = (rows, len(series.time))
        data = make(series, Split((0, rows), later, later))
        result = driver.train(task, data.train, steps=steps, seeds=seeds, placement=placement)
        forecasts, *_ = predictions(forecaster, result.run.states, data.test)
        forecasts = scaler.apply(data.scaler.undo(forecasts))

        def predict(values: np.ndarray, origins: np.ndarray) -> np.ndarray:
            del values
            return forecasts[origins - rows].astype(np.float32)

        return predict

    return fit


def errors(walk: Walk, data: Windows) -> dict[str, Any]:
    """Mean absolute and squared error of each model over the walk, and how often it was fitted."""
    truth = data.truth("test")[np.searchsorted(data.origins["test"], walk.origins)]
    table = {
        name: {"mae": float(np.abs(p - truth).mean()), "mse": float(np.square(p - truth).mean())}
        for name, p in walk.predictions.items()
    }
    return {"windows": len(walk.origins), "fits_at_rows": list(walk.fits), "errors": table}
