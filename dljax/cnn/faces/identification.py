"""Who is it: templates, ranks, the cumulative match curve, identification with rejection.

A person is enrolled by a template, the mean of its normalised embeddings brought to length 1; an
image is a probe, whose score with a person is the cosine of its embedding and that template.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def unit(x: np.ndarray) -> np.ndarray:
    """Vectors [..., D] divided by their length."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def templates(embeddings: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(templates [P, D], their people int [P] in rising order) of images [N, D] of length 1."""
    people = np.unique(person)
    return np.stack([unit(embeddings[person == p].mean(0)) for p in people]), people


def ranks(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """int [N]: how many people score at least as high as a probe's own, itself included.

    scores [N, P]; own int [N], the column of each probe's person. Ties count against the probe.
    """
    mine = scores[np.arange(len(own)), own][:, None]
    return (scores >= mine).sum(1)


def cumulative_match(rank: np.ndarray, people: int) -> np.ndarray:
    """The CMC [people]: the share of probes whose own person is among the best k, k = 1, 2, ..."""
    return np.array([np.mean(rank <= k) for k in range(1, people + 1)])


class Trial(NamedTuple):
    """Probes of one open-set identification.

    known [K]: the best score of each probe of an enrolled person; right bool [K]: whether it is
    that person's. strangers [S]: the best score of each probe of someone who is not enrolled.
    """

    known: np.ndarray
    right: np.ndarray
    strangers: np.ndarray


def trial(embeddings: np.ndarray, person: np.ndarray, enrolled: int, seed: int) -> Trial:
    """A random half of the people enrolled by `enrolled` random images each; the rest are probes.

    embeddings [N, D] of length 1, person int [N]. The images of the other half are strangers'.
    Raises ValueError where no person has more images than `enrolled`, or there is one person.
    """
    random = np.random.default_rng(seed)
    people = random.permutation(np.unique(person))
    able = [p for p in people if np.sum(person == p) > enrolled][: max(1, len(people) // 2)]
    if not able or len(able) == len(people):
        raise ValueError(
            f"identification with rejection needs people with more than {enrolled} images, and "
            "others who are not enrolled"
        )
    gallery = np.concatenate(
        [random.permutation(np.flatnonzero(person == p))[:enrolled] for p in able]
    )
    means, names = templates(embeddings[gallery], person[gallery])
    probes = np.setdiff1d(np.arange(len(person)), gallery)
    scores = embeddings[probes] @ means.T
    best, guess = scores.max(1), names[scores.argmax(1)]
    known = np.isin(person[probes], names)
    return Trial(best[known], guess[known] == person[probes][known], best[~known])


def trials(
    embeddings: np.ndarray, person: np.ndarray, enrolled: int, repeats: int, seed: int = 0
) -> Trial:
    """The probes of several random trials one after another."""
    found = [trial(embeddings, person, enrolled, seed + i) for i in range(repeats)]
    return Trial(*(np.concatenate(x) for x in zip(*found, strict=True)))


def threshold_at(strangers: np.ndarray, far: float) -> float:
    """The lowest threshold above which lies at most a share `far` of scores that should not."""
    scores = np.sort(strangers)[::-1]
    return float(scores[min(int(far * len(scores) + 1e-9), len(scores) - 1)])


def template_scores(
    embeddings: np.ndarray, person: np.ndarray, enrolled: int, repeats: int, seed: int = 0
) -> np.ndarray:
    """Cosines of images with templates of other people, of `enrolled` random images each."""
    found = []
    for repeat in range(repeats):
        random = np.random.default_rng([seed, repeat])
        rows = [
            random.permutation(np.flatnonzero(person == p))[:enrolled] for p in np.unique(person)
        ]
        chosen = np.concatenate(rows)
        means, people = templates(embeddings[chosen], person[chosen])
        scores = embeddings @ means.T
        found.append(scores[person[:, None] != people[None]])
    return np.concatenate(found)


def detection_and_identification(found: Trial, threshold: float) -> tuple[float, float]:
    """(DIR, FAR) at a threshold: of probes of enrolled people, the share that is named rightly.

    A probe is named where its best score is above the threshold (Phillips et al. 2011, Handbook of
    Face Recognition, chapter 21). FAR: the share of strangers that is named.
    """
    right = float(np.mean(found.right & (found.known > threshold)))
    return right, float(np.mean(found.strangers > threshold))
