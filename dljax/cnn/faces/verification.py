"""How well scores tell pairs of one person from pairs of two: EER, TAR at FAR, intervals.

A pair is accepted where its score is above the threshold. FAR (also FMR) is the share of impostor
pairs, of two people, that are accepted; TAR the share of genuine pairs, of one person, that are;
FRR is 1 - TAR (ISO/IEC 19795-1). Pairs may have weights, by which people are resampled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RESAMPLES = 500
MOST_PAIRS = 2_000_000  # of two people, that are scored; more are drawn at random


class Pairs(NamedTuple):
    """Scores of genuine pairs [G] and impostor pairs [I], and whose they are.

    genuine_people: int [G]; impostor_people: int [I, 2]. genuine_rows, impostor_rows: int [., 2],
    the two images.
    """

    genuine: np.ndarray
    impostor: np.ndarray
    genuine_people: np.ndarray
    impostor_people: np.ndarray
    genuine_rows: np.ndarray
    impostor_rows: np.ndarray


class Point(NamedTuple):
    """A value, and its 95 % interval over resampled people."""

    value: float
    low: float
    high: float


def all_pairs(embeddings: np.ndarray, labels: np.ndarray, seed: int = 0) -> Pairs:
    """The cosines of all pairs of images; embeddings [N, D] of length 1, labels int [N].

    Of more than MOST_PAIRS impostor pairs, that many are drawn by the seed. Raises ValueError where
    there is no pair of one person or none of two.
    """
    labels = np.asarray(labels)
    first, second = np.triu_indices(len(labels), 1)
    same = labels[first] == labels[second]
    rows = np.stack([first, second], 1)
    genuine, impostor = rows[same], rows[~same]
    if not len(genuine) or not len(impostor):
        raise ValueError("verification needs two people, and one with two images")
    if len(impostor) > MOST_PAIRS:
        chosen = np.random.default_rng(seed).choice(len(impostor), MOST_PAIRS, replace=False)
        impostor = impostor[np.sort(chosen)]
    return Pairs(
        cosines(embeddings, genuine),
        cosines(embeddings, impostor),
        labels[genuine[:, 0]],
        labels[impostor],
        genuine,
        impostor,
    )


def cosines(embeddings: np.ndarray, rows: np.ndarray, block: int = 100_000) -> np.ndarray:
    """float64 [P]: the cosine of each pair of rows int [P, 2] of embeddings [N, D] of length 1."""
    parts = [rows[i : i + block] for i in range(0, len(rows), block)]
    found = [np.einsum("pd,pd->p", *(embeddings[x] for x in part.T)) for part in parts]
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


class Curve(NamedTuple):
    """FAR and FRR at each threshold, in rising order of FAR; FAR 0 is the first point."""

    threshold: np.ndarray
    far: np.ndarray
    frr: np.ndarray


def curve(
    genuine: np.ndarray,
    impostor: np.ndarray,
    genuine_weight: np.ndarray | None = None,
    impostor_weight: np.ndarray | None = None,
) -> Curve:
    """Error rates at the thresholds infinity and each score from the largest down.

    At a threshold what lies above or at it counts as accepted.
    """
    weights = [
        np.ones(len(scores)) if w is None else np.asarray(w, float)
        for scores, w in ((genuine, genuine_weight), (impostor, impostor_weight))
    ]
    scores = np.concatenate([genuine, impostor])
    order = np.argsort(-scores, kind="stable")
    own = np.concatenate([weights[0], np.zeros(len(impostor))])[order]
    other = np.concatenate([np.zeros(len(genuine)), weights[1]])[order]
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal ones
    tar = np.cumsum(own)[last] / weights[0].sum()
    far = np.cumsum(other)[last] / weights[1].sum()
    return Curve(
        np.concatenate([[np.inf], scores[order][last]]),
        np.concatenate([[0.0], far]),
        np.concatenate([[1.0], 1 - tar]),
    )


def equal_error_rate(found: Curve) -> float:
    """Where FAR and FRR cross, on the straight line between the two thresholds around it."""
    difference = found.far - found.frr
    i = int(np.argmax(difference >= 0))
    before, after = difference[i - 1], difference[i]
    share = -before / (after - before)
    return float(found.far[i - 1] + share * (found.far[i] - found.far[i - 1]))


def tar_at(found: Curve, far: float) -> float:
    """The largest TAR at a threshold whose FAR is at most `far`."""
    return float(1 - found.frr[np.flatnonzero(found.far <= far + 1e-12)[-1]])


def threshold_at(found: Curve, far: float) -> float:
    """The lowest threshold of those at which FAR is at most `far`, halfway to the next score.

    Halfway, since new pairs lie on neither of the two scores.
    """
    i = int(np.flatnonzero(found.far <= far + 1e-12)[-1])
    if i + 1 == len(found.threshold):
        return float(found.threshold[i])
    if i == 0:
        return float(np.nextafter(found.threshold[1], np.inf))
    return float((found.threshold[i] + found.threshold[i + 1]) / 2)


def rates(genuine: np.ndarray, impostor: np.ndarray, threshold: float) -> tuple[float, float]:
    """(FAR, TAR) of pairs at a threshold that was chosen before."""
    return float(np.mean(impostor > threshold)), float(np.mean(genuine > threshold))


def bootstrap(
    pairs: Pairs,
    statistics: dict[str, Callable[[Curve], float]],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Point]:
    """Each statistic of the curve with its 95 % interval over resampled people.

    People, not pairs, are drawn with replacement, since pairs that share a person are not
    independent (Bolle et al. 2004, the subsets bootstrap): a person drawn k times gives its genuine
    pairs the weight k, and its impostor pairs with one drawn l times k l. Percentile intervals;
    draws without any pair of either kind are drawn again.
    """
    people, inverse = np.unique(
        np.concatenate([pairs.genuine_people, pairs.impostor_people.ravel()]), return_inverse=True
    )
    own, others = np.split(inverse.ravel(), [len(pairs.genuine_people)])
    others = others.reshape(-1, 2)
    random = np.random.default_rng(seed)
    values: dict[str, list[float]] = {name: [] for name in statistics}
    while len(next(iter(values.values()))) < resamples:
        drawn = np.bincount(random.integers(0, len(people), len(people)), minlength=len(people))
        weights = drawn[own], drawn[others[:, 0]] * drawn[others[:, 1]]
        if not weights[0].any() or not weights[1].any():
            continue
        found = curve(pairs.genuine, pairs.impostor, *weights)
        for name, function in statistics.items():
            values[name].append(function(found))
    whole = curve(pairs.genuine, pairs.impostor)
    return {
        name: Point(function(whole), *map(float, np.quantile(values[name], (0.025, 0.975))))
        for name, function in statistics.items()
    }
