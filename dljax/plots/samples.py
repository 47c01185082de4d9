"""Pictures of generated images: sheets of tiles, named rows, animations, outputs of D.

Images are uint8 [N, H, W, C]; small ones are enlarged by whole factors, so that pixels stay pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dljax.plots import canvas

GAP, SIDE = 1, 56  # pixels between tiles; of a side of an enlarged tile, about


def tile(images: np.ndarray, columns: int, enlarge: bool = True) -> np.ndarray:
    """Images row by row on one white sheet, uint8 [H', W', C]."""
    n, height, width, channels = images.shape
    factor = max(SIDE // height, 1) if enlarge else 1
    images = images.repeat(factor, 1).repeat(factor, 2)
    rows, h, w = -(-n // columns), height * factor + GAP, width * factor + GAP
    sheet = np.full((rows * h - GAP, columns * w - GAP, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * h, i % columns * w
        sheet[top : top + h - GAP, left : left + w - GAP] = image
    return sheet


def sheet(images: np.ndarray, path: Path | str, columns: int = 8, enlarge: bool = True) -> None:
    """Images row by row as a PNG without any text."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _picture(tile(images, min(columns, len(images)), enlarge)).save(path)


def animation(frames: Sequence[np.ndarray], path: Path | str, seconds: float = 0.4) -> None:
    """Sheets uint8 [H, W, C] as an endless GIF; the last one stays longer."""
    pictures = [_picture(frame) for frame in frames]
    times = [int(1000 * seconds)] * (len(frames) - 1) + [int(4000 * seconds)]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=times, loop=0)


def named_rows(
    rows: Sequence[np.ndarray], names: Sequence[str], title: str, path: Path | str
) -> None:
    """A row of tiles [N, H, W, C] for each name, under a title."""
    height, columns = rows[0].shape[1], max(len(row) for row in rows)
    shown = [tile(row, columns) for row in rows]
    width = rows[0].shape[2]
    longest = max(map(len, title.splitlines()))
    wide = max(0.5 * columns + 0.9, 0.085 * longest + 0.3)
    figure = canvas.figure(wide, 0.54 * len(rows) * max(height / width, 1) + 0.6)
    figure.suptitle(title, fontsize=11)
    for axes, row, name in zip(
        np.ravel(figure.subplots(len(rows), 1, squeeze=False)), shown, names, strict=True
    ):
        canvas.show(axes, row)
        axes.set_anchor("W")
        axes.text(
            -0.01, 0.5, name, transform=axes.transAxes, ha="right", va="center", fontsize=8
        )  # fmt: skip
    canvas.save(figure, path)


def neighbours(
    samples: np.ndarray,
    nearest: np.ndarray,
    distances: np.ndarray,
    typical: float,
    path: Path | str,
) -> None:
    """Each sample beside its nearest training images, [N, H, W, C] and [N, K, H, W, C].

    distances [N]: to the nearest; typical: mean of real test images to theirs.
    """
    rows = [np.concatenate([s[None], others]) for s, others in zip(samples, nearest, strict=True)]
    names = [f"{d:.2f}" for d in distances]
    title = (
        f"Samples (left) and the nearest training images\n"
        f"(distance to the nearest; a real test image's is {typical:.2f})"
    )
    named_rows(rows, names, title, path)


def outputs(metrics: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path | str) -> None:
    """The discriminator's logits of real and fake images, and both losses, over the steps.

    metrics: 'part/metric' -> (steps [T], values [T, S]), of `report.read_metrics`.
    """
    figure = canvas.figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    lines = {
        "train/real_logit": ("real, training", canvas.PARTS["train"], "-"),
        "validation/real_logit": ("real, held out", canvas.PARTS["validation"], "--"),
        "train/fake_logit": ("fake", canvas.WRONG, "-"),
    }
    for name, (label, colour, style) in lines.items():
        if name in metrics:
            _band(left, *metrics[name], label, colour, style)
    left.axhline(0, color="black", linewidth=0.5)
    left.set(title="Output of the discriminator", xlabel="step", ylabel="logit")
    pairs = {"loss": ("discriminator", canvas.MAIN), "generator_loss": ("generator", canvas.WRONG)}
    for name, (label, colour) in pairs.items():
        _band(right, *metrics[f"train/{name}"], label, colour, "-")
    right.set(title="Losses in training", xlabel="step")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.legend(fontsize=8)
    canvas.save(figure, path)


def _band(axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str, style: str) -> None:
    axes.plot(steps, np.nanmean(values, 1), style, color=colour, label=label, linewidth=1.3)
    axes.fill_between(
        steps, np.nanmin(values, 1), np.nanmax(values, 1), color=colour, alpha=0.2, linewidth=0
    )


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
