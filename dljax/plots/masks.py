"""Pictures of segmentation: images with masks beside and over them, scores of each class."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dljax.plots import canvas

IGNORED = (255, 255, 255)


def palette(classes: int) -> np.ndarray:
    """A colour for each class, uint8 [classes, 3]; they repeat after 20."""
    colours = (np.array(matplotlib.colormaps["tab20"].colors) * 255).astype(np.uint8)
    order = [*range(0, 20, 2), *range(1, 20, 2)]  # the saturated ones first
    return colours[order][np.arange(classes) % 20]


def coloured(mask: np.ndarray, classes: int) -> np.ndarray:
    """Class ids [H, W] as a picture uint8 [H, W, 3]; what is no class is white."""
    table = np.full((256, 3), IGNORED, np.uint8)
    table[:classes] = palette(classes)
    return table[mask.astype(np.uint8)]


def blended(image: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """An image uint8 [H, W, C] with its class ids laid over it at half strength."""
    image = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    return ((image + coloured(mask, classes)) / 2).astype(np.uint8)


def overlay(image: np.ndarray, mask: np.ndarray, classes: Sequence[str], path: Path | str) -> None:
    """An image beside its class ids laid over it, with a legend of the classes that it has."""
    height, width = mask.shape
    figure = canvas.figure(7.0, max(3.5 * height / width, 1.5) + 0.8)
    left, right = figure.subplots(1, 2)
    canvas.show(left, image)
    canvas.show(right, blended(image, mask, len(classes)))
    present = [i for i in np.unique(mask) if i < len(classes)]
    _legend(figure, [classes[i] for i in present], palette(len(classes))[present])
    canvas.save(figure, path)


def comparisons(
    images: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    titles: Sequence[str],
    classes: Sequence[str],
    path: Path | str,
    title: str = "",
) -> None:
    """Rows of image, true mask, predicted mask and the pixels that differ, with a legend.

    images: uint8 [N, H, W, C]. labels, predicted: class ids [N, H, W]; pixels to ignore are white
    and count as right. titles: of the rows.
    """
    rows = len(images)
    height, width = labels.shape[1:]
    figure = canvas.figure(9.6, max(rows * 2.4 * height / width, 1.5) + 1.0)
    if title:
        figure.suptitle(title, fontsize=11)
    axes = figure.subplots(rows, 4, squeeze=False)
    for row, (image, label, guess) in enumerate(zip(images, labels, predicted, strict=True)):
        wrong = (label != guess) & (label < len(classes))
        error = np.broadcast_to(image, (*image.shape[:2], 3)) // 2 + 96
        error = np.where(wrong[..., None], np.array([192, 57, 43], np.uint8), error)
        shown = (
            image,
            coloured(label, len(classes)),
            coloured(guess, len(classes)),
            error.astype(np.uint8),
        )
        for column, picture in enumerate(shown):
            canvas.show(axes[row, column], picture)
        axes[row, 0].set_title(titles[row], fontsize=8)
        if row == 0:
            for column, name in enumerate(("true", "predicted", "wrong (red)"), 1):
                axes[row, column].set_title(name, fontsize=9)
    ignored = bool((labels >= len(classes)).any())
    _legend(figure, classes, palette(len(classes)), ignored)
    canvas.save(figure, path)


def _legend(
    figure: Figure, classes: Sequence[str], colours: np.ndarray, ignored: bool = False
) -> None:
    patches = [Patch(color=c / 255, label=n) for c, n in zip(colours, classes, strict=True)][:24]
    if len(classes) > 24:
        patches.append(Patch(color="none", label=f"and {len(classes) - 24} more"))
    if ignored:
        patches.append(Patch(facecolor="white", edgecolor="grey", label="ignored"))
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8)


def class_scores(
    iou: np.ndarray, share: np.ndarray, classes: Sequence[str], path: Path | str
) -> None:
    """IoU of each class as bars, best first: the mean of seeds with its range.

    iou: [S, C], NaN where a class is absent. share: [C], of the true pixels, in the names.
    """
    known = ~np.isnan(iou).all(0)
    mean = np.nanmean(iou[:, known], 0)
    order = np.argsort(mean)
    names = [f"{classes[i]} ({share[i]:.1%})" for i in np.flatnonzero(known)[order]]
    low, high = np.nanmin(iou[:, known], 0)[order], np.nanmax(iou[:, known], 0)[order]
    mean = mean[order]
    figure = canvas.figure(6.0, 0.3 * len(names) + 1.2)
    axes = figure.add_subplot()
    spread = (mean - low, high - mean) if len(iou) > 1 else None
    axes.barh(names, mean, color=canvas.MAIN, xerr=spread)
    axes.set(xlim=(0, 1), xlabel="IoU", title=f"IoU of each class (mean {mean.mean():.3f})")
    for place, value in enumerate(mean):
        colour = "white" if value > 0.12 else "black"
        left = 0.01 if value > 0.12 else high[place] + 0.02
        axes.text(left, place, f"{value:.3f}", va="center", color=colour, fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    canvas.save(figure, path)
