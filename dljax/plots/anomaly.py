"""Pictures of detections: a series, the surprise of its rows, labelled windows and detections."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.dates as dates
import numpy as np
from matplotlib.axes import Axes

from dljax.plots import canvas

LABEL, SCORE = "#f2c14e", "#7a8b99"


def detections(
    title: str,
    time: np.ndarray,
    values: np.ndarray,
    surprise: np.ndarray,
    found: np.ndarray,
    threshold: float,
    path: Path | str,
    windows: Sequence[tuple[int, int]] | None = None,
    probation: int = 0,
    measure: str = "surprise, nats",
) -> None:
    """A series above and the surprise of its rows, or another measure of them, below.

    time: datetime64 [T]; values, surprise: [T]; found: bool [T], the detections. windows: first and
    last row of each labelled anomaly, None if unknown.
    probation: rows at the beginning that are not scored.
    """
    figure = canvas.figure(11, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    inside = np.zeros(len(values), bool)
    for number, (first, last) in enumerate(windows or ()):
        inside[first : last + 1] = True
        for axes in (above, below):
            label = "labelled window" if number == 0 and axes is above else None
            end = time[min(last + 1, len(time) - 1)]
            axes.axvspan(time[first], end, color=LABEL, alpha=0.45, linewidth=0, label=label)
    if probation:
        for axes in (above, below):
            label = "not scored" if axes is above else None
            axes.axvspan(time[0], time[probation], color="#e6e9ec", linewidth=0, label=label)
    above.plot(time, values, color="#30363c", linewidth=0.6)
    found = found & (np.arange(len(values)) >= probation)
    if windows is None:
        _marks(above, time, values, found, canvas.WRONG, "detection")
    else:
        _marks(above, time, values, found & inside, canvas.PARTS["test"], "detection in a window")
        _marks(above, time, values, found & ~inside, canvas.WRONG, "detection outside")
    above.set_title(title, fontsize=10)
    if above.get_legend_handles_labels()[0]:
        figure.legend(
            *above.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=4
        )
    below.plot(time, surprise, color=SCORE, linewidth=0.6)
    below.axhline(threshold, color=canvas.WRONG, linewidth=0.9, linestyle="--")
    below.annotate(
        f"threshold {threshold:.2f}", (0.005, threshold), xycoords=("axes fraction", "data"),
        fontsize=8, color=canvas.WRONG, va="bottom",
    )  # fmt: skip
    below.set_ylabel(measure, fontsize=8)
    highest = float(surprise[probation:].max(initial=0.0))
    if highest > 4 * threshold > 0:
        below.set_yscale("symlog", linthresh=2 * threshold)
        ticks = [0, threshold, 2 * threshold, highest]
        below.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks], minor=False)
        below.set_yticks([], minor=True)
        below.set_ylabel(f"{measure}\n(logarithmic on top)", fontsize=8)
    below.set_ylim(0, max(1.2 * threshold, 1.1 * highest, 1e-9))
    for axes in (above, below):
        axes.margins(x=0.005)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25, linewidth=0.5)
    locator = dates.AutoDateLocator()
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    canvas.save(figure, path)


def _marks(
    axes: Axes, time: np.ndarray, values: np.ndarray, which: np.ndarray, colour: str, label: str
) -> None:
    if which.any():
        axes.plot(
            time[which], values[which], "v", color=colour, markersize=7, markeredgecolor="white",
            markeredgewidth=0.6, label=f"{label} ({which.sum()})", zorder=5,
        )  # fmt: skip
