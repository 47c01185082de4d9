"""Pictures of agents: how their returns grew, and an episode as a GIF."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator
from PIL import Image, ImageDraw

from dljax.plots import canvas

SIZE = (360, 240)  # of a frame, in dots
SKY, INK, WOOD, GROUND = "#ffffff", "#22303c", "#b9770e", "#b8c4ce"
CHANNELS = ["#1f6fb4", "#e07b1a", "#2c8f4a", "#c0392b", "#8e44ad", "#16a085", "#7f8c8d"]


def returns(
    steps: np.ndarray, seconds: Sequence[float], values: np.ndarray, path: Path | str, title: str
) -> None:
    """Mean return of evaluations over steps of the environments, and over seconds of training.

    steps, seconds [T]; values [T, S], NaN where a seed was dropped. The band is the interquartile
    range of the seeds, thin lines are the seeds.
    """
    figure = canvas.figure(8.4, 3.4)
    seeds = values.shape[1]
    for index, (x, label) in enumerate([(steps, "environment steps"), (seconds, "seconds")]):
        axes = figure.add_subplot(1, 2, index + 1)
        lines = axes.plot(x, values, color=canvas.OTHER, linewidth=0.8)
        if seeds > 1:
            lines[0].set_label("a seed")
            low, high = np.nanpercentile(values, (25, 75), axis=1)
            axes.fill_between(
                x, low, high, color=canvas.MAIN, alpha=0.25, linewidth=0, label="middle half"
            )
        axes.plot(x, np.nanmean(values, axis=1), color=canvas.MAIN, linewidth=1.8, label="mean")
        axes.set(xlabel=label, ylabel="return" if index == 0 else "")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(alpha=0.3, linewidth=0.5)
        if seeds > 1 and index == 0:
            axes.legend(fontsize=8)
    last = values[-1][~np.isnan(values[-1])]
    spread = f" ± {last.std(ddof=1):.1f}, mean of {seeds} seeds" if len(last) > 1 else ""
    figure.suptitle(f"{title}: return {last.mean():.1f}{spread}", fontsize=11)
    canvas.save(figure, path)


def episode(name: str, states: Any, obs: np.ndarray, rewards: np.ndarray, path: Path | str) -> None:
    """Writes an episode as a GIF; name is the environment's, arrays [T, ...] are of each step.

    Drawn from the state where the environment is known here, else from what the agent sees.
    """
    while hasattr(states, "inner"):  # of wrappers
        states = states.inner
    draw: Callable[[int], Image.Image]
    if name in DRAWN:
        draw = lambda t: _frame(lambda pen: DRAWN[name](pen, _at(states, t)))  # noqa: E731
    elif name in PHOTOGRAPHED and obs.ndim == 4:
        draw = lambda t: _photograph(obs[t])  # noqa: E731
    elif obs.ndim == 4:
        draw = lambda t: _cells(obs[t])  # noqa: E731
    else:
        top = float(np.abs(obs).max()) or 1.0
        draw = lambda t: _frame(lambda pen: _bars(pen, obs[t].reshape(-1) / top))  # noqa: E731
    frames, total = [], np.cumsum(rewards)
    for t in range(len(rewards)):
        frame = draw(t)
        before = 0.0 if t == 0 else total[t - 1]
        ImageDraw.Draw(frame).text((6, 4), f"step {t}   return {before:g}", fill=INK)
        frames.append(frame.quantize(64, dither=Image.Dither.NONE))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    frames[0].save(data, "gif", save_all=True, append_images=frames[1:], duration=40, loop=0)
    Path(path).write_bytes(data.getvalue())


def _at(states: Any, t: int) -> dict[str, float]:
    """The numbers of a state's fields at a step."""
    return {name: float(x[t]) for name, x in vars(states).items() if np.ndim(x) == 1}


class Pen:
    """Draws in a frame of twice the size, which is then made smooth."""

    def __init__(self):
        self.image = Image.new("RGB", (2 * SIZE[0], 2 * SIZE[1]), SKY)
        self._draw = ImageDraw.Draw(self.image)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        points = [(2 * x, 2 * y) for x, y in points]
        self._draw.line(points, fill=colour, width=round(2 * width), joint="curve")

    def disc(self, x: float, y: float, radius: float, colour: str) -> None:
        box = [2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius)]
        self._draw.ellipse(box, fill=colour)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self._draw.rectangle([2 * x, 2 * y, 2 * (x + width), 2 * (y + height)], fill=colour)


