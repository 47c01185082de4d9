"""The pictures of a forecasting run, from what it says of the test part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dljax import plots
from dljax.data.sources.series import Series
from dljax.data.windows import Windows
from dljax.plots import Outlook
from dljax.rnn.forecasting.assessment import Answers, Interval
from dljax.rnn.forecasting.backtest import Walk
from dljax.train.report import read_metrics

SHOWN = 6  # windows


def draw(
    folder: Path,
    series: Series,
    data: Windows,
    answers: Answers,
    reference: Mapping[str, Answers],
    levels: tuple[float, ...],
    interval: Interval,
    best: str,
    walk: Walk,
) -> None:
    """Learning curves, forecasts of some test windows, error by step, residuals and so on.

    best: the baseline that is drawn beside the forecasts. Values are in the series' own unit.
    """
    curves = read_metrics(folder.parent)
    if curves:
        plots.learning_curves(curves, folder / "learning_curves.png")
    truth, origins = data.truth("test"), data.origins["test"]
    outlooks = []
    for i, n in enumerate(np.unique(np.linspace(0, len(origins) - 1, SHOWN).astype(int))):
        column = i % truth.shape[2]
        mean, std = data.scaler.mean[column], data.scaler.std[column]
        parts = (answers.test.values, truth, interval.low, interval.high)
        value, came, low, high = (x[n, :, column] * std + mean for x in parts)
        first = origins[n]
        past = slice(max(first - min(data.window, 3 * data.horizon), 0), first)
        other = reference[best].test.values[n, :, column] * std + mean
        outlooks.append(
            Outlook(
                f"{series.columns[column]} from {_stamp(series.time[first])}",
                series.time[past],
                series.values[past, column],
                series.time[first : first + data.horizon],
                value,
                came,
                [(low, high)],
                {best: other},
            )
        )
    title = f"Forecasts on the test part, {data.horizon} steps ahead"
    plots.forecasts(outlooks, title, folder / "forecasts.png")

    def by_step(a: Answers) -> np.ndarray:
        return np.abs(a.test.values - truth).mean((0, 2))

    errors = {"network": by_step(answers)} | {n: by_step(a) for n, a in reference.items()}
    plots.error_by_step(errors, folder / "error_by_step.png", "mean absolute error (scaled)")
    first_step = (answers.test.values[:, 0, 0] - truth[:, 0, 0]) * data.scaler.std[0]
    plots.residuals(
        series.time[origins],
        first_step,
        f"Errors one step ahead, {series.columns[0]}",
        folder / "residuals.png",
    )

    shares = {
        name: np.array([(truth <= a.test.quantile(i)).mean() for i in range(len(levels))])
        for name, a in {"network": answers, best: reference[best]}.items()
    }
    plots.coverage(levels, shares, "Quantiles on the test part", folder / "coverage.png")
    _draw_walk(folder, series, data, walk, best)


def _draw_walk(folder: Path, series: Series, data: Windows, walk: Walk, best: str) -> None:
    """The backtest of the first series."""
    rows = (walk.origins[:, None] + np.arange(data.horizon)).ravel()
    mean, std = data.scaler.mean[0], data.scaler.std[0]
    names = dict.fromkeys(["network", best, "last value"])
    lines = {name: walk.predictions[name][:, :, 0].ravel() * std + mean for name in names}
    plots.backtest(
        series.time[rows],
        series.values[rows, 0],
        lines,
        f"Walking forward {data.horizon} steps at a time: {series.columns[0]}",
        folder / "backtest.png",
        series.time[list(walk.fits)],
    )


def _stamp(time: np.datetime64) -> str:
    return str(time).replace("T00:00:00", "").replace("T", " ")
