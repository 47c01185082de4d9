"""Accuracy against the number of labelled images, with and without pretraining."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from dljax.plots import canvas

COLOURS = ("#1f6fb4", "#e07b1a", "#2c8f4a", "#8e44ad", "#c0392b", "#7f8c8d")


def accuracy_by_labels(
    curves: Mapping[str, Mapping[int, np.ndarray]],
    baselines: Mapping[str, Mapping[int, np.ndarray]],
    title: str,
    path: Path | str,
) -> None:
    """A line a method over the labelled images of a class, with a band over the seeds.

    curves, baselines: name -> number of images -> accuracies in 0..1 [S]. The line is the mean,
    the band goes from the smallest to the largest seed; baselines are thin and dashed.
    """
    figure = canvas.figure(6.4, 4.4)
    axes = figure.add_subplot()
    for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
        x = np.array(sorted(points))
        values = np.array([points[n] for n in x])
        label = f"{name} ({values[0].mean():.0%} to {values[-1].mean():.0%})"
        axes.plot(x, values.mean(1), "o-", color=colour, markersize=4, label=label)
        axes.fill_between(x, values.min(1), values.max(1), color=colour, alpha=0.2, linewidth=0)
    styles = zip(("--", ":", "-."), "x+d", strict=True)
    for (name, points), (style, mark) in zip(baselines.items(), styles, strict=False):
        x = np.array(sorted(points))
        means = [points[n].mean() for n in x]
        marker = mark if len(x) == 1 else None  # a line of one point is not seen
        axes.plot(x, means, style, marker=marker, color="#59636b", linewidth=1.3, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(x))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(map(str, x))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(xlabel="labelled images of each class", ylabel="test accuracy")
    seeds = len(next(iter(next(iter(curves.values())).values())))
    band = f"mean of {seeds} seeds, band: smallest to largest" if seeds > 1 else "one seed"
    lines = [textwrap.fill(line, 88) for line in (*title.splitlines(), f"({band})")]
    axes.set_title("\n".join(lines), fontsize=9)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize=8, framealpha=0.8, loc="lower right")
    canvas.save(figure, path)
