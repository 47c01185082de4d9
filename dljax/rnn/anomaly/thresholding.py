"""Online thresholding of errors: the probability of a row, given all rows before it.

Two kinds of evidence, each averaged over a short and a long window: the errors of a forecaster or
autoencoder, and the level of the series itself (a level never observed before is unexpected even
where it is well predicted). Each average is compared with its own past, whose upper 2 % are
modelled as a Pareto tail (Hill 1975; peaks over threshold, Siffer et al. 2017, SPOT); the resulting
tail probability does not depend on the unit of the series. After an alarm the detector pauses, so
that one event does not raise many.

Every function is causal: row t of the result depends on rows 0..t only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rules(NamedTuple):
    """errors, levels: rows over which each kind of evidence is averaged.

    tail: share of the past that is its tail. alarm: surprise (nats) that raises an alarm. rest:
    length of the pause after an alarm, as a share of the rows so far; at least `shortest` rows.
    """

    errors: Sequence[int] = (1, 20, 100)
    levels: Sequence[int] = (1, 20)
    tail: float = 0.02
    alarm: float = 6.5
    rest: float = 0.03
    shortest: int = 20


RULES = Rules()
START = 50  # rows before there is a past to compare with
REFRESH = 20  # rows after which the tail is fitted again
LEAST = 10  # rows in a tail, at least
LIGHT = 0.05  # smallest exponent of a tail
FLOOR = 1e-3  # deviations of the series; smaller evidence is ignored


def moving_mean(x: np.ndarray, rows: int) -> np.ndarray:
    """Mean [T] of the last `rows` values up to each row, of fewer at the beginning."""
    total = np.concatenate([[0.0], np.cumsum(x)])
    end = np.arange(1, len(x) + 1)
    first = np.maximum(end - rows, 0)
    return (total[end] - total[first]) / (end - first)


def tail_surprise(sizes: np.ndarray, floor: np.ndarray, tail: float = RULES.tail) -> np.ndarray:
    """-log P(a size at least this large), nats [T], by the tail of all earlier sizes; 0 below it.

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
    """The largest surprise [T], nats, over all evidence.

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


def with_pauses(surprises: np.ndarray, rules: Rules = RULES) -> np.ndarray:
    """The surprises [T], with 0 for alarms during a pause."""
    result, until = surprises.copy(), -1.0
    for t in np.flatnonzero(surprises >= rules.alarm):
        if t <= until:
            result[t] = 0.0
        else:
            until = t + max(rules.shortest, rules.rest * t)
    return result
