"""Labels of images of any size by a network of fixed windows, in bounded memory.

Windows overlap and vote with Gaussian weights (Isensee et al. 2021, nnU-Net): what lies near the
border of a window counts little, for the network sees less of its surroundings. Along the first
axis only the slab is held in which windows still vote: besides image and labels, memory is that of
one window's length of probabilities, however long the image is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from dljax.cnn.segmentation.tiling import starts

Predict = Callable[[np.ndarray], np.ndarray]  # [B, *window, C] -> probabilities [B, *window, K]

SIGMA = 1 / 8  # standard deviation of the weights, of the window's side
AT_ONCE = 4  # windows in a batch


def gaussian(window: Sequence[int]) -> np.ndarray:
    """How much each voxel of a window counts [*window]: 1 in the middle, never 0."""
    weight = np.ones(())
    for side in window:
        distance = np.arange(side) - (side - 1) / 2
        weight = weight[..., None] * np.exp(-0.5 * (distance / (SIGMA * side)) ** 2)
    return np.maximum(weight / weight.max(), 1e-3).astype(np.float32)


def segment(
    predict: Predict, image: np.ndarray, window: Sequence[int], overlap: float, classes: int
) -> np.ndarray:
    """Class ids uint8 [*sides] of an image [*sides, C], of the largest weighted probability.

    overlap: of neighbouring windows, share of their side, from 0 to below 1. Images smaller than a
    window have their mirror image around them.
    """
    room = [max(side - n, 0) for n, side in zip(image.shape, window, strict=False)]
    before = [r // 2 for r in room]
    pads = [(b, r - b) for b, r in zip(before, room, strict=True)]
    padded = np.pad(image, (*pads, (0, 0)), mode="symmetric") if any(room) else image
    sides, weight = padded.shape[:-1], gaussian(window)
    first, *others = (
        starts(n, side, int(overlap * side)) for n, side in zip(sides, window, strict=True)
    )
    places = list(itertools.product(*others))
    labels = np.zeros(sides, np.uint8)
    votes = np.zeros((window[0], *sides[1:], classes), np.float32)
    for start, following in zip(first, [*first[1:], sides[0]], strict=True):
        for i in range(0, len(places), AT_ONCE):
            cuts = [
                tuple(slice(a, a + side) for a, side in zip(place, window[1:], strict=True))
                for place in places[i : i + AT_ONCE]
            ]
            batch = np.stack([padded[start : start + window[0], *cut] for cut in cuts])
            filled = np.pad(batch, ((0, AT_ONCE - len(batch)), *((0, 0),) * (batch.ndim - 1)))
            for cut, p in zip(cuts, predict(filled), strict=False):
                votes[:, *cut] += p * weight[..., None]
        done = following - start
        labels[start:following] = votes[:done].argmax(-1)
        votes[: window[0] - done] = votes[done:].copy()
        votes[window[0] - done :] = 0
    return labels[tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=False))]
