"""The threshold of a decision, and sensitivity and specificity there, with intervals.

A threshold is chosen on one part of the data and scored on another: chosen on the scored images
themselves it would be too good.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dljax.cnn.medical.scores import interval, wilson


def choose(score: np.ndarray, positive: np.ndarray, sensitivity: float = 0.0) -> float:
    """The threshold t of the rule "positive where score >= t", half way between two scores.

    score: [N] in 0..1. positive: bool [N]. sensitivity: the least one that is kept, at the highest
    specificity; 0: the threshold of the largest sum of both (Youden 1950). Of several the one
    nearest to one half.

    Raises ValueError where one of the two sides is empty.
    """
    if not 0 < positive.sum() < len(positive):
        raise ValueError("a threshold needs positive and negative examples to be chosen by")
    levels = np.unique(score)
    thresholds = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
    # Sorted scores at or above each threshold; the last threshold may be a score itself.
    having, without = np.sort(score[positive]), np.sort(score[~positive])
    found = 1 - np.searchsorted(having, thresholds) / len(having)
    spared = np.searchsorted(without, thresholds) / len(without)
    value = found + spared if not sensitivity else np.where(found >= sensitivity, spared, -1.0)
    best = np.flatnonzero(value >= value.max() - 1e-12)
    return float(thresholds[best[np.abs(thresholds[best] - 0.5).argmin()]])


def rates(
    score: np.ndarray,
    positive: np.ndarray,
    threshold: float,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Counts, sensitivity, specificity and predictive values at a threshold, of scores [N].

    Each rate has its 95 % interval, as NAME_interval: Wilson's, or with weights [B, N] (how often
    each example is in a bootstrap sample of patients) that of the bootstrap. None where a rate is
    of no example. Predictive values are those at the share of positives among these examples.
    """
    called = score >= threshold
    cells = {
        "true_positives": called & positive,
        "false_negatives": ~called & positive,
        "true_negatives": ~called & ~positive,
        "false_positives": called & ~positive,
    }
    counts = {name: int(cell.sum()) for name, cell in cells.items()}
    found: dict[str, Any] = {"threshold": threshold, **counts}
    for name, right, wrong in (
        ("sensitivity", "true_positives", "false_negatives"),
        ("specificity", "true_negatives", "false_positives"),
        ("positive_predictive_value", "true_positives", "false_positives"),
        ("negative_predictive_value", "true_negatives", "false_negatives"),
    ):
        total = counts[right] + counts[wrong]
        found[name] = counts[right] / total if total else None
        if weights is None or not total:
            found[f"{name}_interval"] = wilson(counts[right], total)
        else:
            good, all_ = (weights @ cell for cell in (cells[right], cells[right] | cells[wrong]))
            found[f"{name}_interval"] = interval(good / np.where(all_ == 0, np.nan, all_))
    return found
