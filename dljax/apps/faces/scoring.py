"""The scores of embeddings under each protocol."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dljax.cnn.faces import calibration, identification, verification
from dljax.cnn.faces.calibration import Calibration
from dljax.cnn.faces.verification import Curve, Pairs
from dljax.data.sources.people.lfw import FoldPairs

FARS = {"tar_far_1e-2": 1e-2, "tar_far_1e-3": 1e-3}
IDENTIFICATION_FAR = 0.1  # of strangers; there are few probes of them
TRIALS = 20  # random choices of who is enrolled


class Decision(NamedTuple):
    """What other people than those tested have set: thresholds and the calibrated probability.

    threshold: of a pair's cosine, at the false match rate `fmr` on validation. identify: of the
    cosine with a template, at that rate of comparisons with another person's: a stranger is
    compared with everybody enrolled, and named about that often for each of them.
    """

    fmr: float
    threshold: float
    probability: Calibration
    identify: float


def decide(embeddings: np.ndarray, person: np.ndarray, fmr: float, enrolled: int) -> Decision:
    """The Decision by held-out people; embeddings [N, D], person int [N]."""
    pairs = verification.all_pairs(embeddings, person)
    found = verification.curve(pairs.genuine, pairs.impostor)
    others = identification.template_scores(embeddings, person, enrolled, TRIALS)
    return Decision(
        fmr,
        verification.threshold_at(found, fmr),
        calibration.fit(pairs.genuine, pairs.impostor),
        identification.threshold_at(others, fmr),
    )


def verify(pairs: Pairs) -> dict[str, float]:
    """EER and TAR at the rates of FARS, at thresholds of these very pairs, as they are defined."""
    found = verification.curve(pairs.genuine, pairs.impostor)
    values = {name: verification.tar_at(found, far) for name, far in FARS.items()}
    return {"eer": verification.equal_error_rate(found), **values}


def statistics() -> dict[str, Any]:
    """What `verification.bootstrap` gives intervals of."""
    functions = {
        name: lambda found, far=far: verification.tar_at(found, far) for name, far in FARS.items()
    }
    return {"eer": verification.equal_error_rate, **functions}


def identify(
    embeddings: np.ndarray, person: np.ndarray, enrolled: int, threshold: float | None = None
) -> dict[str, float]:
    """DIR at IDENTIFICATION_FAR of these very probes, and the rank-1 accuracy without rejection.

    threshold: chosen before; then DIR and FAR there too. {} where there are too few people.
    """
    images = _enrolled(person, enrolled)
    if not images or len(np.unique(person)) < 4:
        return {}
    trials = identification.trials(embeddings, person, images, TRIALS, seed=1000)
    own = identification.threshold_at(trials.strangers, IDENTIFICATION_FAR)
    values = {
        "rank_1": float(trials.right.mean()),
        "dir_far_1e-1": identification.detection_and_identification(trials, own)[0],
    }
    if threshold is not None:
        rates = identification.detection_and_identification(trials, threshold)
        values |= dict(zip(("dir_at_threshold", "strangers_named"), rates, strict=True))
    return values


def _enrolled(person: np.ndarray, wanted: int) -> int:
    """Images that at least half of the people can be enrolled with, keeping one as probe."""
    counts = np.sort(np.unique(person, return_counts=True)[1])[::-1]
    return int(min(wanted, counts[(len(counts) - 1) // 2] - 1))


class Closed(NamedTuple):
    """Of the closed set: rank int [N] of each probe's own person, scores [N, P], people [P]."""

    rank: np.ndarray
    scores: np.ndarray
    people: np.ndarray


def closed(
    gallery: np.ndarray, enrolled: np.ndarray, probes: np.ndarray, person: np.ndarray
) -> Closed:
    """Probes [N, D] of people int [N] against the templates of a gallery [M, D] of people [M]."""
    means, people = identification.templates(gallery, enrolled)
    scores = probes @ means.T
    return Closed(identification.ranks(scores, np.searchsorted(people, person)), scores, people)


def fold_accuracy(embeddings: np.ndarray, pairs: FoldPairs) -> tuple[np.ndarray, Curve]:
    """Accuracy [folds] on each fold at the threshold that is best on the others, and the curve.

    As published for LFW (Huang et al. 2007, view 2). Of one fold its own best threshold counts.
    """
    scores = verification.cosines(embeddings, pairs.rows)
    accuracies = []
    for fold in range(pairs.fold.max() + 1):
        tested = pairs.fold == fold
        chosen = ~tested if pairs.fold.max() else tested
        threshold = best_threshold(scores[chosen], pairs.same[chosen])
        accuracies.append(np.mean((scores[tested] > threshold) == pairs.same[tested]))
    found = verification.curve(scores[pairs.same], scores[~pairs.same])
    return np.array(accuracies), found


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold of the highest accuracy, halfway between two scores; of equals the lowest."""
    levels = np.unique(scores)
    between = np.concatenate([[levels[0] - 1], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1]])
    own, other = np.sort(scores[same]), np.sort(scores[~same])
    right = (len(own) - np.searchsorted(own, between, "right")) + np.searchsorted(
        other, between, "right"
    )
    return float(between[right.argmax()])
