"""Pictures of face recognition: error curves, pairs, a map of embeddings, what a network sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import FuncFormatter

from dljax.plots import canvas

COLOURS = ("#1f6fb4", "#e07b1a", "#2c8f4a", "#8e44ad", "#c0392b", "#7f8c8d")


def detection_error(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path | str, title: str
) -> None:
    """Detection error trade-off: name -> (FAR, FRR), both on logarithmic axes.

    Zero rates lie below the axis and are left out.
    """
    figure = canvas.figure(5.2, 4.8)
    axes = figure.add_subplot()
    for index, (name, (far, frr)) in enumerate(curves.items()):
        shown = (far > 0) & (frr > 0)
        axes.step(
            far[shown], frr[shown], where="post", label=name,
            color=COLOURS[index % len(COLOURS)], linewidth=2 if index == 0 else 1.2,
        )  # fmt: skip
    axes.plot([1e-4, 1], [1e-4, 1], ":", color="grey", linewidth=1, label="both rates equal")
    axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-3, 1))
    axes.set(xlabel="false match rate (two people)", ylabel="false non-match rate (one person)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.grid(True, which="major", alpha=0.4)
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8, loc="lower left")
    canvas.save(figure, path)


def score_histogram(
    genuine: np.ndarray, impostor: np.ndarray, threshold: float | None, path: Path | str
) -> None:
    """The cosines of pairs of one person and of two, each as a density, and the threshold."""
    figure = canvas.figure(5.2, 3.4)
    axes = figure.add_subplot()
    bins = np.linspace(min(genuine.min(), impostor.min()), 1, 60)
    for scores, name, colour in (
        (impostor, "two people", canvas.WRONG),
        (genuine, "one person", canvas.MAIN),
    ):
        axes.hist(scores, bins, density=True, alpha=0.6, color=colour, label=name)
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.2f}")
    axes.set(xlabel="cosine of a pair", ylabel="density")
    axes.legend(fontsize=8)
    canvas.save(figure, path)


def pairs(
    rows: Sequence[tuple[str, Sequence[tuple[np.ndarray, np.ndarray, str]]]], path: Path | str
) -> None:
    """Rows of pairs of images side by side: (title of the row, [(image, image, title), ...])."""
    columns = max(len(found) for _, found in rows)
    figure = canvas.figure(1.75 * columns + 0.4, 1.9 * len(rows) + 0.3)
    for part, (title, found) in zip(
        figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True
    ):
        part.suptitle(title, fontsize=10)
        for index, (first, second, text) in enumerate(found):
            axes = part.add_subplot(1, columns, index + 1)
            canvas.show(axes, np.concatenate([first, np.full_like(first[:, :2], 255), second], 1))
            axes.set_title(text, fontsize=8)
    canvas.save(figure, path)


def embedding_map(places: np.ndarray, person: Sequence[str], path: Path | str, title: str) -> None:
    """Images as points [N, 2], coloured and named by person (30 people at most have names)."""
    people = list(dict.fromkeys(person))
    figure = canvas.figure(6.2, 5.4)
    axes = figure.add_subplot()
    colours = colormaps["tab20"]
    person = np.asarray(person)
    for index, name in enumerate(people):
        own = places[person == name]
        colour = colours(index % 20)
        axes.plot(*own.T, "osD^v"[index // 20 % 5], color=colour, markersize=5)
        if len(people) <= 30:
            axes.annotate(
                name, np.median(own, 0), fontsize=9, ha="center", va="center", weight="bold"
            )
    if len(people) > 30:
        title += f"\n(a colour and shape for each of {len(people)} people, without their names)"
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=11)
    canvas.save(figure, path)


def cumulative_match(curves: Mapping[str, np.ndarray], path: Path | str, most: int = 10) -> None:
    """CMC curves [P] up to rank `most`: the share of probes whose person is among the best k."""
    figure = canvas.figure(5.0, 3.6)
    axes = figure.add_subplot()
    lowest = 1.0
    for index, (name, curve) in enumerate(curves.items()):
        shown = curve[:most]
        lowest = min(lowest, shown[0])
        axes.plot(
            range(1, len(shown) + 1), shown, "o-", label=f"{name} ({shown[0]:.2%} at rank 1)",
            color=COLOURS[index % len(COLOURS)], markersize=4,
        )  # fmt: skip
    axes.set(xlabel="rank", ylabel="share of probes", ylim=(max(0, lowest - 0.05), 1.005))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.grid(True, alpha=0.4)
    axes.legend(fontsize=8, loc="lower right")
    canvas.save(figure, path)


def occlusion(
    found: Sequence[tuple[np.ndarray, np.ndarray, str]], path: Path | str, title: str
) -> None:
    """Images [H, W, C] above the same under a map [H, W] of how much hiding a place matters."""
    figure = canvas.figure(1.5 * len(found) + 0.9, 4.0)
    grid = figure.subplots(2, len(found), squeeze=False)
    highest = max(np.abs(map_).max() for _, map_, _ in found) or 1.0
    for column, (image, map_, text) in enumerate(found):
        canvas.show(grid[0, column], image)
        grid[0, column].set_title(text, fontsize=8)
        canvas.show(grid[1, column], image)
        drawn = grid[1, column].imshow(
            map_, cmap="RdBu_r", vmin=-highest, vmax=highest, alpha=0.6, interpolation="bilinear"
        )
    figure.colorbar(drawn, ax=grid, shrink=0.7, label="cosine lost").ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=11)
    canvas.save(figure, path)
