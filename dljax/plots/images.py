"""Pictures of image classifiers: their results, and what a network has learned."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from dljax.plots import canvas

# Results ------------------------------------------------------------------------------------------


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], path: Path | str) -> None:
    """Counts [(S,) C, C], true class by predicted class; colours are shares of each true class.

    Seeds are added up, and the title says so. Up to 20 classes the counts stand in the cells, or
    where they are 10,000 and more (of pixels) the shares, and the classes on the axes.
    """
    counts = np.asarray(counts, float)
    seeds = len(counts) if counts.ndim == 3 else 1
    counts = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0)
    total = counts.sum()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(classes)
    side = max(4.0, 0.42 * size + 2.2) if size <= 20 else 7.5
    figure = canvas.figure(side + 0.6, side)
    axes = figure.add_subplot()
    # the root of the share makes the few mistakes of a good classifier visible
    picture = axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    accuracy = np.trace(counts) / max(total, 1)
    axes.set(xlabel="predicted class", ylabel="true class")
    title = f"Confusion matrix: {accuracy:.2%} of {total:.0f} correct"
    axes.set_title(title + (f"\n{seeds} seeds added up" if seeds > 1 else ""), fontsize=11)
    if size <= 20:
        axes.set_xticks(range(size), classes, rotation=0 if canvas.short(classes) else 90)
        axes.set_yticks(range(size), classes)
        for row, column in np.argwhere(counts):
            value, part = counts[row, column], share[row, column]
            colour = "white" if part > 0.3 else "black"
            text = f"{value:.0f}" if counts.max() < 1e4 else f"{100 * part:.2g}%"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, label="share of the true class")
    ticks = [0, 0.01, 0.1, 0.25, 0.5, 1]
    bar.set_ticks(np.sqrt(ticks), labels=[f"{tick:.0%}" for tick in ticks])
    canvas.save(figure, path)


def reliability(sums: np.ndarray, count: np.ndarray, path: Path | str) -> None:
    """Accuracy against confidence from `metrics.calibration` sums [(S,) bins, 2], [(S,) bins].

    Bars are the accuracy of each bin and its gap to the bin's mean confidence; below, the share of
    examples that a bin holds. Seeds are pooled (Guo et al. 2017, figure 1).
    """
    count = np.asarray(count, float).reshape(-1, np.shape(count)[-1]).sum(axis=0)
    sums = np.asarray(sums, float).reshape(-1, len(count), 2).sum(axis=0)
    bins, total = len(count), max(count.sum(), 1)
    confidence, accuracy = (sums / np.maximum(count, 1)[:, None]).T
    error = np.abs(sums[:, 1] - sums[:, 0]).sum() / total
    centres, width = (np.arange(bins) + 0.5) / bins, 0.9 / bins
    figure = canvas.figure(4.6, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = count > 0
    upper.bar(centres[filled], accuracy[filled], width, color=canvas.MAIN, label="accuracy")
    gap = (confidence - accuracy)[filled]
    upper.bar(
        centres[filled], gap, width, accuracy[filled], color=canvas.WRONG, alpha=0.4,
        label="gap to the mean confidence",
    )  # fmt: skip
    upper.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="perfectly calibrated")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy of the bin")
    upper.set_title(f"Calibration: expected error {error:.2%}", fontsize=11)
    upper.legend(fontsize=8, loc="upper left")
    lower.bar(centres, count / total, width, color=canvas.OTHER)
    lower.set(xlabel="confidence (largest probability)", ylabel="share")
    canvas.save(figure, path)


def image_grid(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    path: Path | str,
    title: str = "",
    columns: int = 6,
) -> None:
    """Images with a title each ('7 → 1 (98%)', wrapped), row by row, under a title of all.

    Twelve photographs make a file of about 150 kB.
    """
    columns = min(columns, max(len(images), 1))
    rows = max(math.ceil(len(images) / columns), 1)
    figure = canvas.figure(max(1.55 * columns, 5.0), 1.85 * rows + 0.4 * len(title.splitlines()))
    figure.suptitle(title, fontsize=11)
    for index, (image, text) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        canvas.show(axes, image)
        axes.set_title(textwrap.fill(text, 24), fontsize=8)
    canvas.save(figure, path)


def prediction(
    image: np.ndarray, classes: Sequence[str], probabilities: np.ndarray, path: Path | str
) -> None:
    """The image beside a bar chart of its five most probable classes; probabilities [C]."""
    best = np.argsort(-np.asarray(probabilities), kind="stable")[:5]
    chance = np.asarray(probabilities, float)[best]
    names = [classes[index] for index in best]
    figure = canvas.figure(6.4, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    canvas.show(left, image)
    left.set_title(f"{names[0]} ({chance[0]:.1%})", fontsize=11)
    bars = right.barh(names, chance, color=[canvas.MAIN] + [canvas.OTHER] * (len(best) - 1))
    right.bar_label(bars, labels=[f"{value:.1%}" for value in chance], padding=3, fontsize=9)
    right.invert_yaxis()
    right.set(xlim=(0, 1.2), xticks=(0, 0.5, 1), xlabel="probability")
    right.spines[["top", "right"]].set_visible(False)
    canvas.save(figure, path)


# What a network has learned -----------------------------------------------------------------------


def filters(
    kernel: np.ndarray, path: Path | str, title: str = "Filters of the first layer"
) -> None:
    """A convolution's kernel [kh, kw, in, out]: one tile a filter, at most 64.

    Three input channels are shown as one colour picture (grey is zero), one channel in red
    (positive) and blue (negative), others as their mean over the inputs.
    """
    kernel = np.asarray(kernel, float)
    height, width, inputs, outputs = kernel.shape
    shown = min(outputs, 64)
    if inputs != 3:
        kernel = kernel.mean(axis=2)
    largest = np.abs(kernel).max() or 1.0
    columns = min(shown, 8 if shown <= 32 else 16)
    rows = math.ceil(shown / columns)
    figure = canvas.figure(max(0.62 * columns + (inputs != 3), 4.0), 0.62 * rows + 0.65)
    note = f"{outputs} of {height}x{width}x{inputs}"
    note += f", the first {shown} shown" if shown < outputs else ""
    note += {1: "", 3: "; grey: weight 0"}.get(inputs, ", mean over inputs")
    figure.suptitle(f"{title}\n{note}", fontsize=10)
    grid = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if index >= shown:
            continue
        if inputs == 3:
            axes.imshow(0.5 + 0.5 * kernel[..., index] / largest, interpolation="nearest")
        else:
            picture = axes.imshow(
                kernel[..., index], cmap="RdBu_r", vmin=-largest, vmax=largest,
                interpolation="nearest",
            )  # fmt: skip
    if inputs != 3:
        figure.colorbar(picture, ax=grid, shrink=0.9, label="weight").ax.tick_params(labelsize=7)
    canvas.save(figure, path)


def feature_maps(
    layers: Sequence[tuple[str, np.ndarray]],
    image: np.ndarray,
    path: Path | str,
    channels: int = 8,
) -> None:
    """One image through a network: a row a layer (name, [H, W, C]), its strongest channels.

    Channels are those of the largest mean square; a row has one scale, dark to light.
    """
    figure = canvas.figure(1.1 * channels + 1.6, 1.1 * (len(layers) + 1) + 0.5)
    title = f"One image through the layers, the {channels} strongest channels of each"
    figure.suptitle(f"{title}\n(a row from its smallest value, dark, to its largest)", fontsize=11)
    grid = figure.subplots(len(layers) + 1, channels, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    canvas.show(grid[0, 0], image)
    _row_label(grid[0, 0], "input", np.shape(image))
    for row, (name, maps) in zip(grid[1:], layers, strict=True):
        maps = np.asarray(maps, float)
        strongest = np.argsort(-np.square(maps).mean(axis=(0, 1)), kind="stable")[:channels]
        shown = maps[..., np.sort(strongest)]
        for axes, channel in zip(row, np.moveaxis(shown, -1, 0), strict=False):
            axes.imshow(channel, cmap="viridis", vmin=shown.min(), vmax=shown.max())
        _row_label(row[0], name, maps.shape)
    canvas.save(figure, path)


def _row_label(axes: Axes, name: str, shape: Sequence[int]) -> None:
    size = "x".join(str(length) for length in shape)
    axes.text(
        -0.12, 0.5, f"{name}\n{size}", transform=axes.transAxes, ha="right", va="center", fontsize=8
    )
