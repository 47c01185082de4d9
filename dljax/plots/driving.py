"""Pictures of drives in the simulator: roads from above, errors in bends, a film of one drive."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw

from dljax.plots import canvas

LOOK, WHEEL = (255, 60, 40), "#22303c"
SCALE, PANEL = 2, 84  # of a film's pictures, and the width of the wheel's panel in dots
SKIP = 4  # steps of a drive for each picture of a film


def from_above(
    roads: Sequence[tuple[np.ndarray, float]],
    drives: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]],
    titles: Sequence[str],
    path: Path | str,
) -> None:
    """Roads from above with the way of each seed.

    roads: centre line [P, 2] and half of the width, m. drives: for each road and seed the places
    [T, 2] and whether the road was left there [T].
    """
    columns = math.ceil(math.sqrt(len(roads)))
    rows = math.ceil(len(roads) / columns)
    figure = canvas.figure(2.6 * columns, 2.8 * rows)
    for i, ((centre, half), ways) in enumerate(zip(roads, drives, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        closed = np.concatenate([centre, centre[:1]])
        step = np.roll(centre, -1, 0) - centre
        normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.linalg.norm(step, axis=1)[:, None]
        for side in (-half, half):
            edge = centre + side * normal
            edge = np.concatenate([edge, edge[:1]])
            axes.plot(*edge.T, color="#8a949e", linewidth=0.6, label="edge of the road")
        axes.plot(*closed.T, color=canvas.OTHER, linewidth=0.8, linestyle=":", label="centre")
        for places, left in ways:
            # Put back onto the centre after leaving the road: a gap, not a line.
            shown = np.where(np.roll(left, 1)[:, None], np.nan, places)
            axes.plot(*shown.T, color=canvas.MAIN, linewidth=0.8, label="way of the car")
            axes.plot(*places[left].T, "x", color=canvas.WRONG, markersize=5, label="left the road")
        axes.plot(*centre[0], "o", color=WHEEL, markersize=3, label="start")
        axes.set_aspect("equal")
        axes.set_title(titles[i], fontsize=8)
        axes.tick_params(labelsize=6)
    named = {label: h for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        named.values(), named, loc="outside lower center",
        ncols=2 * columns - (columns > 1), fontsize=8,
    )  # fmt: skip
    figure.suptitle("Test drives from above, m", fontsize=10)
    canvas.save(figure, path)


def errors_in_bends(
    curvature: np.ndarray, lateral: Mapping[str, np.ndarray], path: Path | str
) -> None:
    """Distance from the centre by the road's curvature: mean and 95 % of each driver.

    curvature [N]: 1/m, positive to the left; lateral: driver -> [N], m to the left.
    """
    figure = canvas.figure(8.4, 3.2)
    limit = float(np.percentile(np.abs(curvature), 99.5)) or 1e-3
    edges = np.linspace(-limit, limit, 16)
    middle = (edges[1:] + edges[:-1]) / 2
    member = np.digitize(curvature, edges) - 1
    left, right = figure.subplots(1, 2)
    colours = (canvas.MAIN, "#e07b1a", "#2c8f4a", "#8e5bb5")
    for (name, x), colour in zip(lateral.items(), colours, strict=False):
        inside = [x[member == i] for i in range(len(middle))]
        mean = [v.mean() if len(v) else np.nan for v in inside]
        high = [np.percentile(np.abs(v), 95) if len(v) else np.nan for v in inside]
        left.plot(middle, mean, color=colour, marker=".", label=name)
        right.plot(middle, high, color=colour, marker=".", label=name)
    left.set(ylabel="m to the left, mean")
    right.set(ylabel="m aside, 95 % of the places")
    for axes in (left, right):
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set_xlabel("curvature, 1/m (left bends positive)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(alpha=0.3, linewidth=0.5)
    left.legend(fontsize=8)
    canvas.save(figure, path)


def film(
    pictures: np.ndarray,
    looked: np.ndarray,
    steer: np.ndarray,
    lateral: np.ndarray,
    seconds: float,
    path: Path | str,
) -> None:
    """A drive as a GIF: what the camera saw, where the network looked (red), the wheel.

    pictures [T, H, W, 3] in 0..1; looked [T, H, W] in 0..1; steer [T], front wheels in rad, left
    positive; lateral [T], m; seconds of a step.
    """
    frames = []
    for t in range(0, len(pictures), SKIP):
        mask = looked[t][..., None] * 0.75
        seen = 255 * pictures[t] * (1 - mask) + np.array(LOOK) * mask
        picture = Image.fromarray(seen.clip(0, 255).astype(np.uint8))
        picture = picture.resize(
            (picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST
        )
        height = max(picture.height, PANEL + 32)  # the wheel, and two lines below it
        frame = Image.new("RGB", (picture.width + PANEL, height), "#ffffff")
        frame.paste(picture)
        _wheel(ImageDraw.Draw(frame), picture.width + PANEL // 2, PANEL // 2, float(steer[t]))
        text = f"{t * seconds:5.1f} s\n{lateral[t]:+.2f} m"
        ImageDraw.Draw(frame).text((picture.width + 12, PANEL), text, fill=WHEEL)
        frames.append(frame.quantize(48, dither=Image.Dither.NONE))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    data, duration = io.BytesIO(), round(1000 * SKIP * seconds / 2)
    frames[0].save(data, "gif", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    Path(path).write_bytes(data.getvalue())


def _wheel(pen: ImageDraw.ImageDraw, x: int, y: int, steer: float, radius: int = 30) -> None:
    """A steering wheel, turned ten times as far as the front wheels."""
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=WHEEL, width=5)
    for spoke in (math.pi / 2, math.pi, 0.0):
        angle = spoke - 10 * steer
        end = (x + radius * math.cos(angle), y + radius * math.sin(angle))
        pen.line([(x, y), end], fill=WHEEL, width=4)
