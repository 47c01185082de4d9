"""Maps of values and policies of states that have two coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

from dljax.plots import canvas

WALL, GOAL = "#3a4650", "#e07b1a"
ACTIONS = ["#1f6fb4", "#e8edf1", "#e07b1a", "#2c8f4a", "#8e44ad", "#7f8c8d"]


class Plane(NamedTuple):
    """Two coordinates of an environment's state: names, fields of the state, bounds.

    observe: (x [B], y [B]) -> the entries of the observation there, each [B]. actions: the name of
    each, or of the one number that is an action.
    """

    names: tuple[str, str]
    fields: tuple[str, str]
    bounds: tuple[tuple[float, float], tuple[float, float]]
    observe: Callable[[Any, Any], tuple[Any, ...]]
    actions: tuple[str, ...]


_CAR = Plane(
    ("position", "velocity"),
    ("position", "velocity"),
    ((-1.2, 0.6), (-0.07, 0.07)),
    lambda x, y: (x, y),
    ("push left", "no push", "push right"),
)
PLANES = {
    "MountainCar-v0": _CAR,
    "MountainCarContinuous-v0": _CAR._replace(actions=("force, share of the largest",)),
    "Pendulum-v1": Plane(
        ("angle", "angular velocity"),
        ("theta", "theta_dot"),
        ((-math.pi, math.pi), (-8.0, 8.0)),
        lambda x, y: (np.cos(x), np.sin(x), y),
        ("torque, share of the largest",),
    ),
}


def plane(
    drawn: Plane,
    value: np.ndarray,
    action: np.ndarray,
    trajectory: np.ndarray,
    path: Path | str,
    title: str,
) -> None:
    """The value and, beside it, the best action over a plane, with an episode's trajectory.

    value, action [Y, X], evenly spaced between the bounds; an action is an index of drawn.actions,
    or a number between -1 and 1 where these are one. trajectory [T, 2]: the episode's states.
    """
    figure = canvas.figure(10, 4)
    (left, right), (bottom, top) = drawn.bounds
    place = {"extent": (left, right, bottom, top), "origin": "lower", "aspect": "auto"}
    policy = {"cmap": "coolwarm", "vmin": -1, "vmax": 1}
    actions = len(drawn.actions)
    if actions > 1:
        colours = ListedColormap([ACTIONS[i % len(ACTIONS)] for i in range(actions)])
        policy = {"cmap": colours, "norm": BoundaryNorm(np.arange(actions + 1) - 0.5, actions)}
    panels = [("value", value, {"cmap": "viridis"}), ("best action", action, policy)]
    trajectory = np.copy(trajectory)
    if drawn.names[0] == "angle":
        trajectory[:, 0] = (trajectory[:, 0] - left) % (right - left) + left
    jumps = np.abs(np.diff(trajectory[:, 0])) > (right - left) / 2
    line = np.insert(trajectory, np.flatnonzero(jumps) + 1, np.nan, axis=0)
    for index, (name, shown, how) in enumerate(panels):
        axes = figure.add_subplot(1, 2, index + 1)
        image = axes.imshow(shown, interpolation="nearest", **place, **how)
        bar = figure.colorbar(image, ax=axes)
        if index == 0:
            bar.set_label("return from there on, discounted")
        elif actions > 1:
            bar.set_ticks(range(actions), labels=drawn.actions)
        else:
            bar.set_label(drawn.actions[0])
        axes.plot(*line.T, color="white", linewidth=2.6)
        axes.plot(*line.T, color="black", linewidth=1.2)
        axes.plot(*trajectory[0], "o", color="white", markeredgecolor="black", markersize=7)
        axes.plot(*trajectory[-1], "*", color=GOAL, markeredgecolor="black", markersize=13)
        axes.set(xlabel=drawn.names[0], ylabel=drawn.names[1], title=name)
    figure.suptitle(f"{title}, with a test episode (from the dot to the star)", fontsize=11)
    canvas.save(figure, path)


class Cells(NamedTuple):
    """Values and moves on a grid: value [S]; move [S, 2], rows and columns that the action goes."""

    value: np.ndarray
    move: np.ndarray


def cells(
    place: np.ndarray,
    goals: np.ndarray,
    pits: np.ndarray,
    panels: Mapping[str, Cells],
    path: Path | str,
    title: str,
) -> None:
    """Grids side by side on one colour scale, an arrow a cell for the best action.

    place [S, 2]: row and column of each state. goals, pits [E, 2]: cells where episodes end, for a
    reward (a star) or none (a cross). The other cells are walls. A move into a wall is a dot.
    """
    known = np.concatenate([place, goals, pits]).astype(int)
    height, width = known.max(0) + 1 + known.min(0)  # with a border where there is one
    values = np.concatenate([np.ravel(panel.value) for panel in panels.values()])
    figure = canvas.figure(4.6 * len(panels) + 0.8, 4.6 * height / max(width, height) + 0.6)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, panel) in zip(axes, panels.items(), strict=True):
        shown = np.full((height, width), np.nan)
        shown[tuple(place.T)] = panel.value
        axis.set_facecolor(WALL)
        image = axis.imshow(shown, cmap="viridis", vmin=values.min(), vmax=values.max())
        rows, columns = place.T
        still = (panel.move == 0).all(1)
        axis.plot(columns[still], rows[still], ".", color="white", markersize=4)
        axis.quiver(
            columns[~still], rows[~still], panel.move[~still, 1], panel.move[~still, 0],
            color="white", pivot="mid", angles="xy", scale_units="xy", scale=1.7, width=0.006,
        )  # fmt: skip
        axis.plot(
            goals[:, 1], goals[:, 0], "*", color=GOAL, mec="black", markersize=13, label="goal"
        )
        axis.plot(
            pits[:, 1],
            pits[:, 0],
            "x",
            color=canvas.WRONG,
            markersize=9,
            label="end without reward",
        )
        axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(
        image, ax=axes.tolist(), shrink=0.85, label="value: return from there on, discounted"
    )
    shown = [
        line for line in axis.get_lines() if len(line.get_xdata()) and line.get_label()[0] != "_"
    ]
    figure.legend(
        handles=[Patch(color=WALL, label="wall"), *shown], loc="outside lower center", ncols=3,
        fontsize=8, title="arrow: best action; dot: it goes into a wall", title_fontsize=8,
    )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    canvas.save(figure, path)
