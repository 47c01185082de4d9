"""Scores of samples beside their bounds: those of real test images and of noise.

A score depends on the feature extractor and means little alone. `bounds` computes, once, the scores
of real test images against the training images (no generator can be expected to do better) and of
noise; samples are then scored against the same training images, in the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dljax.gan.scores import Features, score

Extract = Callable[[np.ndarray], Features]  # of uint8 images [N, H, W, C] (or clips)

# Samples below these shares of what real images reach have collapsed.
COVERED, DIVERSE, PRESENT = 0.5, 0.5, 0.2


class Bounds(NamedTuple):
    """The reference that samples are scored against, and the scores that bound theirs.

    images: number of each kind that is compared. seed: of their choice. reference: features of
    training images. real: scores of test images. noise: those of noise.
    """

    extract: Extract
    images: int
    seed: int
    reference: Features
    real: dict[str, float]
    noise: dict[str, float]

    def score(self, samples: np.ndarray) -> dict[str, float]:
        """Scores of `images` samples uint8 [N, H, W, C]; ValueError if there are fewer."""
        if len(samples) < self.images:
            raise ValueError(f"{self.images} samples are needed, not {len(samples)}")
        return score(self.reference, self.extract(samples[: self.images]), self.seed)


def bounds(
    extract: Extract, train: np.ndarray, test: np.ndarray, images: int = 10_000, seed: int = 0
) -> Bounds:
    """The Bounds of a data set, train and test uint8 [N, H, W, C] (or clips [N, T, H, W, C]).

    images: compared of each kind, at most; the same number of each kind, since most scores depend
    on it.
    """
    images = min(images, len(train), len(test))
    rng = np.random.default_rng(seed)
    chosen = [x[np.sort(rng.permutation(len(x))[:images])] for x in (train, test)]
    reference, others = (extract(x) for x in chosen)
    unlike = extract(noise(chosen[0], images, seed))
    return Bounds(
        extract,
        images,
        seed,
        reference,
        score(reference, others, seed),
        score(reference, unlike, seed),
    )


def noise(like: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Gaussian noise uint8 [count, ...] of the mean and deviation a channel of images [N, ..., C].

    Pixels are drawn independently.
    """
    axes = tuple(range(like.ndim - 1))
    mean, std = like.mean(axes, dtype=np.float64), like.std(axes, dtype=np.float64)
    values = np.random.default_rng(seed).standard_normal((count, *like.shape[1:]), np.float32)
    return np.clip(np.round(mean + std * values), 0, 255).astype(np.uint8)


def collapse(found: dict[str, float], real: dict[str, float]) -> tuple[str, ...]:
    """Signs that a generator collapsed or failed, a line each; none if it did not.

    found: scores of the samples, real: those of real images.
    """
    lines = []
    if found["coverage"] < COVERED * real["coverage"]:
        lost = found["recall"] < COVERED * real["recall"]
        lines.append(
            f"{'collapse' if lost else 'weakness'}: {found['coverage']:.2f} of the real images "
            f"have a sample near them (of others, {real['coverage']:.2f} have a real one), "
            f"{found['recall']:.2f} lie among the samples"
        )
    if "modes" in found and found["modes"] < real["modes"]:
        lines.append(
            f"collapse: the samples fall into {found['modes']:.0f} classes, "
            f"real images into {real['modes']:.0f}"
        )
    if found.get("diversity", 1.0) < DIVERSE:
        lines.append(
            f"collapse: two samples of a class are {found['diversity']:.2f} times as far apart "
            "as two real images"
        )
    if found["precision"] < PRESENT * real["precision"]:
        lines.append(
            f"failure: {found['precision']:.2f} of the samples lie near real images, "
            f"of other real images {real['precision']:.2f}"
        )
    return tuple(lines)


def table(bounds: Bounds, found: Sequence[dict[str, float]]) -> list[str]:
    """Lines for the user: each score of real images, of the samples (one dict a seed), of noise."""
    lines = [f"{'score':16}{'real images':>14}{'samples':>20}{'noise':>14}"]
    for name, real in bounds.real.items():
        values = np.array([scores[name] for scores in found])
        text = f"{values.mean():.4g}"
        if len(values) > 1:
            text += f" ± {values.std(ddof=1):.2g}"
        lines.append(f"{name:16}{real:14.4g}{text:>20}{bounds.noise[name]:14.4g}")
    lines.append(f"of {bounds.images} images of each kind, chosen by seed {bounds.seed}")
    return lines
