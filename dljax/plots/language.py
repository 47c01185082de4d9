"""Pictures of text: each character on a ground whose colour is a number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from dljax.plots import canvas

COLUMNS = 88  # characters in a row, besides the sign of a line end
MARKS = {"\n": "¶", "\r": "", "\t": "→"}  # how characters without a shape are shown


class Unit(NamedTuple):
    """A unit's activation [N] after each character, and the property that it follows."""

    property: str
    index: int
    correlation: float
    activation: np.ndarray


def surprise(text: str, nats: np.ndarray, path: Path | str, rows: int = 32) -> None:
    """The beginning of a text, the darker the more surprising: nats [N] of each character."""
    figure = canvas.figure(10.4, 0.6 + 0.2 * _rows(_places(text, rows)))
    axes = figure.add_subplot()
    picture = characters(axes, text, np.asarray(nats), rows, "Reds", 0, 8)
    figure.colorbar(picture, ax=axes, label="nats", pad=0.01, extend="max")
    axes.set_title(f"Surprise: {np.mean(nats):.3f} nats a character", fontsize=10)
    canvas.save(figure, path)


def units(text: str, found: Sequence[Any], path: Path | str, rows: int = 6) -> None:
    """For each unit the same piece of the text, coloured by the activation after each character,
    less its mean.

    found: with the fields of `Unit`. The piece begins at the middle of the text.
    """
    if not found:
        return
    middle = len(text) // 2
    figure = canvas.figure(10.4, (0.4 + 0.2 * rows) * len(found))
    for axes, unit in zip(figure.subplots(len(found), squeeze=False)[:, 0], found, strict=True):
        values = unit.activation[middle:] - unit.activation.mean()
        size = max(float(np.quantile(np.abs(values), 0.99)), 1e-6)
        picture = characters(axes, text[middle:], values, rows, "RdBu_r", -size, size)
        figure.colorbar(picture, ax=axes, pad=0.01, extend="both").ax.tick_params(labelsize=7)
        title = f"{unit.property}: unit {unit.index}, correlation {unit.correlation:.2f}"
        axes.set_title(title, fontsize=9, loc="left")
    canvas.save(figure, path)


def characters(
    axes: Axes, text: str, values: np.ndarray, rows: int, colours: str, low: float, high: float
) -> Any:
    """Draws the first rows of a text, each character on the colour of its value; the mappable."""
    places, norm = _places(text, rows), Normalize(low, high)
    grid = np.full((_rows(places), COLUMNS + 1), np.nan)
    for x, value, (row, column) in zip(text, values, places, strict=False):
        grid[row, column] = value
        dark = abs(norm(value) - (0 if low == 0 else 0.5)) > 0.7 * (1 if low == 0 else 0.5)
        shown = MARKS.get(x, x if x.isprintable() else "□")
        axes.text(column, row, shown.replace("$", r"\$"), family="monospace", fontsize=8,
                  ha="center", va="center", color="white" if dark else "black")  # fmt: skip
    colour_map = matplotlib.colormaps[colours].with_extremes(bad="white")
    picture = axes.imshow(
        np.ma.masked_invalid(grid), cmap=colour_map, norm=norm, aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    axes.set_axis_off()
    return picture


def _places(text: str, rows: int) -> list[tuple[int, int]]:
    """Row and column of each character of the first rows; a line end stands behind its line, even
    a full one.
    """
    places, row, column = [], 0, 0
    for x in text:
        if column == COLUMNS and x != "\n":
            row, column = row + 1, 0
        if row == rows:
            break
        places.append((row, column))
        row, column = (row + 1, 0) if x == "\n" else (row, column + 1)
    return places


def _rows(places: Sequence[tuple[int, int]]) -> int:
    """Rows that characters in these places take."""
    return max((row for row, _ in places), default=0) + 1
