"""Learning curves of several runs over each other, as SVG for a page."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from dljax.plots import canvas

# Ten colours that can be told apart (Tableau's), then the same with other dashes.
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
DASHES = ((), (6, 2), (2, 2), (6, 2, 2, 2))

Curve = tuple[np.ndarray, np.ndarray]


def style(run: int) -> tuple[str, Sequence[int]]:
    """Colour and dashes (lengths of line and gap, none: solid) of a run's curves by its number."""
    return COLOURS[run % len(COLOURS)], DASHES[run // len(COLOURS) % len(DASHES)]


def curves(panels: Mapping[str, Mapping[int, Curve]], axis: str) -> str:
    """An <svg> with one panel a metric, a line a run, a band from its smallest to largest seed.

    panels: 'part/metric' -> number of a run -> (x [T], values [T, S]); NaN is left out. axis: what
    x is. Line and band of a run are groups whose id begins with 'run-NUMBER-'; there is no legend.
    """
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    rows = math.ceil(len(panels) / columns)
    figure = canvas.figure(4.4 * columns, 3.2 * rows)
    for index, (name, runs) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        for run, (x, values) in runs.items():
            known = ~np.isnan(values).all(axis=1)
            x, values = x[known], values[known]
            colour, dashes = style(run)
            marker = "o" if len(x) < 20 else None
            (line,) = axes.plot(
                x, np.nanmean(values, axis=1), color=colour, marker=marker, markersize=3,
                gid=f"run-{run}-line-{index}",
            )  # fmt: skip
            line.set_dashes(dashes) if dashes else None
            if values.shape[1] > 1:
                low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
                axes.fill_between(
                    x, low, high, color=colour, alpha=0.2, linewidth=0,
                    gid=f"run-{run}-band-{index}",
                )  # fmt: skip
        _y_scale(axes, np.concatenate([values.ravel() for _, values in runs.values()]))
        axes.set_title(name.replace("_", " "), parse_math=False)
        axes.set_xlabel(axis)
        axes.grid(alpha=0.3, which="both", linewidth=0.5)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dljax"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<!DOCTYPE")[2].partition(">")[2].strip()


def _y_scale(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic one where all values are positive and span a factor of 10."""
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
