"""The NAB score (Lavin and Ahmad 2015, arXiv:1510.03336; scorer of github.com/numenta/NAB 1.1).

A detection in a labelled window earns a reward that falls as a sigmoid from its first row to its
last; only the earliest detection counts, and a window without one is penalised. Every detection
outside is penalised too, less so shortly after a window. The first 15 % of a series are not scored.
One threshold for all series maximises the sum, which is scaled so that a detector without any
detection has 0 and one that detects only the first row of each window has (up to the sigmoid) 100.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.anomaly_series import Labelled, Window


class Profile(NamedTuple):
    """Weights of a false detection, a missed window and a detected one (profiles.json)."""

    false_positive: float
    false_negative: float
    true_positive: float = 1.0


PROFILES = {
    "standard": Profile(0.11, 1.0),
    "reward_low_FP_rate": Profile(0.22, 1.0),
    "reward_low_FN_rate": Profile(0.11, 2.0),
}


class Swept(NamedTuple):
    """Raw score by threshold: detections are the scores >= threshold. thresholds fall."""

    thresholds: np.ndarray
    scores: np.ndarray

    def best(self) -> tuple[float, float]:
        """The threshold of the largest raw score (the highest of equals), and that score."""
        index = int(np.argmax(self.scores))
        return float(self.thresholds[index]), float(self.scores[index])

    def at(self, threshold: float) -> float:
        """The raw score with this threshold."""
        index = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        return float(self.scores[max(index, 0)])


def probation(rows: int) -> int:
    """The rows at the beginning that are not scored: 15 %, at most of the first 5000."""
    return math.ceil(min(math.floor(0.15 * rows), 0.15 * 5000))


def scaled_sigmoid(position: np.ndarray) -> np.ndarray:
    """2 / (1 + exp(5 y)) - 1 of the position relative to a window, -1 where y > 3.

    y is -1 at the window's first row, about 0 at its last, positive after it (equation 2).
    """
    y = np.asarray(position, np.float64)
    return np.where(y > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(y, 3))) - 1)


def weights(rows: int, windows: Sequence[Window], profile: Profile) -> np.ndarray:
    """The reward of a detection in each row, [rows]: positive in a window, negative outside.

    Inside, y = -(last - row + 1) / width, scaled to true_positive at the first row; outside,
    y = (row - last) / (width - 1) of the window before, and the full cost before the first.
    """
    result = np.full(rows, -profile.false_positive)
    row = np.arange(rows)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        inside = row[first : last + 1]
        y = -(last - inside + 1) / width
        result[inside] = (
            scaled_sigmoid(y) * profile.true_positive / scaled_sigmoid(np.float64(-1.0))
        )
        end = windows[number + 1][0] if number + 1 < len(windows) else rows
        after = row[last + 1 : end]
        y = (after - last) / max(width - 1, 1)
        result[after] = scaled_sigmoid(y) * profile.false_positive
    return result


def sweep(series: Labelled, scores: np.ndarray, profile: Profile) -> Swept:
    """The raw score of one series for every threshold between its scores [T]."""
    rows, windows = len(series.values), series.windows
    if scores.shape != (rows,) or np.isnan(scores).any():
        raise ValueError(f"{series.name}: scores must be {rows} numbers, without NaN")
    reward, start = weights(rows, windows, profile), probation(rows)
    gain, outside = np.zeros(rows), np.ones(rows, bool)
    base = 0.0
    for first, last in windows:
        inside = np.arange(max(first, start), last + 1)
        outside[first : last + 1] = False
        if not len(inside):
            continue  # no row of it is scored, so it is neither detected nor missed
        base -= profile.false_negative
        # As the threshold falls, the window's reward is the best of its detected rows.
        order = inside[np.argsort(-scores[inside], kind="stable")]
        best = np.maximum.accumulate(np.maximum(reward[order], -profile.false_negative))
        gain[order] = np.diff(best, prepend=-profile.false_negative)
    gain[outside] = reward[outside]
    order = start + np.argsort(-scores[start:], kind="stable")
    total = base + np.concatenate([[0.0], np.cumsum(gain[order])])
    sorted_scores = scores[order]
    last_of_equals = np.append(sorted_scores[1:] != sorted_scores[:-1], True)[: len(order)]
    return Swept(
        np.concatenate([[np.inf], sorted_scores[last_of_equals]]),
        np.concatenate([total[:1], total[1:][last_of_equals]]),
    )


def pooled(swept: Sequence[Swept]) -> Swept:
    """The sum over series that share the threshold."""
    thresholds = np.unique(np.concatenate([s.thresholds for s in swept]))[::-1]
    total = np.zeros(len(thresholds))
    for s in swept:
        index = np.searchsorted(-s.thresholds, -thresholds, side="right") - 1
        total += s.scores[index]
    return Swept(thresholds, total)


def normalized(raw: float, corpus: Sequence[Labelled], profile: Profile) -> float:
    """0 for a detector without any detection, 100 for the full reward of every window.

    NaN if no series has a window. Windows inside the probationary period count as in NAB: they
    can't be missed, but the perfect detector detects them.
    """
    windows = [(series, last) for series in corpus for _, last in series.windows]
    missed = sum(last >= probation(len(series.values)) for series, last in windows)
    null = -profile.false_negative * missed
    perfect = profile.true_positive * len(windows)
    return 100 * (raw - null) / (perfect - null) if windows else math.nan


def score(
    corpus: Sequence[Labelled], scores: Sequence[np.ndarray], profile: Profile
) -> tuple[float, float]:
    """The NAB score of a corpus and its threshold, the best one for all series together."""
    threshold, raw = pooled(
        [sweep(series, s, profile) for series, s in zip(corpus, scores, strict=True)]
    ).best()
    return normalized(raw, corpus, profile), threshold


def score_held_out(
    corpus: Sequence[Labelled], scores: Sequence[np.ndarray], profile: Profile
) -> float:
    """The NAB score when each series is scored with the best threshold of all the others."""
    swept = [sweep(series, s, profile) for series, s in zip(corpus, scores, strict=True)]
    everything = pooled(swept)
    raw = 0.0
    for one in swept:
        index = np.searchsorted(-one.thresholds, -everything.thresholds, side="right") - 1
        others = everything.scores - one.scores[index]
        raw += one.at(float(everything.thresholds[np.argmax(others)]))
    return normalized(raw, corpus, profile)
