"""Pictures of a training run, whatever its topic."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from dljax.plots import canvas


def learning_curves(metrics: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path | str) -> None:
    """One panel a metric, one line a part, with a band over the seeds.

    metrics: 'part/metric' -> (steps [T], values [T, S]), what `report.read_metrics` returns; NaN is
    left out. The line is the mean, the band goes from the smallest to the largest seed, the
    legend shows the last mean and deviation. The axis is logarithmic where all values are positive
    and span a factor of 10. Else it holds all values, unless those of the first tenth of the run
    would flatten the rest: then it says that they lie beyond it.
    """
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for name, series in metrics.items():
        part, _, metric = name.rpartition("/")
        panels.setdefault(metric, {})[part] = series
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    rows = math.ceil(len(panels) / columns)
    figure = canvas.figure(4.2 * columns, 3.2 * rows)
    seeds = max(values.shape[1] for _, values in metrics.values())
    title = "Learning curves"
    if seeds > 1:
        title += f", mean of {seeds} seeds (band: smallest to largest)"
    figure.suptitle(title if columns > 1 else title.replace(", ", "\n"), fontsize=11)
    for index, (metric, parts) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        for part, (steps, values) in parts.items():
            _curve(axes, part, steps, values)
        _y_scale(axes, [values for _, values in parts.values()])
        axes.set(title=metric.replace("_", " "), xlabel="step")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3, which="both", linewidth=0.5)
        axes.legend(fontsize=8, framealpha=0.8)
    canvas.save(figure, path)


def sweep(
    points: Sequence[float] | Sequence[str], scores: np.ndarray, name: str, path: Path | str
) -> None:
    """The score of each seed at each point of a sweep, and their mean.

    points: numbers, drawn to scale (a logarithmic one where they are positive and span a factor of
    10), or labels. scores [points, S], larger is better; NaN is left out. name: of the points.
    """
    numbers = not isinstance(points[0], str)
    turned = not numbers and not canvas.short(points)
    figure = canvas.figure(5.0, 3.4 + (0.08 * max(map(len, points)) if turned else 0))
    axes = figure.add_subplot()
    x = np.array(points, float) if numbers else np.arange(len(points))
    order = np.argsort(x)
    x, scores = x[order], scores[order]
    some = ~np.isnan(scores).all(axis=1)
    mean = np.nanmean(scores[some], axis=1)
    each = np.repeat(x, scores.shape[1]), scores.ravel()
    axes.plot(*each, "o", color=canvas.OTHER, markersize=4, label="a seed")
    axes.plot(x[some], mean, "o-" if numbers else "o", color=canvas.MAIN, label="mean")
    best = np.argmax(mean)
    axes.annotate(f"{mean[best]:.4g}", (x[some][best], mean[best]), xytext=(0, 6), ha="center",
                  textcoords="offset points", fontsize=9, color=canvas.MAIN)  # fmt: skip
    axes.margins(0.12)
    if not numbers:
        axes.set_xticks(x, points, rotation=90 if turned else 0)
    elif x[0] > 0 and x[-1] >= 10 * x[0]:
        axes.set_xscale("log")
    seeds = f"{scores.shape[1]} seeds" if scores.shape[1] > 1 else "one seed"
    axes.set(title=f"Validation score, {seeds} a point", xlabel=name.replace("_", " "))
    axes.set_ylabel("score (larger is better)")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    canvas.save(figure, path)


def _curve(axes: Axes, part: str, steps: np.ndarray, values: np.ndarray) -> None:
    known = ~np.isnan(values).all(axis=1)
    steps, values = steps[known], values[known]
    if not len(steps):
        return
    mean = np.nanmean(values, axis=1)
    last = values[-1][~np.isnan(values[-1])]
    label = f"{part} {mean[-1]:.4g}".strip()
    if len(last) > 1 and np.ptp(last):
        label += f" ± {last.std(ddof=1):.1g}"
    marker = "o" if len(steps) < 20 else None
    colour = canvas.PARTS.get(part)
    (line,) = axes.plot(steps, mean, color=colour, marker=marker, markersize=3, label=label)
    if values.shape[1] > 1:
        low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.25, linewidth=0)


def _y_scale(axes: Axes, series: Sequence[np.ndarray]) -> None:
    every = np.concatenate([values.ravel() for values in series])
    every = every[np.isfinite(every)]
    if len(every) and every.min() > 0 and every.max() > 10 * every.min():
        axes.set_yscale("log")
        return
    late = np.concatenate([values[len(values) // 10 :].ravel() for values in series])
    late = late[np.isfinite(late)]
    if len(late) and np.ptp(every) > 3 * np.ptp(late) > 0:
        margin = 0.06 * np.ptp(late)
        axes.set_ylim(late.min() - margin, late.max() + margin)
        axes.text(
            0.02, 0.03, f"first values beyond the axis: {every.min():.3g} to {every.max():.3g}",
            transform=axes.transAxes, fontsize=7, color="grey",
        )  # fmt: skip
