"""Every picture that a run leaves behind, as a PNG.

Functions (arrays..., path) -> None that draw on figures of their own: no pyplot, no state, no
display. An image is [H, W], [H, W, 1] (grey), [H, W, 3] or [H, W, 4] (colour), uint8 or floats in
0..1. A folder that does not exist is made.
"""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

PARTS = {"train": "#1f6fb4", "validation": "#e07b1a", "test": "#2c8f4a"}
MAIN, OTHER, WRONG = PARTS["train"], "#b8c4ce", "#c0392b"


# Training -----------------------------------------------------------------------------------------


def learning_curves(metrics: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path | str) -> None:
    """One panel a metric, one line a part, with a band over the seeds.

    metrics: 'part/metric' -> (steps [T], values [T, S]), what `report.read_metrics` returns; NaN is
    left out. The line is the mean, the band goes from the smallest to the largest seed, the
    legend tells the last mean and deviation. The axis is logarithmic where all values are positive
    and span a factor of 10; else it leaves out the first tenth of the run, so that the rest shows.
    """
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for name, series in metrics.items():
        part, _, metric = name.rpartition("/")
        panels.setdefault(metric, {})[part] = series
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    rows = math.ceil(len(panels) / columns)
    figure = _figure(4.2 * columns, 3.2 * rows)
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
        axes.grid(alpha=0.3, which="both", linewidth=0.5)
        axes.legend(fontsize=8, framealpha=0.8)
    _save(figure, path)


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
    colour = PARTS.get(part)
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
    if len(late):
        margin = 0.06 * (late.max() - late.min()) or 0.05 * abs(late.max()) or 1.0
        axes.set_ylim(late.min() - margin, late.max() + margin)


# Results ------------------------------------------------------------------------------------------


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], path: Path | str) -> None:
    """Counts [(S,) C, C], true class by predicted class; colours are shares of each true class.

    Seeds are added up, and the title says so. Up to 20 classes the counts stand in the cells and
    the classes on the axes.
    """
    counts = np.asarray(counts, float)
    seeds = len(counts) if counts.ndim == 3 else 1
    counts = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0)
    total = counts.sum()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(classes)
    side = max(4.0, 0.42 * size + 2.2) if size <= 20 else 7.5
    figure = _figure(side + 0.6, side)
    axes = figure.add_subplot()
    # the root of the share makes the few mistakes of a good classifier visible
    picture = axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    accuracy = np.trace(counts) / max(total, 1)
    axes.set(xlabel="predicted class", ylabel="true class")
    title = f"Confusion matrix: {accuracy:.2%} of {total:.0f} correct"
    axes.set_title(title + (f"\n{seeds} seeds added up" if seeds > 1 else ""), fontsize=11)
    if size <= 20:
        axes.set_xticks(range(size), classes, rotation=0 if _short(classes) else 90)
        axes.set_yticks(range(size), classes)
        for row, column in np.argwhere(counts):
            value = counts[row, column]
            dark = share[row, column] > 0.3
            colour = "white" if dark else "black"
            text = f"{value:.0f}" if value < 1e4 else f"{value:.1e}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, label="share of the true class")
    ticks = [0, 0.01, 0.1, 0.25, 0.5, 1]
    bar.set_ticks(np.sqrt(ticks), labels=[f"{tick:.0%}" for tick in ticks])
    _save(figure, path)


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
    figure = _figure(4.6, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = count > 0
    upper.bar(centres[filled], accuracy[filled], width, color=MAIN, label="accuracy")
    gap = (confidence - accuracy)[filled]
    upper.bar(
        centres[filled], gap, width, accuracy[filled], color=WRONG, alpha=0.4,
        label="gap to the mean confidence",
    )  # fmt: skip
    upper.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="perfectly calibrated")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy of the bin")
    upper.set_title(f"Calibration: expected error {error:.2%}", fontsize=11)
    upper.legend(fontsize=8, loc="upper left")
    lower.bar(centres, count / total, width, color=OTHER)
    lower.set(xlabel="confidence (largest probability)", ylabel="share")
    _save(figure, path)


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
    figure = _figure(max(1.55 * columns, 5.0), 1.85 * rows + 0.4)
    figure.suptitle(title, fontsize=11)
    for index, (image, text) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        _show(axes, image)
        axes.set_title(textwrap.fill(text, 24), fontsize=8)
    _save(figure, path)


