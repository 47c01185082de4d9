"""Prequential training on many series at once: each row is predicted, then learned from.

Training steps are the clock. Before step s the first clock(s) rows of every series have been read:
the step learns from windows of these, then scores the rows up to clock(s + 1), which no parameter
depends on yet and which later steps may learn from. So every row is scored by a model of the rows
before it, in one ordinary training run (Dawid 1984, "prequential").

Values are scaled by their own past. Series shorter than the longest one are padded, and the clock
runs over each in the same number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.anomaly_series import Labelled, step_seconds
from dljax.data.feed import Examples, Feed
from dljax.data.feed import examples as masked_examples

DAY = 86400
DATES = 4  # calendar features, the last ones of `stack`
FEATURES = 8 + DATES
AVERAGES = (0.3, 0.1, 0.02)  # rates of the exponential averages among them
RECENCY = 10.0  # training windows end at row read * u ** (1 / RECENCY), u uniform
LIMIT = 8.0  # deviations, at which values and errors are clipped
MEMORY = 2000  # rows over which the running mean and deviation average


class Stack(NamedTuple):
    """S series of T rows (the last ones may be copies that fill up a multiple).

    inputs: float32 [S, T, FEATURES], row t made of values before t and the time of t.
    targets: float32 [S, T], value t in deviations from the running mean, both before t.
    scale: float64 [S, T], that deviation in the units of the series. lengths: int [S].
    """

    inputs: np.ndarray
    targets: np.ndarray
    scale: np.ndarray
    lengths: np.ndarray


def running_moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation [T] of all values before each row, exponential after MEMORY rows.

    Before row 0 the mean is taken as the first value; a deviation is never 0.
    """
    mean, variance = float(values[0]), 0.0
    means, variances = np.empty(len(values)), np.empty(len(values))
    for t, value in enumerate(values):
        means[t], variances[t] = mean, variance
        rate = 1 / min(t + 1, MEMORY)
        before = value - mean
        mean += rate * before
        variance += rate * (before * (value - mean) - variance)
    tiny = 1e-6 * np.maximum(np.abs(means), 1e-6)
    return means, np.maximum(np.sqrt(np.maximum(variances, 0)), tiny)


def season(series: Labelled) -> int:
    """Rows of a day, or of a week where a row is a day or more."""
    step = step_seconds(series.time)
    return max(round((DAY if step < DAY else 7 * DAY) / step), 1)


def stack(corpus: Sequence[Labelled], multiple: int = 1) -> Stack:
    """The series of a corpus, with copies of the last one to make S a multiple.

    Features, values in deviations from the running mean: the last value; its differences from the
    one before, from the values a season before the row and its neighbours (from itself until there
    are any) and from three moving averages; sine and cosine of the time of day and of the week. All
    but the first are differences, which do not change with the level.
    """
    corpus = [*corpus, *[corpus[-1]] * (-len(corpus) % multiple)]
    rows = max(len(series.values) for series in corpus)
    inputs = np.zeros((len(corpus), rows, FEATURES), np.float32)
    targets = np.zeros((len(corpus), rows), np.float32)
    scale = np.ones((len(corpus), rows))
    for s, series in enumerate(corpus):
        n = len(series.values)
        mean, scale[s, :n] = running_moments(series.values)
        z = (series.values - mean) / scale[s, :n]

        lagged = partial(_lagged, series.values, mean, scale[s, :n])
        length = season(series)
        seconds = series.time.astype("datetime64[s]").astype(np.int64)
        angles = 2 * np.pi * seconds / DAY, 2 * np.pi * (seconds - 4 * DAY) / (7 * DAY)
        last = lagged(1)
        columns = [last, last - lagged(2)]
        columns += [last - lagged(lag) for lag in (length + 1, length, length - 1)]
        columns += [last - _averaged(last, rate) for rate in AVERAGES]
        columns += [f(angle) for angle in angles for f in (np.sin, np.cos)]
        inputs[s, :n] = np.stack(columns, -1)
        targets[s, :n] = z
    lengths = np.array([len(series.values) for series in corpus])
    return Stack(inputs, targets, scale, lengths)


def _lagged(values: np.ndarray, mean: np.ndarray, scale: np.ndarray, lag: int) -> np.ndarray:
    """The value `lag` rows before each row [T], in deviations; else the last value."""
    row = np.arange(len(values))
    lag = np.where(row >= lag, max(lag, 1), 1)
    return (values[np.maximum(row - lag, 0)] - mean) / scale


def _averaged(x: np.ndarray, rate: float) -> np.ndarray:
    """Exponential average [T] up to each row."""
    result, average = np.empty_like(x), x[0]
    for t, value in enumerate(x):
        average += rate * (value - average)
        result[t] = average
    return result


class Clock(NamedTuple):
    """How many rows have been read before each step.

    steps: of the run. power: above 1, the early rows take more of the steps. first: the share of
    the rows that is read before step 0, which get no score.
    """

    steps: int
    power: float = 1.5
    first: float = 0.02

    def __call__(self, step: int, lengths: np.ndarray) -> np.ndarray:
        """Rows [S] read before a step, of series of these lengths."""
        share = self.first + (1 - self.first) * (min(step, self.steps) / self.steps) ** self.power
        return np.maximum(np.floor(share * lengths).astype(np.int32), 2)


def feed(stacked: Stack, clock: Clock, windows: int, length: int) -> Feed:
    """Batches of a step: windows to learn from, and the rows that follow.

    inputs [S, windows, length, F], targets and mask [S, windows, length]: windows that end anywhere
    in the rows read. next_inputs [S, length + L, F], next_targets [S, length + L]: the next rows,
    with the `length` before them; next_rows int32 [S, L]: their indices, T for padding.
    """
    rows = stacked.targets.shape[1]
    read = np.stack([clock(step, stacked.lengths) for step in range(clock.steps + 1)])
    ahead = int(np.diff(read, axis=0).max())

    def one(seed: int, step: int) -> dict[str, np.ndarray]:
        step = min(step, clock.steps - 1)
        uniform = np.random.default_rng([seed, step]).random((len(read[step]), windows))
        end = 1 + np.floor(uniform ** (1 / RECENCY) * read[step][:, None])
        return {"end": end.astype(np.int32), "from": read[step], "to": read[step + 1]}

    def chunk(seed: int, step: int, k: int) -> dict[str, np.ndarray]:
        items = [one(seed, step + i) for i in range(k)]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def batch(arrays, item):
        return jax.vmap(gather)(arrays["inputs"], arrays["targets"], item)

    def gather(inputs, targets, item):
        row = item["end"][:, None] - length + jnp.arange(length)
        safe = jnp.maximum(row, 0)
        following = item["from"] + jnp.arange(ahead)
        context = jnp.clip(item["from"] - length + jnp.arange(length + ahead), 0, rows - 1)
        return {
            "inputs": inputs[safe],
            "targets": targets[safe],
            "mask": (row >= 0).astype(jnp.float32),
            "next_inputs": inputs[context],
            "next_targets": targets[context],
            "next_rows": jnp.where(following < item["to"], following, rows),
        }

    return Feed(chunk, batch, {"inputs": stacked.inputs, "targets": stacked.targets})


def examples(count: int, batch_size: int, multiple: int = 1) -> Examples:
    """The first `count` series once each, by their indices: "series" int32 [B]."""
    return masked_examples({"series": np.arange(count, dtype=np.int32)}, batch_size, multiple)
