"""Labelled anomalies injected into series, and synthetic series to inject them into.

KINDS, one after another over a series: a spike, a level shift, a flat line, a burst of noise, and a
segment reversed in time (the season is there, its shape is wrong). Sizes are in deviations of the
surrounding rows. CYCLE_KINDS leave every value within the usual range: only the course of a cycle
is wrong. Positions are drawn from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dljax.data.anomaly_series import Labelled

Kind = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

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


KINDS: dict[str, Kind] = {
    "spike": spike,
    "shift": shift,
    "flat": flat,
    "noise": noise,
    "backwards": backwards,
}


def slower(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Its first half, at half the speed."""
    return np.interp(np.arange(len(values)) / 2, np.arange(len(values)), values)


def faster(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Twice, at double speed."""
    half = np.interp(np.arange(0, len(values) - 1, 2), np.arange(len(values)), values)
    return np.resize(half, len(values))


def swapped(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """The thirds in another order, so that the cycle jumps."""
    first, second, third = np.array_split(values, 3)
    return np.concatenate([second, first, third])


CYCLE_KINDS = {
    "flat": flat,
    "slower": slower,
    "faster": faster,
    "backwards": backwards,
    "swapped": swapped,
}


def cycles(rows: int, seed: int) -> np.ndarray:
    """A machine's signal, float64 [rows]: cycles of 12 to 30 rows whose length and size vary.

    Three harmonics of random size and phase, and noise of 5 % of their deviation.
    """
    rng = np.random.default_rng([seed, rows])

    def wander(deviation: float) -> np.ndarray:  # around 1, slowly
        steps, result = rng.normal(size=rows), np.zeros(rows)
        for t in range(1, rows):
            result[t] = 0.98 * result[t - 1] + np.sqrt(1 - 0.98**2) * steps[t]
        return 1 + deviation * result

    phase = 2 * np.pi * np.cumsum(wander(0.02)) / rng.uniform(12, 30)
    sizes, offsets = rng.uniform(0.3, 1, 3), rng.uniform(0, 2 * np.pi, 3)
    harmonics = np.arange(1, 4)
    wave = (sizes * np.sin(phase[:, None] * harmonics + offsets)).sum(-1) * wander(0.1)
    return wave + 0.05 * wave.std() * rng.normal(size=rows)


def inject(
    series: Labelled,
    seed: int,
    count: int = 5,
    share: float = 0.015,
    kinds: Mapping[str, Kind] = KINDS,
) -> Labelled:
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
    names = list(kinds)
    order = rng.permutation(count)
    values, windows = series.values.copy(), []
    for place in range(count):
        first = begin + place * stretch + int(rng.integers(width, stretch - 2 * width))
        kind = kinds[names[order[place] % len(names)]]
        part = slice(first, first + width)
        deviation = float(series.values[max(first - 4 * width, 0) : first + 5 * width].std())
        values[part] = kind(values[part], deviation, rng)
        windows.append((first, first + width - 1))
    return series._replace(values=values, windows=tuple(windows))
