"""Pictures of medical image classifiers: ROC curves with their decisions, where a network looks."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax.plots import canvas

CURVES = 8  # classes in one picture, at most


def roc_curves(
    p: np.ndarray,
    positive: np.ndarray,
    classes: Sequence[str],
    points: Mapping[str, Mapping[str, Any]],
    path: Path | str,
    title: str = "",
) -> None:
    """Sensitivity against 1 - specificity of probabilities [N, C], for the first CURVES `points`.

    positive: bool [N, C]. points: class -> "sensitivity", "specificity", "threshold" of its
    decision, marked on its curve.
    """
    figure = canvas.figure(5.2, 5.0)
    axes = figure.add_subplot()
    for name, point in list(points.items())[:CURVES]:
        column = classes.index(name)
        order = np.argsort(-p[:, column], kind="stable")
        scores, truth = p[order, column], positive[order, column]
        last = np.r_[scores[1:] != scores[:-1], True]  # of each run of equal scores
        found = np.r_[0, np.cumsum(truth)[last]] / max(truth.sum(), 1)
        alarms = np.r_[0, np.cumsum(~truth)[last]] / max((~truth).sum(), 1)
        (curve,) = axes.plot(alarms, found, linewidth=1.6, label=name)
        if point["sensitivity"] is not None and point["specificity"] is not None:
            place = (1 - point["specificity"], point["sensitivity"])
            axes.plot(*place, "o", color=curve.get_color(), markersize=7)
    axes.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="chance")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8, loc="lower right", title="dot: threshold of validation")
    canvas.save(figure, path)


def heat_maps(
    images: np.ndarray, heat: np.ndarray, titles: Sequence[str], path: Path | str, title: str
) -> None:
    """Images [N, H, W, C] in pairs: as they are, and under their heat [N, h, w] in 0..1."""
    columns = min(len(images), 4)
    rows = max(math.ceil(len(images) / columns), 1)
    figure = canvas.figure(3.1 * columns, 1.85 * rows + 0.4)
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, 2 * columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (image, warm, text) in enumerate(zip(images, heat, titles, strict=True)):
        row, column = divmod(index, columns)
        plain, under = grid[row, 2 * column : 2 * column + 2]
        height, width = image.shape[:2]
        for axes in (plain, under):
            canvas.show(axes, image)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        drawn = under.imshow(warm, cmap="inferno", vmin=0, vmax=1, alpha=0.5, extent=extent,
                             interpolation="bilinear")  # fmt: skip
        plain.set_title(text, fontsize=8, loc="left")
    if len(images):
        bar = figure.colorbar(drawn, ax=grid, shrink=0.8, label="heat, share of the largest")
        bar.ax.tick_params(labelsize=7)
    canvas.save(figure, path)
