"""From a cosine to the probability that two images show one person (Platt 1999)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Calibration(NamedTuple):
    """probability = 1 / (1 + exp(-(slope cosine + offset))), of a pair that is as often genuine as
    not."""

    slope: float
    offset: float

    def __call__(self, cosine: np.ndarray) -> np.ndarray:
        """Probabilities of cosines of any shape."""
        z = np.clip(self.slope * np.asarray(cosine, float) + self.offset, -500, 500)
        return 1 / (1 + np.exp(-z))


def fit(genuine: np.ndarray, impostor: np.ndarray) -> Calibration:
    """The logistic regression on cosines [G] and [I], both kinds of pairs with equal weight in sum.

    A weak L2 penalty (scikit-learn's, C = 100 per pair of weights) keeps it finite where the kinds
    are apart. Of a slope below 0, where impostors score higher, nothing can be said: ValueError.
    """
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([genuine, impostor])[:, None]
    y = np.repeat([1, 0], [len(genuine), len(impostor)])
    model = LogisticRegression(C=100.0, class_weight="balanced", max_iter=1000).fit(x, y)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise ValueError("pairs of one person score no higher than pairs of two: train longer")
    return Calibration(slope, offset)
