"""Pictures of speech: spectrograms, what augmentation does to them, alignments, error rates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from dljax.plots import canvas

SECONDS_PER_INCH = 0.45


class Alignment(NamedTuple):
    """A recording with what was found in it.

    spectrogram: [T, M]. spans: (symbol, first, last) in seconds. reference: what was said, '' where
    it is not known.
    """

    title: str
    spectrogram: np.ndarray
    seconds: float
    spans: Sequence[tuple[str, float, float]]
    reference: str = ""


def spectrograms(panels: Sequence[tuple[str, np.ndarray]], hop: float, path: Path | str) -> None:
    """A row for each (title, [T, M]); hop: seconds between frames. NaN is left white."""
    figure = canvas.figure(8, 1.7 * len(panels) + 0.3)
    longest = max(len(x) for _, x in panels) * hop
    for i, (title, x) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, i + 1)
        _spectrogram(axes, x, len(x) * hop)
        axes.set_xlim(0, longest)
        axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("seconds (the brighter, the more power)")
    canvas.save(figure, path)


def alignments(items: Sequence[Alignment], path: Path | str) -> None:
    """Spectrograms with the symbols found over the time in which they were."""
    longest = max(item.seconds for item in items)
    width = min(max(6.0, longest / SECONDS_PER_INCH), 16.0)
    figure = canvas.figure(width, 2.1 * len(items) + 0.3)
    for i, item in enumerate(items):
        axes = figure.add_subplot(len(items), 1, i + 1)
        _spectrogram(axes, item.spectrogram, item.seconds)
        axes.set_xlim(0, longest)
        top = item.spectrogram.shape[1]
        for symbol, first, last in item.spans:
            axes.axvline(first, color="white", linewidth=0.8, alpha=0.8)
            axes.text(
                (first + last) / 2, top, symbol.replace(" ", "␣"),
                ha="center", va="bottom", fontsize=9, clip_on=False,
            )  # fmt: skip
        title = item.title + (f" (said: {item.reference})" if item.reference else "")
        axes.set_title(title, fontsize=9, loc="left", pad=14)
    axes.set_xlabel("seconds (the brighter, the more power)")
    canvas.save(figure, path)


def _spectrogram(axes: Axes, x: np.ndarray, seconds: float) -> None:
    low, high = np.nanpercentile(x, [2, 99.5])
    axes.imshow(
        np.asarray(x).T, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high,
        extent=(0, seconds, 0, x.shape[1]), interpolation="nearest",
    )  # fmt: skip
    axes.set_ylabel("filter", fontsize=8)


def error_by_noise(
    curves: Mapping[str, Sequence[float]], ratios: Sequence[float], path: Path | str
) -> None:
    """Error rates over the signal-to-noise ratio in dB; an infinite one stands at the right end."""
    figure = canvas.figure(6, 3.6)
    axes = figure.add_subplot()
    places = np.arange(len(ratios))
    for name, values in curves.items():
        axes.plot(places, 100 * np.asarray(values), marker="o", linewidth=1.3, label=name)
    axes.set_xticks(places, ["none" if np.isinf(x) else f"{x:g}" for x in ratios])
    axes.set_xlabel("noise: signal-to-noise ratio, dB")
    axes.set_ylabel("word error rate, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    canvas.save(figure, path)


def confusions(counts: Sequence[tuple[str, str, int]], path: Path | str) -> None:
    """The most frequent (said, found, count), the largest on top; '' is 'nothing'."""
    figure = canvas.figure(6, 0.28 * len(counts) + 1)
    axes = figure.add_subplot()
    places = np.arange(len(counts))[::-1]
    axes.barh(places, [count for *_, count in counts], color=canvas.WRONG, height=0.7)
    names = [tuple((x or "nothing").replace(" ", "␣") for x in pair) for *pair, _ in counts]
    axes.set_yticks(places, [f"{said} → {found}" for said, found in names], fontsize=8)
    axes.set_xlabel("how often")
    axes.set_title("What was taken for what", fontsize=10)
    canvas.save(figure, path)
