"""Detection metrics other than NAB's: by points, by ranges, and over all thresholds.

truth: bool [T]. Windows and detections as ranges are runs of True.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dljax.data.anomaly_series import Window, runs


def f1(precision: float, recall: float) -> float:
    """Harmonic mean, 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def point_scores(truth: np.ndarray, detected: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of rows; a precision without detections is 0."""
    hit = float((truth & detected).sum())
    precision, recall = hit / max(detected.sum(), 1), hit / max(truth.sum(), 1)
    return {"precision": precision, "recall": recall, "f1": f1(precision, recall)}


def flat(position: np.ndarray) -> np.ndarray:
    """A uniform weight over a range."""
    return np.ones_like(position)


def front(position: np.ndarray) -> np.ndarray:
    """A weight that falls linearly over a range, from 1 at its beginning to 0."""
    return 1 - position


def _overlap(target: Window, others: np.ndarray, bias: Callable) -> float:
    """The weighted share of a range that the others cover."""
    first, last = target
    weight = bias(np.arange(last - first + 1) / (last - first + 1))
    return float((weight * others[first : last + 1]).sum() / weight.sum())


def _mean_reward(
    targets: Sequence[Window], others: np.ndarray, existence: float, bias: Callable
) -> float:
    rewards = []
    for first, last in targets:
        pieces = len(runs(others[first : last + 1]))
        covered = _overlap((first, last), others, bias) / max(
            pieces, 1
        )  # fragmentation is penalised
        rewards.append(existence * (pieces > 0) + (1 - existence) * covered)
    return float(np.mean(rewards)) if rewards else 0.0


def range_scores(
    truth: np.ndarray,
    detected: np.ndarray,
    existence: float = 0.5,
    bias: Callable[[np.ndarray], np.ndarray] = front,
) -> dict[str, float]:
    """Range-based precision, recall and F1 (Tatbul et al. 2018, arXiv:1803.03639, eq. 4 to 10).

    Recall of a true range: `existence` for any overlap, the rest for the share that is covered,
    weighted by `bias` and divided by the number of pieces. Precision of a detected range: the share
    that is true, divided by the number of pieces, with a flat bias and no existence reward.
    """
    recall = _mean_reward(runs(truth), detected, existence, bias)
    precision = _mean_reward(runs(detected), truth, 0.0, flat)
    return {"precision": precision, "recall": recall, "f1": f1(precision, recall)}


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve, as the sum of P_n (R_n - R_(n-1)); NaN without truth.

    truth may be weights in 0..1 (soft labels). Rows of equal score count together.
    """
    truth = np.asarray(truth, np.float64)
    if not truth.sum():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits, ordered = np.cumsum(truth[order]), scores[order]
    end = np.append(ordered[1:] != ordered[:-1], True)
    precision, recall = hits[end] / (np.flatnonzero(end) + 1), hits[end] / truth.sum()
    return float((precision * np.diff(recall, prepend=0)).sum())


def soft_labels(truth: np.ndarray, buffer: int) -> np.ndarray:
    """Labels with slopes of `buffer` rows: sqrt(1 - d / (buffer + 1)) at d rows from a window.

    Paparrizos et al. 2022 (VUS), equation 9, here with slopes on both sides outside the window.
    """
    result = np.asarray(truth, np.float64).copy()
    for first, last in runs(truth):
        d = np.arange(1, buffer + 1)
        slope = np.sqrt(1 - d / (buffer + 1))
        for rows in (first - d, last + d):
            inside = (rows >= 0) & (rows < len(result))
            result[rows[inside]] = np.maximum(result[rows[inside]], slope[inside])
    return result


def vus_pr(truth: np.ndarray, scores: np.ndarray, widest: int, steps: int = 5) -> float:
    """Volume under the PR surface: the mean `average_precision` over buffers 0..widest rows.

    A simplification of Paparrizos et al. 2022: soft labels as above, without their existence
    reward; tolerant of detections just beside a window. NaN without truth.
    """
    buffers = np.unique(np.linspace(0, widest, steps).round().astype(int))
    return float(np.mean([average_precision(soft_labels(truth, b), scores) for b in buffers]))
