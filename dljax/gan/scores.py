"""Scores of samples: FID, KID, precision, recall, ..., of the features of real images and samples.

All on the host, in float64, without randomness but for the blocks of `kid`. Features [N, D] are
those of a classifier of the data, before its last layer; scores by two networks can't be compared,
so they are read beside their bounds (assessment.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BLOCK = 1000  # rows of a matrix of distances at once
NEAREST, WIDER = 3, 5  # the neighbours that the papers of `neighbour_scores` recommend


class Features(NamedTuple):
    """Outputs of a network for N images: features [N, D] and, of a classifier, logits [N, K]."""

    features: np.ndarray
    logits: np.ndarray | None = None


class Moments(NamedTuple):
    """Of features [N, D]: their count N, mean [D], and mean outer product [D, D].

    Moments of parts make those of the whole (`merge`), so features need not be held together.
    """

    count: float
    mean: np.ndarray
    second: np.ndarray

    def covariance(self) -> np.ndarray:
        """The unbiased covariance [D, D]."""
        centred = self.second - np.outer(self.mean, self.mean)
        return centred * self.count / max(self.count - 1, 1)


def moments(features: np.ndarray) -> Moments:
    """The Moments of features [N, D]."""
    x = np.asarray(features, np.float64)
    return Moments(len(x), x.mean(0), x.T @ x / len(x))


def merge(a: Moments, b: Moments) -> Moments:
    """The Moments of two parts together."""
    count = a.count + b.count
    share = b.count / count
    return Moments(
        count, a.mean + share * (b.mean - a.mean), a.second + share * (b.second - a.second)
    )


def frechet(real: Moments, fake: Moments) -> float:
    """FID (Heusel et al. 2017, arXiv:1706.08500, eq. 6): two Gaussians' squared Wasserstein-2.

    |m - n|^2 + tr(S) + tr(T) - 2 tr((S T)^(1/2)). The last trace is that of (R T R)^(1/2) with
    R = S^(1/2), whose eigenvalues are real and not negative, whatever the rank of S and T.
    """
    s, t = real.covariance(), fake.covariance()
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ t @ root), 0)).sum()
    shift = np.square(real.mean - fake.mean).sum()
    return float(max(shift + np.trace(s) + np.trace(t) - 2 * overlap, 0))


def kid(real: np.ndarray, fake: np.ndarray, block: int = BLOCK, seed: int = 0) -> float:
    """KID (Binkowski et al. 2018, arXiv:1801.01401, section 3): the squared MMD, unbiased.

    Of the kernel (x.y / D + 1)^3, the mean over disjoint random blocks of at most `block` of each
    set; zero in expectation for samples of one distribution, hence at times below zero. Of a set
    that is larger than the blocks of the other one, as many random ones as fill `block`s are used.
    """
    rng = np.random.default_rng(seed)
    count = max(-(-min(len(real), len(fake)) // block), 1)
    parts = [np.array_split(rng.permutation(len(x))[: count * block], count) for x in (real, fake)]
    return float(np.mean([_mmd(real[i], fake[j]) for i, j in zip(*parts, strict=True)]))


def _mmd(x: np.ndarray, y: np.ndarray) -> float:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def between(a):  # the mean over pairs of different ones
        k = kernel(a, a)
        return (k.sum() - np.trace(k)) / (len(a) * (len(a) - 1))

    return between(x) + between(y) - 2 * kernel(x, y).mean()


def neighbour_scores(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Precision, recall, density and coverage of samples [M, D] against real images [N, D].

    A ball around each image reaches to the NEAREST-th nearest other image of its own set.
    precision: the share of samples within the ball of some real image; recall: the share of real
    images within that of some sample (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 2).
    density: in how many wider balls of real images, to the WIDER-th neighbour, a sample lies, over
    WIDER: 1 for real samples, and it may be more; coverage: the share of those with a sample in
    them (Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4).
    """
    near_real, wide_real = radii(real, NEAREST, WIDER)
    (near_fake,) = radii(fake, NEAREST)
    precise, inside, first = 0, 0, 0
    recalled, covered = np.zeros((2, len(real)), bool)
    for distances in _distances(fake, real):  # [block, real]
        precise += (distances <= near_real).any(1).sum()
        recalled |= (distances <= near_fake[first : first + len(distances), None]).any(0)
        within = distances <= wide_real
        inside += within.sum()
        covered |= within.any(0)
        first += len(distances)
    return {
        "precision": float(precise / len(fake)),
        "recall": float(recalled.mean()),
        "density": float(inside / (WIDER * len(fake))),
        "coverage": float(covered.mean()),
    }


