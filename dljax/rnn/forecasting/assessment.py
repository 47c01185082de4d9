"""Evaluation of forecasts against baselines: errors, quantiles and calibrated intervals.

Everything is on the host, over the windows of a `Windows`, in its scaled units; predictions and
truth are [N, H, C].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.windows import Windows
from dljax.rnn.forecasting import calibration, forecast_metrics
from dljax.rnn.forecasting.baselines import Fit
from dljax.rnn.forecasting.forecaster import Forecaster, predictions
from dljax.rnn.forecasting.likelihoods import interval_ends
from dljax.train.supervised import State


class Forecast(NamedTuple):
    """Forecasts of a part: values [N, H, C] and quantiles.

    quantile: index of a level -> [N, H, C].
    """

    values: np.ndarray
    quantile: Callable[[int], np.ndarray]


class Forecasts(NamedTuple):
    """One forecaster's forecasts of the validation and the test windows.

    offsets: [H, C, L], what is added to a point forecast to give its quantiles; None where the
    forecaster predicts quantiles. parts: of several series, those of each; there are no offsets.
    seeds: those of each of several seeds for the test windows [N, S, H, C], where the forecasts are
    the mean of theirs.
    """

    validation: Forecast
    test: Forecast
    offsets: np.ndarray | None = None
    parts: tuple[Forecasts, ...] = ()
    seeds: np.ndarray | None = None


class Interval(NamedTuple):
    """Intervals of the test windows.

    low, high: [N, H, C]. radius: [H, C] ([S, H, C] of S series), by which a forecast after the test
    part is widened.
    """

    low: np.ndarray
    high: np.ndarray
    radius: np.ndarray


def with_quantiles(
    validation: np.ndarray, test: np.ndarray, quantiles: Sequence[np.ndarray]
) -> Forecasts:
    """The Forecasts of a forecaster with quantiles [N, H, C, L], of validation and test."""

    def forecast(values: np.ndarray, q: np.ndarray) -> Forecast:
        return Forecast(values, lambda i: q[..., i])

    return Forecasts(forecast(validation, quantiles[0]), forecast(test, quantiles[1]))


def without_quantiles(
    validation: np.ndarray, test: np.ndarray, truth: np.ndarray, levels: Sequence[float]
) -> Forecasts:
    """The Forecasts of a point forecaster, with the quantiles of its errors on validation.

    truth: of the validation windows.
    """
    offsets = calibration.residual_quantiles(validation, truth, levels).astype(np.float32)

    def forecast(values: np.ndarray) -> Forecast:
        return Forecast(values, lambda i: values + offsets[..., i])

    return Forecasts(forecast(validation), forecast(test), offsets)


def joined(parts: Sequence[Forecasts]) -> Forecasts:
    """The Forecasts of several series as one; of one as they are."""
    if len(parts) == 1:
        return parts[0]

    def forecast(name: str) -> Forecast:
        each = [getattr(part, name) for part in parts]
        values = np.concatenate([f.values for f in each])
        return Forecast(values, lambda i: np.concatenate([f.quantile(i) for f in each]))

    return Forecasts(forecast("validation"), forecast("test"), parts=tuple(parts))


def of_network(
    forecaster: Forecaster, states: State, data: Windows, levels: Sequence[float]
) -> Forecasts:
    """The Forecasts of trained seeds (a Run's states), the mean over them."""
    found = {n: predictions(forecaster, states, getattr(data, n)) for n in ("validation", "test")}
    parts = []
    for one, where in data.each():
        values, quantiles, _ = zip(*([x[where[n]] for x in found[n]] for n in found), strict=True)
        if forecaster.likelihood.levels:
            parts.append(with_quantiles(*values, quantiles))
        else:
            parts.append(without_quantiles(*values, one.truth("validation"), levels))
    return joined(parts)._replace(seeds=found["test"][2])


def of_baselines(
    data: Windows, fits: Mapping[str, Fit], levels: Sequence[float]
) -> dict[str, Forecasts]:
    """The Forecasts of baselines, fitted on the training part, selected on the validation part."""
    first, end = data.split.validation
    truth, forecasts = data.truth("validation"), {}
    for name, fit in fits.items():
        predict = fit(data.values[:end], end - first)
        parts = (predict(data.values, data.origins[part]) for part in ("validation", "test"))
        forecasts[name] = without_quantiles(*parts, truth, levels)
    return forecasts


def measures(
    forecasts: Forecasts, data: Windows, season: int, levels: Sequence[float], level: float
) -> dict[str, float]:
    """mse, mae, mase, quantile_loss, coverage and width of the interval, on the test windows."""
    truth = data.truth("test")
    scale = mase_scale(data, season)
    errors = forecast_metrics.errors(forecasts.test.values, truth, scale)
    losses = []
    for i, tau in enumerate(levels):
        error = truth - forecasts.test.quantile(i)
        losses.append(np.maximum(tau * error, (tau - 1) * error).mean())
    low, high = (forecasts.test.quantile(i) for i in interval_ends(levels, level))
    return (
        errors
        | {"quantile_loss": float(np.mean(losses))}
        | forecast_metrics.covered(low, high, truth)
    )


def mase_of_seeds(network: Forecasts, data: Windows, season: int) -> np.ndarray:
    """The MASE of each seed on the test windows, [S]; NaN where it has no scale."""
    scale = mase_scale(data, season)
    errors = np.abs(network.seeds - data.truth("test")[:, None]).mean(2)
    return (errors / (scale if data.parts else scale[None, None])).mean((0, 2))


def mase_scale(data: Windows, season: int) -> np.ndarray:
    """The scale of MASE, [C] ([N, 1, C] of several series); NaN where training rows have none."""
    if data.parts:
        counts = [len(part.origins["test"]) for part in data.parts]
        scales = np.stack([mase_scale(part, season) for part in data.parts])
        return np.repeat(scales[:, None], counts, 0)
    try:
        return forecast_metrics.mase_scale(data.values[slice(*data.split.train)], season)
    except ValueError:
        return np.full(data.values.shape[1], np.nan)


def intervals(
    forecasts: Forecasts, data: Windows, levels: Sequence[float], level: float
) -> dict[str, Interval]:
    """The central interval as forecast ('none'), and calibrated in two ways.

    'conformal': widened (or narrowed) by split conformal prediction on the validation part.
    'adaptive': the same at first, then corrected by the misses known at each window's origin.
    """
    if data.parts:
        pairs = zip(forecasts.parts, data.parts, strict=True)
        each = [intervals(f, part, levels, level) for f, part in pairs]
        return {name: _joined_interval([found[name] for found in each]) for name in each[0]}
    truth = {part: data.truth(part) for part in ("validation", "test")}
    low, high = (
        {part: getattr(forecasts, part).quantile(i) for part in truth}
        for i in interval_ends(levels, level)
    )
    score = {part: calibration.beyond(low[part], high[part], truth[part]) for part in truth}
    fixed = calibration.conformal_radius(score["validation"], level)
    extended = np.concatenate([score["test"], score["test"][-1:]])  # its last row has no effect
    moving = calibration.adaptive(score["validation"], extended, level)
    radii = {
        "none": (np.zeros_like(fixed), np.zeros_like(fixed)),
        "conformal": (fixed, fixed),
        "adaptive": (moving[:-1], moving[-1]),
    }
    return {
        name: Interval(*widened(forecasts.test.values, low["test"], high["test"], r), last)
        for name, (r, last) in radii.items()
    }


def _joined_interval(parts: Sequence[Interval]) -> Interval:
    low, high = (np.concatenate([getattr(part, end) for part in parts]) for end in ("low", "high"))
    return Interval(low, high, np.stack([part.radius for part in parts]))


def widened(
    value: np.ndarray, low: np.ndarray, high: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[low - radius, high + radius], extended to contain the forecast value."""
    return np.minimum(low - radius, value), np.maximum(high + radius, value)
