"""Whether pictures look like those that a network was trained on: bright on dark, or inverted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SHARE, MARGIN = 0.01, 0.1


class Appearance(NamedTuple):
    """The brightness, in 0..1, that the borders of most training images have: from low to high."""

    low: float
    high: float

    def __str__(self) -> str:
        """As messages describe it."""
        kind = "dark" if self.high < 0.5 else "bright" if self.low > 0.5 else "of any brightness"
        return f"{kind} ({self.low:.2f} to {self.high:.2f})"


def appearance(images: np.ndarray) -> Appearance:
    """Of uint8 training images [N, H, W, C]: all but the darkest and brightest hundredth."""
    low, high = np.quantile(border(images), (SHARE, 1 - SHARE))
    return Appearance(float(low), float(high))


def border(images: np.ndarray) -> np.ndarray:
    """The mean level [N], in 0..1, of the outermost pixels of uint8 images [N, H, W, C]."""
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    return np.mean([edge.mean((1, 2)) for edge in edges], 0) / 255


def inverted(images: np.ndarray, trained: Appearance) -> np.ndarray:
    """Which of uint8 images [N, H, W, C] have borders as training images only once inverted: [N].

    None where training images have dark borders and bright ones, as photographs.
    """
    if trained.low <= 0.5 <= trained.high:
        return np.zeros(len(images), bool)
    level = border(images)

    def usual(x: np.ndarray) -> np.ndarray:
        return (x >= trained.low - MARGIN) & (x <= trained.high + MARGIN)

    return ~usual(level) & usual(1 - level)
