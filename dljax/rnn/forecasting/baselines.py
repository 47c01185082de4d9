"""Baselines for forecasts: naive, seasonal, climatology, and linear regression.

A baseline is a function fit(values [n, C], held) -> predict, where the last `held` of the known
rows are held out for validation and calibration; predict(values [T, C], origins [N]) -> [N, H, C]
forecasts the H rows from each origin on and uses only the rows before it. So it can be refitted in
a walk-forward backtest (backtest.py) like any other model.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, int], Predict]

ALPHAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
BLOCK = 4096  # windows in memory at a time


def last_value(horizon: int) -> Fit:
    """The last value, repeated: the forecast of a random walk."""

    def predict(values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        return np.repeat(values[origins - 1][:, None], horizon, 1)

    return lambda values, held: predict


def seasonal(season: int, horizon: int) -> Fit:
    """The last season, repeated; `season` in rows.

    Prediction raises ValueError for an origin with less than a season before it.
    """

    def predict(values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        if origins.min() < season:
            raise ValueError(f"a season of {season} rows needs more than {origins.min()} of past")
        rows = origins[:, None] - season + np.arange(horizon) % season
        return values[rows]

    return lambda values, held: predict


def drift(horizon: int) -> Fit:
    """The line through the first value of all and the last one, continued."""

    def predict(values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        last = values[origins - 1]
        slope = (last - values[0]) / np.maximum(origins - 1, 1)[:, None]
        return last[:, None] + np.arange(1, horizon + 1)[:, None] * slope[:, None]

    return lambda values, held: predict


def mean(horizon: int) -> Fit:
    """The mean of the fitted rows: for returns of prices, the random walk with drift."""

    def fit(values: np.ndarray, held: int) -> Predict:
        level = np.asarray(values[: len(values) - held], np.float64).mean(0)
        return lambda values, origins: np.tile(level, (len(origins), horizon, 1))

    return fit


def climatology(dates: np.ndarray, horizon: int) -> Fit:
    """Least squares on the calendar alone: the mean for the time of year, week and day.

    dates: the calendar features [T, K] of all rows, future ones too.
    """

    def fit(values: np.ndarray, held: int) -> Predict:
        usual = _explained(dates, values, held)
        return lambda values, origins: usual[origins[:, None] + np.arange(horizon)]

    return fit


def beside(known: np.ndarray, rest: Fit, horizon: int) -> Fit:
    """Least squares on what is known of the future too, and `rest` of what that leaves unexplained.

    known: [T, K] of all rows, future ones too.
    """

    def fit(values: np.ndarray, held: int) -> Predict:
        usual = _explained(known, values, held)
        predict = rest(values - usual[: len(values)], held)

        def both(values: np.ndarray, origins: np.ndarray) -> np.ndarray:
            ahead = usual[origins[:, None] + np.arange(horizon)]
            return predict(values - usual[: len(values)], origins) + ahead

        return both

    return fit


def _explained(known: np.ndarray, values: np.ndarray, held: int) -> np.ndarray:
    """Least squares on known [T, K], fitted to values but for the last `held`: [T, C]."""
    inputs = np.concatenate([np.ones((len(known), 1)), known], -1)
    rows = len(values) - held
    return inputs @ np.linalg.lstsq(inputs[:rows], values[:rows], rcond=None)[0]


def least_squares(window: int, horizon: int) -> Fit:
    """Ordinary least squares from a window of one column to its future, the same for all columns.

    fit raises ValueError where fewer rows than a window and a horizon are known.
    """
    return _linear(window, horizon, [Choice(0.0, shared=True, shift=False)])


def ridge(window: int, horizon: int, alphas: Sequence[float] = ALPHAS) -> Fit:
    """Ridge regression from a window of one column to its future.

    Chosen by the error on the held rows: alpha (times the number of windows), whether all columns
    share their weights or each has its own, and whether the window's last value is subtracted
    before and added again after (NLinear's normalisation, Zeng et al. 2023).

    fit raises ValueError where fewer rows than a window and a horizon are known, or fewer than a
    horizon are held out.
    """
    return _linear(window, horizon, ridge_choices(alphas))


def ridge_choices(alphas: Sequence[float] = ALPHAS) -> list[Choice]:
    """What `ridge` chooses from."""
    return [Choice(*x) for x in itertools.product(alphas, (True, False), (True, False))]


def naive(season: int, horizon: int, dates: np.ndarray) -> dict[str, Fit]:
    """The baselines that need no window, by name; the seasonal one if there is a season.

    dates: the calendar features [T, K] of all rows, future ones too.
    """
    fits = {"last value": last_value(horizon), "drift": drift(horizon), "mean": mean(horizon)}
    if season > 1:
        fits["seasonal naive"] = seasonal(season, horizon)
    return fits | {"climatology": climatology(dates, horizon)}


def learned(window: int, horizon: int) -> dict[str, Fit]:
    """The linear baselines, by name."""
    return {"least squares": least_squares(window, horizon), "ridge": ridge(window, horizon)}


# Linear regression from moments -------------------------------------------------------------------


class Choice(NamedTuple):
    """alpha: of ridge. shared: one set of weights for all columns. shift: by the last value."""

    alpha: float
    shared: bool
    shift: bool


class Moments(NamedTuple):
    """Uncentred means over windows of inputs x [W], outputs y [H] and their products."""

    count: float
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: float

    def __add__(self, other: Moments) -> Moments:
        n = self.count + other.count
        a, b = self.count / n, other.count / n
        return Moments(n, *(a * p + b * q for p, q in zip(self[1:], other[1:], strict=True)))

    def shifted(self) -> Moments:
        """Of the windows less their last value, inputs and outputs."""
        rows = self.xx - self.xx[-1:]
        return Moments(
            self.count,
            self.x - self.x[-1],
            self.y - self.x[-1],
            rows - rows[:, -1:],
            self.xy - self.xy[-1:] - rows[:, -1:],
            self.yy - 2 * self.xy[-1].sum() + len(self.y) * self.xx[-1, -1],
        )


class LinearMap(NamedTuple):
    """A forecast that is linear in the window of each column: x @ matrix + bias.

    matrix: [C, W, H]; bias: [C, H]; [1, W, H] and [1, H] where all columns share them.
    """

    matrix: np.ndarray
    bias: np.ndarray

    def __call__(self, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """The forecasts [N, H, C] from each origin in values [T, C]."""
        window, horizon = self.matrix.shape[1:]
        out = np.empty((len(origins), horizon, values.shape[1]), np.float32)
        for c in range(values.shape[1]):
            matrix, bias = (x[c % len(x)] for x in self)
            views = np.lib.stride_tricks.sliding_window_view(values[:, c], window)
            for begin in range(0, len(origins), BLOCK):
                x = views[origins[begin : begin + BLOCK] - window]
                out[begin : begin + BLOCK, :, c] = x @ matrix + bias
        return out


def linear_map(
    parts: Sequence[tuple[np.ndarray, int]], window: int, horizon: int, choices: Sequence[Choice]
) -> LinearMap:
    """The best of `choices` on the held rows, fitted to the other rows of all series together.

    parts: of each series its known rows [n, C] and how many of the last ones are held out.

    Raises ValueError where a series has fewer other rows than a window and a horizon, or, if there
    is a choice, fewer than a horizon held out.
    """
    train, later = [], []
    for values, held in parts:
        values = np.asarray(values, np.float64)
        rows = len(values) - held
        if rows < window + horizon:
            raise ValueError(f"window={window} and horizon={horizon} need more than {rows} rows")
        if len(choices) > 1 and held < horizon:
            raise ValueError(
                f"choosing alpha needs {horizon} held-out rows (a horizon), not {held}"
            )

        def moments(first: int, end: int, values: np.ndarray = values) -> list[Moments]:
            origins = np.arange(first, end - horizon + 1)
            return [_moments(column, origins, window, horizon) for column in values.T]

        train.append(moments(window, rows))
        if len(choices) > 1:
            later.append(moments(max(rows, window), len(values)))
    train, later = (
        [functools.reduce(operator.add, column) for column in zip(*x, strict=True)]
        for x in (train, later)
    )
    kinds = {(c.shared, c.shift) for c in choices}
    solvers = {kind: _solver(train, *kind) for kind in kinds}
    chosen = choices[0]
    if later:
        test = {False: later, True: [m.shifted() for m in later]}

        def error(c: Choice) -> float:
            weights = solvers[c.shared, c.shift](c.alpha)
            return sum(_error(m, *w) for m, w in zip(test[c.shift], weights, strict=True))

        chosen = min(choices, key=error)
    weights = solvers[chosen.shared, chosen.shift](chosen.alpha)
    matrix, bias = (
        np.stack(x) for x in zip(*(weights[:1] if chosen.shared else weights), strict=True)
    )
    if chosen.shift:  # (x - last) @ matrix + last, as a map of x
        matrix[:, -1] += 1 - matrix.sum(1)
    return LinearMap(matrix, bias)


def _linear(window: int, horizon: int, choices: Sequence[Choice]) -> Fit:
    return lambda values, held: linear_map([(values, held)], window, horizon, choices)


def _moments(column: np.ndarray, origins: np.ndarray, window: int, horizon: int) -> Moments:
    pasts = np.lib.stride_tricks.sliding_window_view(column, window)
    futures = np.lib.stride_tricks.sliding_window_view(column, horizon)
    total = None
    for begin in range(0, len(origins), BLOCK):
        part = origins[begin : begin + BLOCK]
        x, y, n = pasts[part - window], futures[part], len(part)
        now = Moments(n, x.mean(0), y.mean(0), x.T @ x / n, x.T @ y / n, float((y**2).sum() / n))
        total = now if total is None else total + now
    return total


def _solver(train: list[Moments], shared: bool, shift: bool) -> Callable[[float], list[tuple]]:
    """alpha -> (weights [W, H], bias [H]) of each column, by one eigendecomposition for all."""
    parts = []
    for m in [functools.reduce(operator.add, train)] if shared else train:
        m = m.shifted() if shift else m
        size, vectors = np.linalg.eigh(m.xx - np.outer(m.x, m.x))
        parts.append((m, size, vectors, vectors.T @ (m.xy - np.outer(m.x, m.y))))

    def solve(alpha: float) -> list[tuple]:
        solutions = []
        for m, size, vectors, right in parts:
            solid = size > 1e-10 * size[-1]  # the rest is rounding: directions without variance
            inverse = np.where(solid, 1 / np.where(solid, size + alpha, 1), 0)
            matrix = vectors @ (inverse[:, None] * right)
            solutions.append((matrix, m.y - m.x @ matrix))
        return solutions * len(train) if shared else solutions

    return solve


def _error(m: Moments, matrix: np.ndarray, bias: np.ndarray) -> float:
    """Mean squared error of y = x @ matrix + bias, from moments."""
    square = np.sum((m.xx @ matrix) * matrix) + bias @ bias + 2 * (m.x @ matrix) @ bias
    return float(square - 2 * (np.sum(m.xy * matrix) + m.y @ bias) + m.yy)
