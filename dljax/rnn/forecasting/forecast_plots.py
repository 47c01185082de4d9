"""The pictures of a forecasting run, from its forecasts of the test part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dljax import plots
from dljax.data.sources.series import Series
from dljax.data.windows import Windows
from dljax.rnn.forecasting.assessment import Forecasts, Interval
from dljax.rnn.forecasting.backtest import Walk

SHOWN = 6  # windows


def draw(
    folder: Path,
    series: Series,
    data: Windows,
    networks: Mapping[str, Forecasts],
    reference: Mapping[str, Forecasts],
    levels: tuple[float, ...],
    interval: Interval,
    best: str,
    walk: Walk,
) -> None:
    """Forecasts of some test windows, error by step, residuals, coverage and the backtest.

    networks: by name, first the forecasts that are used. best: the baseline that is drawn beside
    them. Values are in the series' own unit.
    """
    name, network = next(iter(networks.items()))
    truth, origins = data.truth("test"), data.origins["test"]
    panels = []
    for i, n in enumerate(np.unique(np.linspace(0, len(origins) - 1, SHOWN).astype(int))):
        column = i % truth.shape[2]
        mean, std = data.scaler.mean[column], data.scaler.std[column]
        parts = (network.test.values, truth, interval.low, interval.high)
        value, actual, low, high = (x[n, :, column] * std + mean for x in parts)
        first = origins[n]
        past = slice(max(first - min(data.window, 3 * data.horizon), 0), first)
        other = reference[best].test.values[n, :, column] * std + mean
        panels.append(
            plots.ForecastPanel(
                f"{series.columns[column]} from {_stamp(series.time[first])}",
                series.time[past],
                series.values[past, column],
                series.time[first : first + data.horizon],
                value,
                actual,
                [(low, high)],
                {best: other},
            )
        )
    title = f"Forecasts on the test part, {data.horizon} steps ahead"
    plots.forecasts(panels, title, folder / "forecasts.png")

    def by_step(f: Forecasts) -> np.ndarray:
        return np.abs(f.test.values - truth).mean((0, 2))

    errors = {n: by_step(f) for n, f in {**networks, **reference}.items()}
    plots.error_by_step(errors, folder / "error_by_step.png", "mean absolute error (scaled)")
    first_step = (network.test.values[:, 0, 0] - truth[:, 0, 0]) * data.scaler.std[0]
    plots.residuals(
        series.time[origins],
        first_step,
        f"Errors one step ahead, {series.columns[0]}",
        folder / "residuals.png",
    )

    shares = {
        n: np.array([(truth <= f.test.quantile(i)).mean() for i in range(len(levels))])
        for n, f in {name: network, best: reference[best]}.items()
    }
    plots.coverage(levels, shares, "Quantiles on the test part", folder / "coverage.png")
    _draw_walk(folder, series, data, walk, (name, best))


def _draw_walk(
    folder: Path, series: Series, data: Windows, walk: Walk, shown: tuple[str, ...]
) -> None:
    """The backtest of the first series."""
    rows = (walk.origins[:, None] + np.arange(data.horizon)).ravel()
    mean, std = data.scaler.mean[0], data.scaler.std[0]
    names = dict.fromkeys([*shown, "last value"])
    lines = {name: walk.predictions[name][:, :, 0].ravel() * std + mean for name in names}
    plots.backtest(
        series.time[rows],
        series.values[rows, 0],
        lines,
        f"Walk-forward forecasts, {data.horizon} steps at a time: {series.columns[0]}",
        folder / "backtest.png",
        series.time[list(walk.fits)],
    )


def _stamp(time: np.datetime64) -> str:
    return str(time).replace("T00:00:00", "").replace("T", " ")
