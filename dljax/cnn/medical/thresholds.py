"""What a segmentation is compared with: the grey level of a voxel alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.sources.medical.volume import IGNORE

BINS = 256


class Levels(NamedTuple):
    """A class for each range of grey levels. edges: [BINS - 1]; classes: uint8 [BINS]."""

    edges: np.ndarray
    classes: np.ndarray

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Class ids [*sides] of an image [*sides, C], by its first channel."""
        return self.classes[np.digitize(image[..., 0], self.edges)]


def fit(images: Sequence[np.ndarray], labels: Sequence[np.ndarray], classes: int) -> Levels:
    """The most frequent class of each grey level, of BINS between their extremes.

    That is any number of thresholds, with the classes between them in any order.
    """
    low = min(float(image[..., 0].min()) for image in images)
    high = max(float(image[..., 0].max()) for image in images)
    edges = np.linspace(low, high, BINS + 1)[1:-1]
    counts = np.zeros((BINS, classes))
    for image, label in zip(images, labels, strict=True):
        known = label != IGNORE
        bins = np.digitize(image[..., 0][known], edges)
        counts += np.bincount(bins * classes + label[known], minlength=BINS * classes).reshape(
            BINS, classes
        )
    return Levels(edges, counts.argmax(1).astype(np.uint8))
