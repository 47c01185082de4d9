"""What forecasts are worth: errors beside the baselines', intervals, and words that the test bears.

Everything is on the host, over the windows of a `Windows`, in its scaled units; predictions and
truth are [N, H, C].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.windows import Windows
from dljax.rnn.forecasting import calibration, forecast_metrics
from dljax.rnn.forecasting.baselines import Fit
from dljax.rnn.forecasting.forecaster import Forecaster, predictions
from dljax.rnn.forecasting.likelihoods import interval_ends

CALIBRATIONS = ("none", "conformal", "adaptive")


class Forecast(NamedTuple):
    """A forecaster's answers for a part: values [N, H, C] and quantiles.

    quantile: number of a level -> [N, H, C].
    """

    values: np.ndarray
    quantile: Callable[[int], np.ndarray]


class Answers(NamedTuple):
    """What one forecaster says of the validation and the test windows.

    offsets: [H, C, L], what was added to the values of a point forecast to make quantiles of it;
    None where the forecaster has its own.
    """

    validation: Forecast
    test: Forecast
    offsets: np.ndarray | None = None


class Interval(NamedTuple):
    """Intervals of the test windows. low, high: [N, H, C]. radius: [H, C], what a forecast after

    the end of the test part adds on both sides."""

    low: np.ndarray
    high: np.ndarray
    radius: np.ndarray


def with_quantiles(
    validation: np.ndarray, test: np.ndarray, quantiles: Sequence[np.ndarray]
) -> Answers:
    """The Answers of a forecaster that has quantiles [N, H, C, L], of validation and test."""

    def forecast(values: np.ndarray, q: np.ndarray) -> Forecast:
        return Forecast(values, lambda i: q[..., i])

    return Answers(forecast(validation, quantiles[0]), forecast(test, quantiles[1]))


def without_quantiles(
    validation: np.ndarray, test: np.ndarray, truth: np.ndarray, levels: Sequence[float]
) -> Answers:
    """The Answers of point forecasts: their quantiles are those of the errors on validation.

    truth: of the validation windows.
    """
    offsets = calibration.residual_quantiles(validation, truth, levels).astype(np.float32)

    def forecast(values: np.ndarray) -> Forecast:
        return Forecast(values, lambda i: values + offsets[..., i])

    return Answers(forecast(validation), forecast(test), offsets)


def of_network(
    forecaster: Forecaster, states: Any, data: Windows, levels: Sequence[float]
) -> Answers:
    """The Answers of trained seeds (a Run's states), the mean over them."""
    parts = [predictions(forecaster, states, examples) for examples in (data.validation, data.test)]
    values, quantiles = zip(*parts, strict=True)
    if forecaster.likelihood.levels:
        return with_quantiles(*values, quantiles)
    return without_quantiles(*values, data.truth("validation"), levels)


def reference(
    data: Windows, fits: Mapping[str, Fit], levels: Sequence[float]
) -> dict[str, Answers]:
    """Answers by name of baselines fitted on the training part, chosen on the validation part."""
    first, end = data.split.validation
    truth, answers = data.truth("validation"), {}
    for name, fit in fits.items():
        predict = fit(data.values[:end], end - first)
        parts = (predict(data.values, data.origins[part]) for part in ("validation", "test"))
        answers[name] = without_quantiles(*parts, truth, levels)
    return answers


def measures(
    answers: Answers, data: Windows, season: int, levels: Sequence[float], level: float
) -> dict[str, float]:
    """mse, mae, mase, quantile_loss, coverage and width of the interval, on the test windows."""
    truth = data.truth("test")
    scale = mase_scale(data, season)
    errors = forecast_metrics.errors(answers.test.values, truth, scale)
    losses = []
    for i, tau in enumerate(levels):
        error = truth - answers.test.quantile(i)
        losses.append(np.maximum(tau * error, (tau - 1) * error).mean())
    low, high = (answers.test.quantile(i) for i in interval_ends(levels, level))
    return (
        errors
        | {"quantile_loss": float(np.mean(losses))}
        | forecast_metrics.covered(low, high, truth)
    )


def mase_scale(data: Windows, season: int) -> np.ndarray:
    """What MASE divides by, [C]; NaN where the training part has no such scale."""
    try:
        return forecast_metrics.mase_scale(data.values[slice(*data.split.train)], season)
    except ValueError:
        return np.full(data.values.shape[1], np.nan)


def intervals(
    answers: Answers, data: Windows, levels: Sequence[float], level: float
) -> dict[str, Interval]:
    """The central interval as forecast ('none'), and calibrated in two ways.

    'conformal': widened (or narrowed) by what the validation part asks for, fixed from then on.
    'adaptive': begun so, and corrected by the misses seen before each window's origin.
    """
    truth = {part: data.truth(part) for part in ("validation", "test")}
    low, high = (
        {part: getattr(answers, part).quantile(i) for part in truth}
        for i in interval_ends(levels, level)
    )
    score = {part: calibration.beyond(low[part], high[part], truth[part]) for part in truth}
    fixed = calibration.conformal_radius(score["validation"], level)
    coming = np.concatenate([score["test"], score["test"][-1:]])  # its last row is not looked at
    moving = calibration.adaptive(score["validation"], coming, level)
    radii = {
        "none": (np.zeros_like(fixed), np.zeros_like(fixed)),
        "conformal": (fixed, fixed),
        "adaptive": (moving[:-1], moving[-1]),
    }
    return {
        name: Interval(*widened(answers.test.values, low["test"], high["test"], r), last)
        for name, (r, last) in radii.items()
    }


def widened(
    value: np.ndarray, low: np.ndarray, high: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[low - radius, high + radius], but with the forecast value always inside."""
    return np.minimum(low - radius, value), np.maximum(high + radius, value)
