"""Synthetic labelled anomalies injected into real series.

Five kinds, one after another over a series: a spike, a level shift, a flat line, a burst of noise,
and a segment reversed in time (the season is there, its shape is wrong). Sizes are in deviations of
the surrounding rows. Their positions are drawn from the seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dljax.data.anomaly_series import Labelled

CLEAN = 0.2  # share of the rows at the beginning without anomalies


def spike(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """An outlier in one row."""
    changed = values.copy()
    changed[0] += rng.choice([-1, 1]) * rng.uniform(4, 7) * deviation
    return changed


def shift(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """A level shift."""
    return values + rng.choice([-1, 1]) * rng.uniform(2, 4) * deviation


def flat(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """The first value throughout, as of a stuck sensor."""
    return np.full_like(values, values[0])


def noise(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Added noise larger than the variation of the series."""
    return values + 1.5 * deviation * rng.standard_normal(len(values))


def backwards(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Reversed in time and reflected about its middle."""
    return values.max() + values.min() - values[::-1]


KINDS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "spike": spike,
    "shift": shift,
    "flat": flat,
    "noise": noise,
    "backwards": backwards,
}


def inject(series: Labelled, seed: int, count: int = 5, share: float = 0.015) -> Labelled:
    """The series with `count` anomalies after its first fifth, each labelled with a window.

    share: rows of an anomaly and of its window, of all rows. Windows do not touch: each lies in a
    segment of its own. The order of the kinds is drawn from the seed.
    Raises ValueError if the series is too short for that.
    """
    rows = len(series.values)
    begin, width = round(CLEAN * rows), max(round(share * rows), 3)
    stretch = (rows - begin) // max(count, 1)
    if stretch < 3 * width:
        raise ValueError(f"{series.name} with {rows} rows is too short for {count} anomalies")
    rng = np.random.default_rng([seed, rows])
    kinds = list(KINDS)
    order = rng.permutation(count)
    values, windows = series.values.copy(), []
    for place in range(count):
        first = begin + place * stretch + int(rng.integers(width, stretch - 2 * width))
        kind = KINDS[kinds[order[place] % len(kinds)]]
        part = slice(first, first + width)
        deviation = float(series.values[max(first - 4 * width, 0) : first + 5 * width].std())
        values[part] = kind(values[part], deviation, rng)
        windows.append((first, first + width - 1))
    return series._replace(values=values, windows=tuple(windows))
