"""Generated images as further training images.

A batch keeps its size: each real image in it is replaced by a generated one with a given
probability. So with and without generated images a classifier makes the
same number of steps on the same number of images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dljax.data import feed
from dljax.data.feed import Feed

Arrays = dict[str, np.ndarray]
MIXING = 1  # separates the draws of a step from those of an epoch


def mixed(
    real: Arrays,
    generated: dict[int, Arrays],
    share: float,
    batch_size: int,
    pick: Callable[[int], np.ndarray],
) -> Feed:
    """Batches in which each image is a generated one with probability `share`.

    real: {"image" uint8 [N, H, W, C], "label" int32 [N]}. generated: seed -> the same of M images,
    drawn with replacement. pick: seed -> indices of its real images.
    Raises ValueError for a share out of 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of generated images must lie in 0..1, not {share}")
    inner = feed.in_memory(real, batch_size, pick)
    parts = [real, *generated.values()]
    first = dict(zip(generated, np.cumsum([len(part["label"]) for part in parts]), strict=False))

    def chunk(seed: int, step: int, k: int) -> np.ndarray:
        index = inner.chunk(seed, step, k)
        for row, i in zip(index, range(step, step + k), strict=True):
            rng = np.random.default_rng([seed, i, MIXING])
            fake = rng.random(batch_size) < share
            drawn = rng.integers(len(generated[seed]["label"]), size=batch_size)
            row[fake] = first[seed] + drawn[fake]
        return index

    arrays = {name: np.concatenate([part[name] for part in parts]) for name in real}
    return Feed(chunk, inner.batch, arrays)