def radii(x: np.ndarray, *ks: int) -> np.ndarray:
    """Distances [len(ks), N] of each x [N, D] to its k-th nearest other, for several k.

    ValueError if there are too few.
    """
    if len(x) <= max(ks):
        raise ValueError(f"a {max(ks)}-th neighbour needs more than {max(ks)} images, not {len(x)}")
    found, first = [], 0
    for distances in _distances(x, x):
        rows = np.arange(len(distances))
        distances[rows, first + rows] = np.inf
        places = [k - 1 for k in ks]
        found.append(np.partition(distances, places, axis=1)[:, places])
        first += len(distances)
    return np.concatenate(found).T


def _distances(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Euclidean distances [block, len(y)], block after block of x."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    square = np.square(y).sum(1)
    for first in range(0, len(x), BLOCK):
        part = x[first : first + BLOCK]
        squared = np.square(part).sum(1)[:, None] + square - 2 * part @ y.T
        yield np.sqrt(np.maximum(squared, 0))


def spread(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean distance [classes] between two different images of a class; NaN below two of them."""
    found = np.full(classes, np.nan)
    for label in range(classes):
        members = features[labels == label]
        if len(members) > 1:
            total = sum(distances.sum() for distances in _distances(members, members))
            found[label] = total / (len(members) * (len(members) - 1))
    return found


def class_scores(real: Features, fake: Features) -> dict[str, float]:
    """Scores by the classes that the classifier predicts.

    diversity: the mean distance of two samples of a class relative to that of two real images, the
    mean over the classes that have two of each (NaN: none has). modes: classes predicted for
    samples. class_kl: KL divergence, in nats, of the samples' classes from the real ones' (as for
    stacked MNIST; Metz et al. 2017, arXiv:1611.02163, section 3.3.1), whose counts are each raised
    by a half. class_deviation: the largest difference of a class's share from 1 / classes.
    """
    classes = real.logits.shape[1]
    labels = [x.logits.argmax(1) for x in (real, fake)]
    counts = [np.bincount(label, minlength=classes) for label in labels]
    true, share = ((count + 0.5) / (count + 0.5).sum() for count in counts)
    apart = [
        spread(x.features, label, classes) for x, label in zip((real, fake), labels, strict=True)
    ]
    ratio = apart[1] / apart[0]
    ratio = ratio[np.isfinite(ratio)]
    return {
        "diversity": float(ratio.mean()) if len(ratio) else float("nan"),
        "modes": float((counts[1] > 0).sum()),
        "class_kl": float((share * np.log(share / true)).sum()),
        "class_deviation": float(np.abs(counts[1] / counts[1].sum() - 1 / classes).max()),
    }


def score(real: Features, fake: Features, seed: int = 0) -> dict[str, float]:
    """Every score of samples against real images; those by class where there are logits.

    seed: of the blocks of `kid`. ValueError where a set has too few images or a feature is not
    finite.
    """
    for features in (real.features, fake.features):
        if not np.isfinite(features).all():
            raise ValueError("a feature is not finite, so nothing can be scored")
    found = {
        "fid": frechet(moments(real.features), moments(fake.features)),
        "kid": kid(real.features, fake.features, seed=seed),
        **neighbour_scores(real.features, fake.features),
    }
    return found | (class_scores(real, fake) if real.logits is not None else {})
