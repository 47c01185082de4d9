"""What simple methods reach on the same split of medical images."""

from __future__ import annotations

import numpy as np

from dljax.cnn.medical import scores

CELLS = 10  # a side of a volume is averaged down to, as 28 x 28 x 28 numbers say little each


def simple_methods(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray], classes: int
) -> dict[str, dict[str, float]]:
    """Test AUC and accuracy of the shares of the classes and of logistic regression.

    train, test: {"image": uint8 [N, (D,) H, W, C], "label": [N] or [N, C]}. The regression is
    scikit-learn's, with its default penalty, on pixels in 0..1; of volumes, on means of cells.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    having = scores.one_against_rest(train["label"], classes)
    constant = np.repeat(having.mean(0, keepdims=True), len(test["label"]), 0)
    model = LogisticRegression(max_iter=1000)
    if train["label"].ndim == 2:
        model = OneVsRestClassifier(model)
    model.fit(features(train["image"]), train["label"])
    p = model.predict_proba(features(test["image"]))
    return {
        name: {
            "auc": float(scores.mean_auc(x, test["label"])),
            "accuracy": float(scores.correct(x, test["label"]).mean()),
        }
        for name, x in (("commonest class", constant), ("logistic regression", p))
    }


def features(images: np.ndarray) -> np.ndarray:
    """float32 [N, F] in 0..1 of images [N, (D,) H, W, C]: pixels, of volumes means of cells."""
    if images.ndim == 4:
        return images.reshape(len(images), -1).astype(np.float32) / 255
    x = images.astype(np.float32) / 255
    for axis in (1, 2, 3):
        starts = np.unique(np.linspace(0, x.shape[axis], CELLS, endpoint=False).astype(int))
        sizes = np.diff([*starts, x.shape[axis]])
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        x = np.add.reduceat(x, starts, axis) / sizes.reshape(shape)
    return x.reshape(len(x), -1)
