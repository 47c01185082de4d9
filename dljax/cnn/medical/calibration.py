"""Probabilities that hold: temperature scaling, and how far confidence is from accuracy.

Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

LIMITS = (0.05, 20.0)  # of the temperature


def scaled(logits: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Probabilities [N, C] of logits [N, C] divided by a temperature."""
    z = np.asarray(logits, np.float64) / temperature
    return expit(z) if multi_label else softmax(z, -1)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least cross-entropy (section 4.2); of a held-out part.

    logits: [N, C]. labels: int [N], or [N, C] of 0 and 1.
    """
    from scipy.optimize import minimize_scalar  # late: it takes half a second

    logits = np.asarray(logits, np.float64)

    def loss(log_temperature: float) -> float:
        z = logits / np.exp(log_temperature)
        if labels.ndim == 2:
            return -np.where(labels > 0, log_expit(z), log_expit(-z)).mean()
        return -np.take_along_axis(log_softmax(z, -1), labels[:, None], 1).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded").x))


def calibration_counts(
    p: np.ndarray, labels: np.ndarray, bins: int = 15
) -> tuple[np.ndarray, np.ndarray]:
    """As `train.metrics.calibration`, of probabilities [N, C] on the host: [bins, 2] and [bins].

    Of several labels each is an example, of confidence max(p, 1 - p).
    """
    if labels.ndim == 2:
        confidence, correct = np.maximum(p, 1 - p).ravel(), ((p > 0.5) == (labels > 0)).ravel()
    else:
        confidence, correct = p.max(1), p.argmax(1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    sums = np.zeros((bins, 2))
    np.add.at(sums, place, np.stack([confidence, correct], 1))
    return sums, np.bincount(place, minlength=bins).astype(float)