def _frame(draw: Callable[[Pen], None]) -> Image.Image:
    pen = Pen()
    draw(pen)
    return pen.image.resize(SIZE, Image.Resampling.LANCZOS)


def _cartpole(pen: Pen, state: dict[str, float]) -> None:
    x, ground, angle = 180 + 70 * state["x"], 190, state["theta"]
    pen.line([(0, ground), (360, ground)], GROUND, 2)
    pen.box(x - 26, ground - 26, 52, 22, INK)
    top = (x + 110 * math.sin(angle), ground - 22 - 110 * math.cos(angle))
    pen.line([(x, ground - 22), top], WOOD, 7)
    pen.disc(x, ground - 22, 4, SKY)


def _pendulum(pen: Pen, state: dict[str, float]) -> None:
    end = (180 - 85 * math.sin(state["theta"]), 125 - 85 * math.cos(state["theta"]))
    pen.line([(180, 125), end], WOOD, 9)
    pen.disc(*end, 10, WOOD)
    pen.disc(180, 125, 5, INK)


def _acrobot(pen: Pen, state: dict[str, float]) -> None:
    pen.line([(40, 75), (320, 75)], GROUND, 2)  # the height to reach
    first, both = state["joint_angle1"], state["joint_angle1"] + state["joint_angle2"]
    elbow = (180 + 50 * math.sin(first), 125 + 50 * math.cos(first))
    hand = (elbow[0] + 50 * math.sin(both), elbow[1] + 50 * math.cos(both))
    pen.line([(180, 125), elbow], WOOD, 7)
    pen.line([elbow, hand], canvas.MAIN, 7)
    pen.disc(180, 125, 5, INK)
    pen.disc(*elbow, 4, INK)


def _mountain_car(pen: Pen, state: dict[str, float]) -> None:
    def place(x: float) -> tuple[float, float]:
        return (x + 1.2) * 200, 215 - (math.sin(3 * x) * 0.45 + 0.55) * 130

    pen.line([place(x) for x in np.linspace(-1.2, 0.6, 90)], GROUND, 3)
    goal = place(0.5)
    pen.line([goal, (goal[0], goal[1] - 28)], INK, 2)
    pen.box(goal[0], goal[1] - 28, 14, 9, canvas.WRONG)
    x, y = place(state["position"])
    pen.disc(x, y - 9, 9, canvas.MAIN)


DRAWN = {
    "CartPole-v1": _cartpole,
    "Pendulum-v1": _pendulum,
    "Acrobot-v1": _acrobot,
    "MountainCar-v0": _mountain_car,
    "MountainCarContinuous-v0": _mountain_car,
}


PHOTOGRAPHED = ("driving",)  # whose observations are what a camera sees


def _photograph(obs: np.ndarray) -> Image.Image:
    """A picture [H, W, 3] of colours 0..1, the last one of those that are stacked."""
    picture = Image.fromarray((255 * obs[..., -3:]).astype(np.uint8))
    scale = max(1, SIZE[0] // picture.width)
    return picture.resize((scale * picture.width, scale * picture.height), Image.Resampling.NEAREST)


def _cells(obs: np.ndarray) -> Image.Image:
    """A picture [H, W, C] of flags, one colour a channel, later channels above earlier ones."""
    shown = np.full((*obs.shape[:2], 3), 255, np.uint8)
    for channel in range(obs.shape[2]):
        colour = CHANNELS[channel % len(CHANNELS)].lstrip("#")
        shown[obs[..., channel] > 0] = [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
    side = SIZE[1] - 20
    cells = Image.fromarray(shown).resize((side, side), Image.Resampling.NEAREST)
    frame = Image.new("RGB", SIZE, GROUND)
    frame.paste(cells, ((SIZE[0] - side) // 2, 20))
    return frame


def _bars(pen: Pen, values: np.ndarray) -> None:
    """Numbers between -1 and 1 as bars around a line."""
    width = 320 / len(values)
    for i, value in enumerate(values):
        top = 130 - 90 * max(value, 0)
        pen.box(20 + i * width, top, max(0.7 * width, 1), 90 * abs(value), canvas.MAIN)
    pen.line([(20, 130), (340, 130)], INK, 1)
