"""Pictures of image classifiers: their results, and what a network has learned."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from dljax.plots import canvas

CURVES = 8  # labels in one picture, at most

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
    image: np.ndarray,
    classes: Sequence[str],
    probabilities: np.ndarray,
    path: Path | str,
    original: np.ndarray | None = None,
) -> None:
    """The image beside a bar chart of its five most probable classes; probabilities [C].

    original: the picture that the image was made from, drawn before it.
    """
    best = np.argsort(-np.asarray(probabilities), kind="stable")[:5]
    chance = np.asarray(probabilities, float)[best]
    names = [classes[index] for index in best]
    right = _pictures(image, original, f"{names[0]} ({chance[0]:.1%})", 1.3)[-1]
    bars = right.barh(names, chance, color=[canvas.MAIN] + [canvas.OTHER] * (len(best) - 1))
    right.bar_label(bars, labels=[f"{value:.1%}" for value in chance], padding=3, fontsize=9)
    right.invert_yaxis()
    right.set(xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="probability")
    right.spines[["top", "right"]].set_visible(False)
    canvas.save(right.figure, path)


def predicted_number(
    image: np.ndarray, title: str, path: Path | str, original: np.ndarray | None = None
) -> None:
    """The image under what is told of it; original: the picture that it was made from."""
    axes = _pictures(image, original, title, 0)
    canvas.save(axes[0].figure, path)


def _pictures(
    image: np.ndarray, original: np.ndarray | None, title: str, more: float
) -> list[Axes]:
    """Axes of the original, of the image, and empty ones of the width `more`."""
    shown = [(image, title)]
    if original is not None:
        height, width = np.shape(original)[:2]
        size = "x".join(map(str, np.shape(image)[:2]))
        shown = [
            (original, f"the picture, {height}x{width}"),
            (image, f"{title}\nas the network saw it, {size}"),
        ]
    widths = (*(1 for _ in shown), *((more,) if more else ()))
    axes = canvas.figure(2.8 * sum(widths), 2.9 + 0.3 * (original is not None)).subplots(
        1, len(widths), width_ratios=widths, squeeze=False
    )[0]
    for place, (picture, text) in zip(axes, shown, strict=False):
        canvas.show(place, picture)
        place.set_title(text, fontsize=10)
    return list(axes)


def precision_recall(
    p: np.ndarray, positive: np.ndarray, labels: Sequence[str], path: Path | str
) -> None:
    """Precision against recall of probabilities [N, K], of the first CURVES labels that occur.

    positive: bool [N, K]. Dots are at the probability of one half; the legend has the areas.
    """
    figure = canvas.figure(5.6, 5.0)
    axes = figure.add_subplot()
    for k in np.flatnonzero(positive.any(0))[:CURVES]:
        order = np.argsort(-p[:, k], kind="stable")
        scores, truth = p[order, k], positive[order, k]
        last = np.r_[scores[1:] != scores[:-1], True]  # of each run of equal scores
        found = np.cumsum(truth)[last]
        precision, recall = found / (np.flatnonzero(last) + 1), found / truth.sum()
        area = np.sum(np.diff(recall, prepend=0) * precision)
        text = f"{labels[k]}: {area:.3f}"
        (curve,) = axes.step(recall, precision, where="pre", linewidth=1.6, label=text)
        called = scores[last] > 0.5
        if called.any():
            at = called.sum() - 1
            axes.plot(recall[at], precision[at], "o", color=curve.get_color(), markersize=7)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.02), ylim=(0, 1.02))
    axes.set_title("Test part; dot: called from probability 1/2 on", fontsize=11)
    axes.legend(fontsize=8, title="average precision", loc="lower left")
    canvas.save(figure, path)


def predicted_and_actual(
    actual: np.ndarray, predicted: np.ndarray, name: str, path: Path | str
) -> None:
    """A dot for each example: the predicted number over the actual one, both [N]."""
    figure = canvas.figure(4.8, 4.8)
    axes = figure.add_subplot()
    low, high = min(actual.min(), predicted.min()), max(actual.max(), predicted.max())
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, "--", color="black", linewidth=1, label="predicted = actual")
    axes.plot(actual, predicted, ".", color=canvas.MAIN, markersize=5, alpha=0.6)
    axes.set(xlim=limits, ylim=limits, xlabel=f"actual {name}", ylabel=f"predicted {name}")
    axes.set_aspect("equal")
    error = np.abs(predicted - actual).mean()
    axes.set_title(f"Test part: mean absolute error {error:.4g}", fontsize=11)
    axes.legend(fontsize=8, loc="upper left")
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