def prediction(
    image: np.ndarray, classes: Sequence[str], probabilities: np.ndarray, path: Path | str
) -> None:
    """The image beside a bar chart of its five most probable classes; probabilities [C]."""
    best = np.argsort(-np.asarray(probabilities), kind="stable")[:5]
    chance = np.asarray(probabilities, float)[best]
    names = [classes[index] for index in best]
    figure = _figure(6.4, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    _show(left, image)
    left.set_title(f"{names[0]} ({chance[0]:.1%})", fontsize=11)
    bars = right.barh(names, chance, color=[MAIN] + [OTHER] * (len(best) - 1))
    right.bar_label(bars, labels=[f"{value:.1%}" for value in chance], padding=3, fontsize=9)
    right.invert_yaxis()
    right.set(xlim=(0, 1.2), xticks=(0, 0.5, 1), xlabel="probability")
    right.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


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
    figure = _figure(max(0.62 * columns + (inputs != 3), 4.0), 0.62 * rows + 0.65)
    note = f"{outputs} of {height}x{width}x{inputs}"
    note += f", the first {shown} shown" if shown < outputs else ""
    note += ", mean over inputs" if inputs not in (1, 3) else ""
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
    _save(figure, path)


def feature_maps(
    layers: Sequence[tuple[str, np.ndarray]],
    image: np.ndarray,
    path: Path | str,
    channels: int = 8,
) -> None:
    """One image through a network: a row a layer (name, [H, W, C]), its strongest channels.

    Channels are those of the largest mean square; a row has one scale, dark to light.
    """
    figure = _figure(1.1 * channels + 1.6, 1.1 * (len(layers) + 1) + 0.5)
    title = f"One image through the layers, the {channels} strongest channels of each"
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(layers) + 1, channels, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    _show(grid[0, 0], image)
    _row_label(grid[0, 0], "input", np.shape(image))
    for row, (name, maps) in zip(grid[1:], layers, strict=True):
        maps = np.asarray(maps, float)
        strongest = np.argsort(-np.square(maps).mean(axis=(0, 1)), kind="stable")[:channels]
        shown = maps[..., np.sort(strongest)]
        for axes, channel in zip(row, np.moveaxis(shown, -1, 0), strict=False):
            axes.imshow(channel, cmap="viridis", vmin=shown.min(), vmax=shown.max())
        _row_label(row[0], name, maps.shape)
    _save(figure, path)


def _row_label(axes: Axes, name: str, shape: Sequence[int]) -> None:
    size = "x".join(str(length) for length in shape)
    axes.text(
        -0.12, 0.5, f"{name}\n{size}", transform=axes.transAxes, ha="right", va="center", fontsize=8
    )


# Common -------------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> Figure:
    """A figure in inches, at 100 dots each."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path | str) -> None:
    """Writes a PNG, in 256 colours where a full one would be larger than 150 kB."""
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    data = io.BytesIO()
    picture.save(data, "png", optimize=True)
    if data.tell() > 150_000:
        data = io.BytesIO()
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            data, "png", optimize=True
        )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data.getvalue())


def _show(axes: Axes, image: np.ndarray) -> None:
    """Draws an image without axes, grey where it has one channel."""
    image = np.asarray(image)
    if image.dtype != np.uint8:
        image = np.clip(image.astype(np.float32), 0, 1)
    if image.ndim == 3 and image.shape[-1] not in (3, 4):
        image = image[..., 0]
    top = 255 if image.dtype == np.uint8 else 1
    small = max(image.shape[:2]) < 100
    axes.imshow(
        image, cmap="gray", vmin=0, vmax=top, interpolation="nearest" if small else "antialiased"
    )
    axes.set_axis_off()


def _short(names: Sequence[str]) -> bool:
    return max(map(len, names), default=0) <= 3
