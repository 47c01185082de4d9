"""Scores of classifiers in medicine, after MedMNIST's definitions, with their uncertainty.

Area under the ROC curve (AUC): of two classes that of the last one, of several the mean over each
against the rest, of several labels the mean over them. Accuracy: of the most probable class, of
several labels the mean over labels at a threshold of one half (`medmnist/evaluator.py`).
"""

from __future__ import annotations

import numpy as np

LEVEL = 1.959964  # of the normal distribution, for 95 %


def one_against_rest(labels: np.ndarray, classes: int) -> np.ndarray:
    """bool [N, C], which classes or labels an image has; labels [N] or [N, C]."""
    return labels > 0 if labels.ndim == 2 else labels[:, None] == np.arange(classes)


def auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The area under the ROC curve of scores [N] for positive bool [N]; ties count one half.

    weights: [..., N], how often each example counts (a bootstrap); the result is [...]. NaN where
    one side is empty. It is the probability that a positive scores above a negative
    (Hanley and McNeil 1982).
    """
    weights = np.ones(len(score)) if weights is None else np.asarray(weights, float)
    order = np.argsort(score, kind="stable")
    ranked, ordered = score[order], weights[..., order]
    having = ordered * positive[order]
    without = ordered - having
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    having, without = (np.add.reduceat(x, starts, axis=-1) for x in (having, without))
    below = np.cumsum(without, -1) - without / 2
    pairs = having.sum(-1) * without.sum(-1)
    return (having * below).sum(-1) / np.where(pairs == 0, np.nan, pairs)


def mean_auc(p: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """MedMNIST's AUC of probabilities [N, C]; weights as of `auc`. Absent classes do not count."""
    positive = one_against_rest(labels, p.shape[1])
    each = np.stack([auc(p[:, c], positive[:, c], weights) for c in range(p.shape[1])])
    known = ~np.isnan(each)
    return np.where(known, each, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)


def correct(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What MedMNIST's accuracy is the mean of, float [N]: of several labels the share of right."""
    if labels.ndim == 2:
        return ((p > 0.5) == (labels > 0)).mean(1)
    return (p.argmax(1) == labels).astype(float)


def kappa(p: np.ndarray, labels: np.ndarray) -> float:
    """Cohen's kappa of grades with quadratic weights: 1 agrees, 0 is chance (Cohen 1968)."""
    classes = p.shape[1]
    seen = np.zeros((classes, classes))
    np.add.at(seen, (labels, p.argmax(1)), 1)
    chance = np.outer(seen.sum(1), seen.sum(0)) / len(labels)
    weight = (np.arange(classes)[:, None] - np.arange(classes)) ** 2
    return float(1 - (weight * seen).sum() / max((weight * chance).sum(), 1e-12))


# Uncertainty --------------------------------------------------------------------------------------


def wilson(successes: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a share of independent trials (Wilson 1927); (0, 1) without trials."""
    if not count:
        return 0.0, 1.0
    share, z2 = successes / count, LEVEL**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = LEVEL * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def resamples(groups: np.ndarray, count: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each example is in each of `count` bootstrap samples of groups, [count, N].

    groups: int [N], the patient of each example: all of a patient's images come and go together.
    """
    _, member = np.unique(groups, return_inverse=True)
    number = member.max() + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), count)
    return drawn[:, member].astype(float)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic's bootstrap values, those that are not NaN."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
