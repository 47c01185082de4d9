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

    x, y = _flat(train["image"]), train["label"]
    frequent = np.bincount(y).argmax()
    results = {"most frequent class": {"accuracy": float(np.mean(test["label"] == frequent))}}
    models = {"3 nearest neighbours": KNeighborsClassifier(3, algorithm="brute", n_jobs=-1)}
    if x.size <= LOGISTIC_BOUND and len(np.unique(y)) > 1:
        models["logistic regression"] = LogisticRegression(max_iter=1000)
    for name, model in models.items():
        accuracy = model.fit(x, y).score(_flat(test["image"]), test["label"])
        results[name] = {"accuracy": float(accuracy)}
    return results


def label_baselines(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Of several labels an image [N, K], the test AUC, average precision and F1: means over labels.

    Of the shares of the labels in train, 3 nearest neighbours and a logistic regression for each
    label (within the bound of `image_baselines`). Labels that test lacks don't count.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.neighbors import KNeighborsClassifier

    x, y, queries = _flat(train["image"]), train["label"], _flat(test["image"])
    tried = np.flatnonzero((y.min(0) < y.max(0)) & (test["label"].max(0) > test["label"].min(0)))
    if not len(tried):
        return {}
    y, truth = y[:, tried], test["label"][:, tried]
    found = {"shares of the labels": np.tile(y.mean(0), (len(truth), 1))}
    models = {"3 nearest neighbours": KNeighborsClassifier(3, algorithm="brute", n_jobs=-1)}
    if x.size * len(tried) <= LOGISTIC_BOUND:
        models["logistic regression"] = LogisticRegression(max_iter=1000)
    for name, model in models.items():
        each = MultiOutputClassifier(model).fit(x, y).predict_proba(queries)
        found[name] = np.stack([p[:, 1] for p in each], 1)
    return {
        name: {
            "auc": float(roc_auc_score(truth, p, average="macro")),
            "map": float(average_precision_score(truth, p, average="macro")),
            "macro_f1": float(f1_score(truth, p > 0.5, average="macro", zero_division=0)),
        }
        for name, p in found.items()
    }


def number_baselines(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Of a number an image, the test MAE and R2 of the mean of train, and of simple methods.

    3 nearest neighbours, and ridge regression of pixels in 0..1 with scikit-learn's default
    penalty, left out where train holds over 10 million pixels.
    """
    from sklearn.linear_model import Ridge
    from sklearn.metrics import mean_absolute_error, r2_score
    from sklearn.neighbors import KNeighborsRegressor

    x, y, truth = _flat(train["image"]), train["label"], test["label"]
    found = {"mean of train": np.full(len(truth), y.mean())}
    models = {"3 nearest neighbours": KNeighborsRegressor(3, algorithm="brute", n_jobs=-1)}
    if x.size <= LOGISTIC_BOUND:
        models["ridge regression"] = Ridge()
    for name, model in models.items():
        found[name] = model.fit(x, y).predict(_flat(test["image"]))
    return {
        name: {
            "mae": float(mean_absolute_error(truth, value)),
            "r2": float(r2_score(truth, value)) if np.ptp(truth) else float("nan"),
        }
        for name, value in found.items()
    }


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255
