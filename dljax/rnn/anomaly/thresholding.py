"""From errors to alarms, online: how unlikely is a row, given all rows before it.

Two kinds of evidence, each averaged over the last few rows and the last many: the errors of a
forecaster or autoencoder, and the level of the series itself (a value that was never seen is news
however well it continues the one before). Each average is compared with its own past: beyond its
upper 2 % the past is taken for a Pareto tail (Hill 1975; peaks over threshold, Siffer et al. 2017,
SPOT), which makes a probability that means the same for a CPU's load and for a thermometer. After
an alarm the detector rests, so that one event does not raise a hundred.

Every function is causal: row t of the result depends on rows 0..t alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rules(NamedTuple):
    """errors, levels: rows over which each kind of evidence is averaged.

    tail: share of the past that is its tail. alarm: surprise (nats) that raises an alarm. rest:
    rows after an alarm without another one, as a share of the rows so far, at least shortest.
    """

    errors: Sequence[int] = (1, 20, 100)
    levels: Sequence[int] = (1, 20)
    tail: float = 0.02
    alarm: float = 6.5
    rest: float = 0.03
    shortest: int = 20


RULES = Rules()
START = 50  # rows before there is a past to compare with
REFRESH = 20  # rows after which the past's tail is measured anew
LEAST = 10  # rows in a tail
LIGHT = 0.05  # a tail lighter than this is taken for this
FLOOR = 1e-3  # what is smaller, in deviations of the series, is never news


def moving_mean(x: np.ndarray, rows: int) -> np.ndarray:
    """Mean [T] of the last `rows` values up to each row, of fewer at the beginning."""
    total = np.concatenate([[0.0], np.cumsum(x)])
    end = np.arange(1, len(x) + 1)
    first = np.maximum(end - rows, 0)
    return (total[end] - total[first]) / (end - first)


def tail_surprise(sizes: np.ndarray, floor: np.ndarray, tail: float = RULES.tail) -> np.ndarray:
    """-log P(a size at least this large), nats [T], by the tail of all sizes before; 0 below it.

    Of n sizes before, the k = tail * n largest, x_(1)..x_(k), give the exponent g = mean log(x_(i)
    / x_(k)) (Hill 1975) and P(X > x) = k / n (x / x_(k))^(-1/g). sizes, floor: [T], not negative;
    sizes below the floor do not count as tail.
    """
    result = np.zeros(len(sizes))
    for t in range(START, len(sizes), REFRESH):
        count = max(LEAST, int(tail * t))
        largest = np.partition(sizes[:t], t - count)[t - count :]
        begin = max(float(largest.min()), float(floor[t]), np.finfo(float).tiny)
        exponent = max(np.log(np.maximum(largest, begin) / begin).mean(), LIGHT)
        new = sizes[t : t + REFRESH]
        surprise = np.log(np.maximum(new, begin) / begin) / exponent + np.log(t / count)
        result[t : t + REFRESH] = np.where(new > begin, surprise, 0.0)
    return result


def surprise(
    values: np.ndarray, errors: np.ndarray | None, scale: np.ndarray, rules: Rules = RULES
) -> np.ndarray:
    """The largest surprise [T], nats, of all the evidence.

    values [T] of the series; errors [T] in the same units, None for the levels alone; scale [T]:
    its deviation as known before each row (`prequential.running_moments`).
    """
    mean = np.cumsum(values) / np.arange(1, len(values) + 1)
    before = np.concatenate([mean[:1], mean[:-1]])
    evidence = [np.abs(moving_mean(values, rows) - before) for rows in rules.levels]
    if errors is not None:
        evidence += [np.abs(moving_mean(errors, rows)) for rows in rules.errors]
    floor = FLOOR * scale
    return np.max([tail_surprise(sizes, floor, rules.tail) for sizes in evidence], axis=0)


def rested(surprises: np.ndarray, rules: Rules = RULES) -> np.ndarray:
    """The surprises [T] with 0 where one would be an alarm while the detector rests."""
    result, until = surprises.copy(), -1.0
    for t in np.flatnonzero(surprises >= rules.alarm):
        if t <= until:
            result[t] = 0.0
        else:
            until = t + max(rules.shortest, rules.rest * t)
    return result
