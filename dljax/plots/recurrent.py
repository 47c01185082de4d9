"""Pictures of recurrent networks: gradient norms over time and activations of gates."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dljax.plots import canvas

NAMES = {
    "i": "input gate i", "f": "forget gate f", "g": "candidate g", "o": "output gate o",
    "r": "reset gate r", "u": "update gate u", "n": "candidate n", "h": "state h",
}  # fmt: skip


def gradient_reach(norms: Mapping[str, np.ndarray], path: Path | str) -> None:
    """|d loss / d h_t| over t for each network, as a share of its value at the last time.

    norms: name -> [T], as `rnn.probes.inspection.gradient_norms` returns. The axis is
    logarithmic and ends at 1e-12, where smaller values are drawn.
    """
    figure = canvas.figure(6.4, 3.8)
    axes = figure.add_subplot()
    floor = 1e-12
    for name, norm in norms.items():
        norm = np.asarray(norm, float)
        share = np.maximum(norm / max(norm[-1], np.finfo(float).tiny), floor)
        style = "--" if "initial" in name else "-"
        first = f"{share[0]:.1e}" if share[0] > floor else f"below {floor:.0e}"
        axes.plot(np.arange(1, len(norm) + 1), share, style, label=f"{name}: {first} at t=1")
    axes.set(yscale="log", xlabel="time t", ylabel="|d loss / d h_t|, relative to the last")
    axes.set_ylim(bottom=max(floor, axes.get_ylim()[0]))
    axes.set_title("Gradient of the loss with respect to the state at time t", fontsize=11)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize=8)
    canvas.save(figure, path)


def gates(
    activations: Mapping[str, np.ndarray], series: np.ndarray, path: Path | str, title: str = ""
) -> None:
    """A series [T, C] and, for each gate, a map of its activations [T, F], a row for each unit.

    Sigmoid gates are drawn from 0 to 1, activations with negative entries from -1 to 1. The units
    are sorted by their mean activation in the first gate, in the same order in every map.
    """
    series = np.asarray(series, float)
    activations = {name: np.asarray(values, float) for name, values in activations.items()}
    order = np.argsort(next(iter(activations.values())).mean(axis=0))
    rows = len(activations) + 1
    figure = canvas.figure(8, 1.3 * rows + 0.8)
    panels = figure.subplots(rows, 1, sharex=True)
    for i, channel in enumerate(series.T):
        place = np.arange(len(channel))
        panels[0].step(place, channel, where="mid", linewidth=1, label=f"input {i + 1}")
    panels[0].set_ylabel("series")
    if 1 < series.shape[1] <= 10:
        panels[0].legend(fontsize=7, loc="upper right", ncols=5)
    for axes, (name, values) in zip(panels[1:], activations.items(), strict=True):
        signed = values.min() < 0
        picture = axes.imshow(
            values[:, order].T, aspect="auto", interpolation="nearest", origin="lower",
            cmap="RdBu_r" if signed else "viridis", vmin=-1 if signed else 0, vmax=1,
        )  # fmt: skip
        axes.set(ylabel=NAMES.get(name, name), yticks=[])
        figure.colorbar(picture, ax=axes, pad=0.01)
    figure.colorbar(picture, ax=panels[0], pad=0.01).ax.set_visible(False)  # the same width
    panels[-1].set_xlabel("time t")
    figure.suptitle(title or "Gates over time", fontsize=11)
    canvas.save(figure, path)
