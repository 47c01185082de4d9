"""What segmentation is compared with: the commonest class, and the commonest at each place."""

from __future__ import annotations

import numpy as np

from dljax.cnn.segmentation.losses import IGNORE
from dljax.cnn.segmentation.segmentation_metrics import from_confusion


def counts(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Confusion counts [C, C] of class ids [N, H, W]; predicted may be [H, W], for all images."""
    predicted = np.broadcast_to(predicted, labels.shape)
    inside = labels != IGNORE
    index = labels[inside].astype(int) * classes + predicted[inside]
    return np.bincount(index, minlength=classes**2).reshape(classes, classes)


def majority(train: np.ndarray, classes: int) -> int:
    """The class of most labelled pixels of masks [N, H, W]."""
    return int(np.bincount(train.ravel(), minlength=IGNORE + 1)[:classes].argmax())


def majority_by_place(train: np.ndarray, classes: int) -> np.ndarray:
    """The commonest class of each place [H, W] in masks [N, H, W]."""
    votes = np.stack([(train == number).sum(0) for number in range(classes)])
    return votes.argmax(0)


def baselines(train: np.ndarray, test: np.ndarray, classes: int) -> dict[str, dict[str, float]]:
    """mIoU and pixel accuracy of both on test masks [N, H, W] of the same size as train's."""
    simple = {
        "most frequent class": np.array(majority(train, classes)),
        "most frequent class of each place": majority_by_place(train, classes),
    }
    found = {}
    for name, predicted in simple.items():
        scores = from_confusion(counts(predicted, test, classes))
        found[name] = {k: float(scores[k]) for k in ("miou", "pixel_accuracy", "mean_dice")}
    return found
