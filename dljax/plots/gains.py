"""Scores of several methods and the paired gains between them, with confidence intervals."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from dljax.plots import canvas

COLOURS = ("#7f8c8d", "#1f6fb4", "#e07b1a", "#2c8f4a")
Bars = Mapping[str, Mapping[int, tuple[float, float, float]]]


def gains(
    scores: Bars, differences: Bars, title: str, path: Path | str, confidence: float = 0.95
) -> None:
    """Scores of each method on the left; on the right gains, significant where they exclude 0.

    scores: method -> labelled images of a class -> (mean, low, high) of accuracy, 0..1.
    differences: name of the comparison -> the same, of differences. Infinite bounds are not drawn.
    """
    figure = canvas.figure(9.6, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _bars(left, scores, COLOURS)
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.set(ylabel="test accuracy")
    left.legend(fontsize=8, loc="lower right")
    _bars(right, differences, COLOURS[2:])
    right.axhline(0, color="#333", linewidth=0.8)
    right.set(ylabel="gain in test accuracy, percentage points")
    right.yaxis.set_major_formatter(lambda y, _: f"{100 * y:+.3g}" if y else "0")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3, linewidth=0.5, axis="y")
        axes.set_xlabel("labelled images of each class")
    figure.suptitle(f"{title} (mean and {confidence:.0%} interval over seeds)", fontsize=11)
    canvas.save(figure, path)


def _bars(axes: Axes, series: Bars, colours: tuple[str, ...]) -> None:
    """A point with its interval for each entry, those of one number of images side by side."""
    for i, ((name, points), colour) in enumerate(zip(series.items(), colours, strict=False)):
        mean, low, high = np.array(list(points.values())).T
        reach = np.where(np.isfinite([low, high]), [mean - low, high - mean], 0)
        x = np.arange(len(mean)) + 0.12 * (i - (len(series) - 1) / 2)
        axes.errorbar(
            x, mean, reach, fmt="o", color=colour, markersize=5, capsize=3, label=name
        )  # fmt: skip
    axes.set_xticks(range(len(points)), [str(n) for n in points])
    axes.set_xlim(-0.5, len(points) - 0.5)
