"""What simple methods reach on the same split: the yardsticks beside a network."""

from __future__ import annotations

import numpy as np

# More multiplications than this in a logistic regression would take minutes.
LOGISTIC_BOUND = 10_000_000


def image_baselines(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Test accuracy of the most frequent class, 3 nearest neighbours and logistic regression.

    train, test: {"image": uint8 [N, H, W, C], "label": int [N]}; all of train is used. Neighbours
    are by Euclidean distance of pixels; the logistic regression is multinomial with scikit-learn's
    default L2 penalty on pixels in 0..1, left out where train holds over 10 million pixels.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    def flat(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) / 255

    x, y = flat(train["image"]), train["label"]
    frequent = np.bincount(y).argmax()
    results = {"most frequent class": {"accuracy": float(np.mean(test["label"] == frequent))}}
    models = {"3 nearest neighbours": KNeighborsClassifier(3, algorithm="brute", n_jobs=-1)}
    if x.size <= LOGISTIC_BOUND and len(np.unique(y)) > 1:
        models["logistic regression"] = LogisticRegression(max_iter=1000)
    for name, model in models.items():
        accuracy = model.fit(x, y).score(flat(test["image"]), test["label"])
        results[name] = {"accuracy": float(accuracy)}
    return results
