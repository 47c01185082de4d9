"""Pictures of a driver in open loop: angles over time, their balance, errors, frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dljax.plots import canvas

DRIVER, NETWORK, AVERAGE = "#30363c", canvas.MAIN, "#e07b1a"
OTHERS = ("#7f7f7f", "#2c8f4a", "#8e5bb5", "#b08a2e")
DRIVES = 4  # panels, at most
STRETCHED = 2  # times that angles are drawn in frames


def angles_over_time(
    time: np.ndarray,
    drive: np.ndarray,
    angle: np.ndarray,
    predicted: np.ndarray,
    average: np.ndarray,
    path: Path | str,
) -> None:
    """The angle [N] that was steered and those of each seed [S, N], a panel for each drive.

    time [N]: within each drive. average [N]: of the driver's angle over about a second.
    """
    shown = np.unique(drive)[:DRIVES]
    figure = canvas.figure(12, 1 + 3 * len(shown))
    figure.suptitle("Steering in open loop, test part, degrees", fontsize=11)
    for axes, number in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        own = drive == number
        x, each = time[own], predicted[:, own]
        axes.plot(x, angle[own], color=DRIVER, linewidth=0.9, label="driver")
        axes.plot(x, average[own], color=AVERAGE, linewidth=1.2, label="driver, averaged")
        axes.plot(x, each.mean(0), color=NETWORK, linewidth=1.8, label="network, mean of seeds")
        if len(each) > 1:
            axes.fill_between(
                x, each.min(0), each.max(0), color=NETWORK, alpha=0.2, linewidth=0,
                label=f"{len(each)} seeds, smallest to largest",
            )  # fmt: skip
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set_xlabel("time", fontsize=8)
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.margins(x=0.01)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    canvas.save(figure, path)


def balance(angle: np.ndarray, weight: np.ndarray, path: Path | str) -> None:
    """How the training angles [N] are distributed as read, and as they are weighted [N]."""
    limit = float(np.abs(angle).max())
    edges = np.linspace(-limit, limit, 42)
    figure = canvas.figure(8, 3.6)
    axes = figure.add_subplot()
    share = 100 / len(angle)
    axes.hist(
        angle, edges, weights=np.full(len(angle), share), color=canvas.OTHER,
        label="training pictures, all cameras",
    )  # fmt: skip
    axes.hist(
        angle, edges, weights=share * weight, histtype="step", color=NETWORK, linewidth=1.6,
        label="as they are weighted in the loss",
    )  # fmt: skip
    axes.set(yscale="log", xlabel="angle, degrees", ylabel="percent (logarithmic)")
    axes.set_title("Balance of the training angles", fontsize=11)
    axes.legend(fontsize=8)
    canvas.save(figure, path)


def error_by_angle(
    angle: np.ndarray, predictions: Mapping[str, np.ndarray], path: Path | str
) -> None:
    """Mean absolute error by the angle [N] that was steered, and predicted against steered.

    predictions: name -> [N], the network first.
    """
    limit = max(float(np.abs(angle).max()), 1.0)
    edges = np.linspace(-limit, limit, 12)
    member = np.clip(np.digitize(angle, edges) - 1, 0, len(edges) - 2)
    centres = (edges[1:] + edges[:-1]) / 2
    counts = np.bincount(member, minlength=len(centres))
    figure = canvas.figure(11.5, 4.2)
    left, right = figure.subplots(1, 2)
    colours = (NETWORK, *OTHERS)
    for i, (name, values) in enumerate(predictions.items()):
        error = np.bincount(member, np.abs(values - angle), len(centres)) / np.maximum(counts, 1)
        left.plot(
            centres[counts > 0], error[counts > 0], "o-" if i == 0 else "--",
            color=colours[i % len(colours)], linewidth=2 if i == 0 else 1.2, markersize=4,
            label=f"{name} {np.abs(values - angle).mean():.2f}",
        )  # fmt: skip
    for x, count in zip(centres, counts, strict=True):
        left.annotate(str(count), (x, 0.01), xycoords=("data", "axes fraction"), fontsize=7,
                      ha="center", color="grey")  # fmt: skip
    left.set(xlabel="angle of the driver, degrees (below: stamps)", ylabel="mean absolute error")
    left.legend(fontsize=8, title="MAE over all stamps", title_fontsize=8)
    network = next(iter(predictions.values()))
    right.plot(angle, network, ".", color=NETWORK, markersize=4, alpha=0.5)
    right.plot([-limit, limit], [-limit, limit], "--", color="black", linewidth=0.8)
    right.set(xlabel="angle of the driver, degrees", ylabel="angle of the network")
    for axes in (left, right):
        axes.grid(alpha=0.3, linewidth=0.5)
    canvas.save(figure, path)


def frames(
    images: Sequence[np.ndarray],
    angles: Mapping[str, np.ndarray],
    titles: Sequence[str],
    positive: str,
    path: Path | str,
) -> None:
    """Pictures [H, W, 3] with each angle as a line from the middle of the bottom.

    angles: name -> degrees [N], drawn STRETCHED times as large, so that small ones show. positive:
    where positive angles point, 'right' or 'left'.
    """
    columns = min(len(images), 4)
    rows = math.ceil(len(images) / columns)
    height, width = images[0].shape[:2]
    figure = canvas.figure(3.3 * columns, (3.3 * height / width + 0.35) * rows + 0.7)
    sign = 1 if positive == "right" else -1
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    colours = {"driver": "#2ee66b", "network": "#ffd21f"}
    for index, (axes, image, title) in enumerate(zip(grid.flat, images, titles, strict=False)):
        canvas.show(axes, image)
        height, width = image.shape[:2]
        for name, values in angles.items():
            turn = np.deg2rad(sign * STRETCHED * values[index])
            end = width / 2 + 0.6 * height * np.sin(turn), height * (1 - 0.6 * np.cos(turn))
            axes.plot(
                [width / 2, end[0]], [height - 1, end[1]], color=colours[name], linewidth=2.5,
                label=name,
            )  # fmt: skip
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axes.set_title(title, fontsize=8)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, fontsize=8,
        title=f"angles are drawn {STRETCHED} times as large", title_fontsize=8,
    )  # fmt: skip
    canvas.save(figure, path)
