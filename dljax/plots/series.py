"""Pictures of time series: forecasts with their intervals, errors by step, residuals, backtests.

`time` is datetime64 or a number; NaN leaves a gap.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.dates as dates
import numpy as np
from matplotlib.axes import Axes

from dljax.plots import canvas

TRUTH, FORECAST = "#30363c", canvas.MAIN
OTHERS = ("#e07b1a", "#2c8f4a", "#8e5bb5", "#b08a2e", "#4aa5b5", "#c0392b", "#7f7f7f")


class ForecastPanel(NamedTuple):
    """One forecast of one series: the past, the forecast, the actual values (None: not known yet).

    bands: (low [H], high [H]) from the widest to the narrowest. others: name -> [H] of baselines.
    """

    title: str
    past_time: np.ndarray
    past: np.ndarray
    time: np.ndarray
    value: np.ndarray
    truth: np.ndarray | None = None
    bands: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    others: Mapping[str, np.ndarray] = {}


def forecasts(panels: Sequence[ForecastPanel], title: str, path: Path | str) -> None:
    """A panel for each forecast, in up to three columns."""
    columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    rows = -(-len(panels) // columns)
    figure = canvas.figure(max(4.6 * columns, 6), 2.7 * rows + 0.6)
    figure.suptitle(title, fontsize=11)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        _forecast(axes, panel)
        axes.set_title(panel.title, fontsize=9)
    named = {}
    for axes in figure.axes:
        named |= {label: h for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        named.values(), named, loc="outside lower center", ncols=min(len(named), 5), fontsize=8
    )
    canvas.save(figure, path)


def _forecast(axes: Axes, panel: ForecastPanel) -> None:
    for i, (low, high) in enumerate(panel.bands):
        label = "interval" if i == 0 else None
        axes.fill_between(
            panel.time, low, high, color=FORECAST, alpha=0.18, linewidth=0, label=label
        )
    # The lines begin at the last known value, so that they are continuous.
    time = np.concatenate([panel.past_time[-1:], panel.time])

    def joined(values: np.ndarray) -> np.ndarray:
        return np.concatenate([panel.past[-1:], values])

    axes.plot(panel.past_time, panel.past, color=TRUTH, linewidth=1.1, label="observed")
    if panel.truth is not None:
        axes.plot(
            time, joined(panel.truth), color=TRUTH, linewidth=1.1, linestyle=":", label="actual"
        )
    for colour, (name, values) in zip(OTHERS, panel.others.items(), strict=False):
        axes.plot(time, joined(values), color=colour, linewidth=1, linestyle="--", label=name)
    axes.plot(time, joined(panel.value), color=FORECAST, linewidth=1.5, label="forecast")
    axes.axvline(panel.past_time[-1], color="grey", linewidth=0.6, label="forecast begins")
    _time_axis(axes, panel.past_time)


def error_by_step(errors: Mapping[str, np.ndarray], path: Path | str, measure: str = "MAE") -> None:
    """Mean error [H] at each step ahead, the model (the first) against the others.

    The axis is logarithmic where others' errors reach more than twice the model's largest.
    """
    figure = canvas.figure(8.5, 4)
    axes = figure.add_subplot()
    for i, (name, values) in enumerate(errors.items()):
        axes.plot(
            np.arange(1, len(values) + 1),
            values,
            "-" if i == 0 else "--",
            color=(FORECAST, *OTHERS)[i % (len(OTHERS) + 1)],
            linewidth=2 if i == 0 else 1.2,
            marker="o" if len(values) < 20 else None,
            markersize=3,
            label=f"{name} {np.mean(values):.4g}",
        )
    axes.set(title=f"{measure} by step ahead", xlabel="step ahead", ylabel=measure)
    top = max(np.max(values) for values in errors.values())
    if top > 2 * np.max(next(iter(errors.values()))):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.05 * top)
    axes.grid(alpha=0.3, linewidth=0.5)
    figure.legend(loc="outside right center", fontsize=8, title="mean over steps", title_fontsize=8)
    canvas.save(figure, path)


def residuals(
    time: np.ndarray, errors: np.ndarray, title: str, path: Path | str, lags: int = 40
) -> None:
    """Errors (forecast - truth) [N] over time, their distribution, their autocorrelation.

    Bars within the shaded band are not significantly different from white noise (95 %).
    """
    figure = canvas.figure(13, 3.4)
    figure.suptitle(title, fontsize=11)
    over, spread, memory = (figure.add_subplot(1, 3, i) for i in (1, 2, 3))
    over.plot(time, errors, color=FORECAST, linewidth=0.7)
    over.axhline(0, color=TRUTH, linewidth=0.8)
    over.set_title(f"over time: mean {errors.mean():.3g}, deviation {errors.std():.3g}", fontsize=9)
    _time_axis(over, time)

    spread.hist(errors, bins=min(50, max(10, len(errors) // 10)), density=True, color=canvas.OTHER)
    x = np.linspace(errors.min(), errors.max(), 200)
    deviation = max(errors.std(), 1e-12)
    normal = np.exp(-0.5 * ((x - errors.mean()) / deviation) ** 2) / deviation / np.sqrt(2 * np.pi)
    spread.plot(x, normal, color=TRUTH, linewidth=1, label="normal of that deviation")
    spread.set_title("distribution", fontsize=9)
    spread.set_xlabel("error", fontsize=8)
    spread.legend(fontsize=8)

    lags = min(lags, len(errors) // 2)
    centred = errors - errors.mean()
    power = max(float(centred @ centred), 1e-12)
    values = [float(centred[lag:] @ centred[:-lag]) / power for lag in range(1, lags + 1)]
    bound = 1.96 / np.sqrt(len(errors))
    memory.axhspan(
        -bound, bound, color=canvas.OTHER, alpha=0.5, linewidth=0, label="white noise (95 %)"
    )
    memory.bar(np.arange(1, lags + 1), values, color=FORECAST, width=0.7)
    memory.set_title("autocorrelation", fontsize=9)
    memory.set_xlabel("lag, steps", fontsize=8)
    memory.legend(fontsize=8)
    for axes in (spread, memory):
        axes.tick_params(labelsize=7)
    canvas.save(figure, path)


def coverage(
    levels: Sequence[float], shares: Mapping[str, np.ndarray], title: str, path: Path | str
) -> None:
    """Share of values below each quantile [L] against its level, with the ideal diagonal."""
    figure = canvas.figure(4.6, 4.4)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=TRUTH, linewidth=0.8, label="as it should be")
    for colour, (name, values) in zip((FORECAST, *OTHERS), shares.items(), strict=False):
        axes.plot(levels, values, "o-", color=colour, markersize=4, label=name)
    axes.set(title=title, xlabel="level of the quantile", ylabel="share of values below it")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize=8)
    canvas.save(figure, path)


def backtest(
    time: np.ndarray,
    truth: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    title: str,
    path: Path | str,
    refits: np.ndarray | None = None,
) -> None:
    """Walk-forward forecasts [T] over the truth [T], and below the cumulative absolute error.

    The first of predictions is the model. refits: times at which the models were refitted.
    """
    figure = canvas.figure(11, 5.6)
    figure.suptitle(title, fontsize=11)
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2, sharex=upper)
    upper.plot(time, truth, color=TRUTH, linewidth=0.9, label="actual")
    for i, (name, values) in enumerate(predictions.items()):
        colour = (FORECAST, *OTHERS)[i % (len(OTHERS) + 1)]
        if i == 0:
            upper.plot(time, values, color=colour, linewidth=1, label=name)
        errors = np.abs(values - truth)
        total = np.nancumsum(errors)
        label = f"{name} {np.nanmean(errors):.4g}"
        lower.plot(time, total, "-" if i == 0 else "--", color=colour, linewidth=1.2, label=label)
    for i, when in enumerate(() if refits is None else refits):
        label = None if i else "trained anew"
        upper.axvline(when, color="grey", linewidth=0.5, alpha=0.6, label=label)
    upper.legend(fontsize=8, loc="upper left")
    lower.set_ylabel("cumulative absolute error", fontsize=8)
    lower.legend(fontsize=8, title="mean absolute error", title_fontsize=8, loc="upper left")
    for axes in (upper, lower):
        axes.grid(alpha=0.3, linewidth=0.5)
        _time_axis(axes, time)
    canvas.save(figure, path)


def _time_axis(axes: Axes, time: np.ndarray) -> None:
    axes.tick_params(labelsize=7)
    if np.issubdtype(np.asarray(time).dtype, np.datetime64):
        locator = dates.AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
