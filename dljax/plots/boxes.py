"""Pictures of object detection: images with boxes, precision and recall, kinds of errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dljax.plots import canvas
from dljax.plots.masks import palette

TRUE, SHOWN = "#ffffff", 40  # colour of true boxes; boxes that get a text, at most


class Detected(Protocol):
    """Detections of an image: boxes [n, 4] as x1, y1, x2, y2, labels [n], scores [n]."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


class Picture(NamedTuple):
    """An image with detections and, where they are known, its true boxes.

    image: uint8 [H, W, C]. true_boxes: [m, 4], true_labels: [m]. wrong: bool [n], the detections
    drawn in red.
    """

    image: np.ndarray
    found: Detected
    title: str
    true_boxes: np.ndarray | None = None
    true_labels: np.ndarray | None = None
    wrong: np.ndarray | None = None


def gallery(
    pictures: Sequence[Picture],
    classes: Sequence[str],
    title: str,
    path: Path | str,
    columns: int = 4,
) -> None:
    """Images with their boxes in rows: true ones white and dashed, wrong detections red."""
    columns = min(columns, max(len(pictures), 1))
    rows = max(math.ceil(len(pictures) / columns), 1)
    height, width = pictures[0].image.shape[:2] if pictures else (1, 1)
    side = 2.6 if columns > 1 else 6.0
    figure = canvas.figure(side * columns, (side * height / width + 0.3) * rows + 0.8)
    figure.suptitle(title, fontsize=11)
    for index, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, index + 1)
        _draw(axes, picture, classes, small=columns > 1)
    lines = [
        Line2D([], [], color=canvas.WRONG, label="detected, wrong"),
        Line2D([], [], color=canvas.PARTS["test"], label="detected, right"),
        Line2D([], [], color="grey", linestyle="--", label="true (drawn in white)"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=8)
    canvas.save(figure, path)


def detections(picture: Picture, classes: Sequence[str], path: Path | str) -> None:
    """One image with its detections, each class in a colour of its own."""
    height, width = picture.image.shape[:2]
    scale = 7.0 / max(height, width)
    figure = canvas.figure(max(width * scale, 2.5), max(height * scale, 2.0) + 0.4)
    _draw(figure.add_subplot(), picture, classes, small=False)
    canvas.save(figure, path)


def precision_recall(
    recalls: np.ndarray, precisions: np.ndarray, classes: Sequence[str], path: Path | str
) -> None:
    """Precision against recall at an overlap of 0.5, a line a class, the mean over the seeds.

    recalls: [R]. precisions: [S, C, R], NaN of a class without an object. Of many classes the
    twenty with the lowest average precision are drawn.
    """
    ap = precisions.mean((0, 2))
    order = np.argsort(np.where(np.isnan(ap), np.inf, ap))[: int((~np.isnan(ap)).sum())]
    colours = palette(len(classes)) / 255
    figure = canvas.figure(7.2, 4.4)
    axes = figure.add_subplot()
    for index in order[:20]:
        label = f"{classes[index]} ({ap[index]:.3f})"
        axes.plot(recalls, precisions[:, index].mean(0), color=colours[index], label=label)
    note = f", the lowest 20 of {len(order)} classes" if len(order) > 20 else ""
    seeds = f", mean of {len(precisions)} seeds" if len(precisions) > 1 else ""
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(
        f"Precision and recall at IoU 0.5: mean AP {ap[order].mean():.3f}{note}{seeds}", fontsize=11
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8, title="class (AP)", title_fontsize=8)
    canvas.save(figure, path)


def error_counts(counts: np.ndarray, kinds: Sequence[str], least: float, path: Path | str) -> None:
    """How many detections are of each kind: mean of the seeds and their range.

    counts: [S, K], the first kind right, the last one missed objects. least: score of detections.
    """
    mean, low, high = counts.mean(0), counts.min(0), counts.max(0)
    figure = canvas.figure(6.4, 3.2)
    axes = figure.add_subplot()
    colours = [canvas.PARTS["test"], *[canvas.WRONG] * (len(kinds) - 2), canvas.OTHER]
    spread = np.stack([mean - low, high - mean]) if len(counts) > 1 else None
    bars = axes.barh(list(kinds), mean, color=colours, xerr=spread)
    axes.bar_label(bars, [f"{value:.4g}" for value in mean], padding=4, fontsize=9)
    # The right ones are many more than the others.
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(0, max(10.0, mean.max()) * 3)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("detections, or missed objects (logarithmic from 10 on)")
    axes.set_title(f"Test detections of score {least:.2g} and more, by kind", fontsize=11)
    canvas.save(figure, path)


def _draw(axes: Axes, picture: Picture, classes: Sequence[str], small: bool) -> None:
    canvas.show(axes, picture.image)
    axes.set_title(picture.title, fontsize=7 if small else 10)
    size = 6 if small else 8
    known = picture.true_boxes is not None
    if known:
        for box in picture.true_boxes:
            _box(axes, box, TRUE, 1.0, "--")
    colours = palette(len(classes)) / 255
    found = picture.found
    for index, (box, label, score) in enumerate(
        zip(found.boxes, found.labels, found.scores, strict=True)
    ):
        colour = colours[label]
        if known:
            wrong = picture.wrong is not None and picture.wrong[index]
            colour = canvas.WRONG if wrong else canvas.PARTS["test"]
        _box(axes, box, colour, 1.2 if small else 1.6, "-")
        if index < SHOWN:
            height, width = picture.image.shape[:2]
            high, right = box[1] < 0.08 * height, box[0] > 0.7 * width  # inside, to be seen whole
            axes.text(
                box[2] if right else max(box[0], 0), max(box[1], 0),
                f"{classes[label]} {score:.2f}".replace("0.", "."), fontsize=size, color="white",
                va="top" if high else "bottom", ha="right" if right else "left", clip_on=True,
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
            )  # fmt: skip


def _box(axes: Axes, box: np.ndarray, colour: object, width: float, style: str) -> None:
    # imshow puts the centre of the first pixel at 0
    x1, y1, x2, y2 = np.asarray(box) - 0.5
    axes.add_patch(
        Rectangle(
            (x1, y1), x2 - x1, y2 - y1,
            fill=False, edgecolor=colour, linewidth=width, linestyle=style,
        )
    )  # fmt: skip
