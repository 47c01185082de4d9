"""Series with or without labelled anomalies: the data of anomaly detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Window = tuple[int, int]  # first and last row, both inside


class Labelled(NamedTuple):
    """One series.

    time: datetime64[s] [T]. values: float64 [T], finite. windows: the rows of each anomaly, in
    order and disjoint; None if the series is not labelled.
    """

    name: str
    time: np.ndarray
    values: np.ndarray
    windows: tuple[Window, ...] | None = None


def mask(windows: Sequence[Window], length: int) -> np.ndarray:
    """bool [length], True in the rows of the windows."""
    result = np.zeros(length, bool)
    for first, last in windows:
        result[first : last + 1] = True
    return result


def runs(mask: np.ndarray) -> tuple[Window, ...]:
    """The runs of True in a bool [T]: the inverse of `mask` where windows do not touch."""
    edges = np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]]))
    first, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return tuple((int(a), int(b) - 1) for a, b in zip(first, end, strict=True))


def step_seconds(time: np.ndarray) -> float:
    """The median time step in seconds, of the positive ones (1 if there is none)."""
    steps = np.diff(time.astype("datetime64[s]").astype(np.int64))
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0
