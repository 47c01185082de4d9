"""Online thresholding: how unlikely a row is, given all rows before it.

Three kinds of evidence: the errors of a forecaster or autoencoder, the level of the series itself
(a level never observed before is unexpected even where it is well predicted), and its shape, by the
distance of the last rows to the most similar rows before them (the left matrix profile, Yeh et al.
2016; the conformal k-NN detector, Ishimtsev et al. 2017, arXiv:1706.03412). Each is taken over
several time scales and compared with its own past by rank; above the largest value so far, by a
Pareto tail (Hill 1975; peaks over threshold, Siffer et al. 2017, SPOT). So the probabilities
depend neither on the unit of the series nor on the form of its distribution, and a spike that comes
back every day is no surprise. The evidence is combined, so that several weak signs raise an
alarm as one strong sign does. After an alarm the detector pauses, so that one event does not raise
many.

Every function is causal: row t of the result depends on rows 0..t only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rules(NamedTuple):
    """errors, levels: rows over which each is averaged. windows: rows that are compared in shape.

    alarm: surprise (nats) that raises an alarm. rest: length of the pause after an alarm, as a
    share of the rows so far; at least `shortest` rows.
    """

    errors: Sequence[int] = (1, 20, 100)
    levels: Sequence[int] = (1, 20)
    windows: Sequence[int] = (8, 24, 64)
    alarm: float = 7.0
    rest: float = 0.03
    shortest: int = 20


RULES = Rules()
START = 100  # rows before there is a past to compare with
BLOCK = 20  # rows whose largest value counts as one event
LARGEST = 10  # events in the tail
LIGHT = 0.2  # smallest exponent of a tail
FLOOR = 1e-3  # deviations of the series; smaller evidence is ignored
MEMORY = 5000  # rows back to the earliest window that is compared


def moving_mean(x: np.ndarray, rows: int) -> np.ndarray:
    """Mean [T] of the last `rows` values up to each row, of fewer at the beginning."""
    total = np.concatenate([[0.0], np.cumsum(x)])
    end = np.arange(1, len(x) + 1)
    first = np.maximum(end - rows, 0)
    return (total[end] - total[first]) / (end - first)


def _moving_sum(x: np.ndarray, rows: int) -> np.ndarray:
    """Sums [T - rows + 1] of `rows` values: of two halves, so that no large totals cancel."""
    if rows == 1:
        return x
    half = rows // 2
    part = _moving_sum(x, half)
    total = part[:-half] + part[half:]
    return total[:-1] + x[2 * half :] if rows % 2 else total


def nearest(values: np.ndarray, windows: Sequence[int], memory: int = MEMORY) -> list[np.ndarray]:
    """The distance [T] of each row's last `w` values to the most similar `w` before them.

    Euclidean, per root of `w`, for each w of `windows`; those compared do not overlap and begin at
    most `memory` rows earlier. 0 where there are none.
    """
    rows = len(values)
    squares = [np.full(rows, np.inf) for _ in windows]
    for lag in range(min(windows), min(rows, memory + 1)):
        difference = (values[lag:] - values[:-lag]) ** 2
        for window, best in zip(windows, squares, strict=True):
            if window <= lag <= rows - window:
                total, part = _moving_sum(difference, window), best[lag + window - 1 :]
                np.minimum(part, total, out=part)
    return [
        np.sqrt(np.where(np.isfinite(best), best, 0) / window)
        for window, best in zip(windows, squares, strict=True)
    ]


def tail_surprise(sizes: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """-log P(an event at least this large), nats [T], by the largest sizes of all earlier blocks.

    Of n blocks of BLOCK rows before, c have a maximum at least as large: P = (c + 1) / (n + 1), the
    conformal p-value. Beyond the largest of all, x_(1), the k = LARGEST maxima continue it by the
    factor (x / x_(1))^(-1/g) with g = mean log(x_(i) / x_(k)) (Hill 1975). sizes, floor: [T], not
    negative; sizes up to the floor are no surprise.
    """
    result = np.zeros(len(sizes))
    maxima = np.maximum.reduceat(sizes, np.arange(0, len(sizes), BLOCK))
    for t in range(START, len(sizes), BLOCK):
        past, new = np.sort(maxima[: t // BLOCK]), sizes[t : t + BLOCK]
        count = len(past) - np.searchsorted(past, new, side="left")
        begin = max(past[-LARGEST:][0], floor[t], np.finfo(float).tiny)
        exponent = max(np.log(np.maximum(past[-LARGEST:], begin) / begin).mean(), LIGHT)
        beyond = np.log(np.maximum(new / max(past[-1], begin), 1)) / exponent
        surprise = np.log((len(past) + 1) / (count + 1)) + beyond
        result[t : t + BLOCK] = np.where(new > floor[t : t + BLOCK], surprise, 0.0)
    return result


def value_surprises(
    values: np.ndarray, scale: np.ndarray, rules: Rules = RULES
) -> list[np.ndarray]:
    """The surprises [T] by levels and shapes: all that needs no network.

    values [T] of the series; scale [T]: its deviation as known before each row
    (`prequential.running_moments`).
    """
    mean = np.cumsum(values) / np.arange(1, len(values) + 1)
    before = np.concatenate([mean[:1], mean[:-1]])
    levels = [np.abs(moving_mean(values, rows) - before) for rows in rules.levels]
    result = [tail_surprise(sizes, FLOOR * scale) for sizes in levels]
    for window, sizes in zip(rules.windows, nearest(values, rules.windows), strict=True):
        first = min(2 * window - 1, len(values) - 1)  # row with a window before it
        found = tail_surprise(sizes[first:], FLOOR * scale[first:])
        result.append(np.concatenate([np.zeros(first), found]))
    return result


def error_surprises(
    errors: np.ndarray, scale: np.ndarray, rules: Rules = RULES
) -> list[np.ndarray]:
    """The surprises [T] by a network's errors [T], in the units of the series and of scale [T]."""
    evidence = [np.abs(moving_mean(errors, rows)) for rows in rules.errors]
    return [tail_surprise(sizes, FLOOR * scale) for sizes in evidence]


def combined(surprises: Sequence[np.ndarray]) -> np.ndarray:
    """The Euclidean norm [T] of all surprises: between the largest of them and their sum."""
    return np.sqrt(np.square(surprises).sum(0))


def surprise(
    values: np.ndarray, errors: np.ndarray, scale: np.ndarray, rules: Rules = RULES
) -> np.ndarray:
    """The surprise [T] by all evidence: the series, and a forecaster's errors in its units."""
    known = value_surprises(values, scale, rules)
    return combined([*known, *error_surprises(errors, scale, rules)])


def with_pauses(surprises: np.ndarray, rules: Rules = RULES) -> np.ndarray:
    """The surprises [T], with 0 for the rows of a pause that do not break it.

    A row pauses the detector for those after it that are not more surprising; one that raises an
    alarm pauses it for all. So any threshold up to `alarm` has few detections of one event.
    """
    result, until, height = surprises.copy(), -1.0, 0.0
    for t, level in enumerate(np.minimum(surprises, rules.alarm).tolist()):
        if t <= until and level <= height:
            result[t] = 0.0
        else:
            until, height = t + max(rules.shortest, rules.rest * t), level
    return result
