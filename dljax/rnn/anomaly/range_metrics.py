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
    """Labels with slopes of buffer // 2 rows: sqrt(1 - d / buffer) at d rows from a window.

    Paparrizos et al. 2022, equation 9; where the slopes of two windows meet they add up, to 1 at
    most.
    """
    result = np.asarray(truth, np.float64).copy()
    d = np.arange(1, buffer // 2 + 1)
    for first, last in runs(truth):
        for rows in (first - d, last + d):
            inside = (rows >= 0) & (rows < len(result))
            result[rows[inside]] += np.sqrt(1 - d[inside] / buffer)
    return np.minimum(result, 1)


def vus_pr(truth: np.ndarray, scores: np.ndarray, widest: int, thresholds: int = 250) -> float:
    """VUS-PR, the volume under the surface of precision, recall and the width of a buffer.

    Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin 2022 (PVLDB 15 (11)), as their package
    `vus` computes it by default: for each buffer of 0 to `widest` rows around the windows the area
    under a curve of `thresholds` points, taken at equal distances of the sorted scores [T]. The
    recall of `soft_labels` is multiplied by the share of windows (joined where their buffers touch)
    with any detection; the slopes count as positive where they are detected. The mean over all
    buffers is returned, NaN without truth.
    """
    truth = np.asarray(truth, bool)
    windows = runs(truth)
    if not windows:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    levels = scores[order][np.linspace(0, len(scores) - 1, thresholds).astype(int)]
    detected = np.searchsorted(-scores[order], -levels, side="right")  # rows, at each threshold
    core = np.cumsum(truth[order])[detected - 1]

    def area(buffer: int) -> float:
        hits = np.cumsum(soft_labels(truth, buffer)[order])[detected - 1]
        positive = truth.sum() + (hits - core) / 2  # the mean of labels and detected soft labels
        peaks = [scores[part].max() for part in _joined(windows, buffer // 2)]
        found = (np.array(peaks)[:, None] >= levels).mean(0)
        recall = np.minimum(hits / positive, 1) * found
        return float((hits / detected * np.diff(recall, prepend=0)).sum())

    return float(np.mean([area(buffer) for buffer in range(widest + 1)]))


def _joined(windows: Sequence[Window], margin: int) -> list[slice]:
    """The windows with a margin of rows on both sides, joined where they touch."""
    parts = [[max(windows[0][0] - margin, 0), windows[0][1] + margin]]
    for first, last in windows[1:]:
        if first - margin > parts[-1][1]:
            parts.append([first - margin, last + margin])
        else:
            parts[-1][1] = last + margin
    return [slice(first, last + 1) for first, last in parts]
