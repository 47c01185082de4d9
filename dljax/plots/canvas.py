"""What all pictures share: a figure without pyplot, its file, the colours.

An image is [H, W], [H, W, 1] (grey), [H, W, 3] or [H, W, 4] (colour), uint8 or floats in 0..1.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

PARTS = {"train": "#1f6fb4", "validation": "#e07b1a", "test": "#2c8f4a"}
MAIN, OTHER, WRONG = PARTS["train"], "#b8c4ce", "#c0392b"


def figure(width: float, height: float) -> Figure:
    """A figure in inches, at 100 dots each."""
    drawn = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def save(figure: Figure, path: Path | str) -> None:
    """Writes a PNG, in 256 colours where a full one would be larger than 150 kB."""
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    data = io.BytesIO()
    picture.save(data, "png")
    if data.tell() > 150_000:
        data, few = io.BytesIO(), Image.Quantize.MAXCOVERAGE
        picture.quantize(256, few, dither=Image.Dither.NONE).save(data, "png")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data.getvalue())


def show(axes: Axes, image: np.ndarray) -> None:
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


def short(names: Sequence[str]) -> bool:
    return max(map(len, names), default=0) <= 3
