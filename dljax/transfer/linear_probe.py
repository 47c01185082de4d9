"""Frozen features, cached on the disk; a linear probe on them, and two baselines.

The features of an image are the inputs of the last layer. A linear probe is that layer alone,
trained on them (`Linear`, by the shared loop); nearest class mean and logistic regression are the
baselines that it is compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.sources import cache
from dljax.nn.dense import Dense
from dljax.nn.penultimate import HEAD, penultimate
from dljax.train.export import in_pieces

PyTree = Any
Array = jax.Array


class Linear(nn.Module):
    """Features [B, D] to logits [B, classes]; the parameters are those of a network's head."""

    classes: int

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        return Dense(self.classes, kernel_init=nn.initializers.zeros, name=HEAD)(x)


def extract(
    model: nn.Module,
    variables: PyTree,
    images: np.ndarray,
    normalize: Callable[[Array], Array],
    *,
    batch_size: int = 64,
) -> np.ndarray:
    """Features float32 [N, D] of uint8 images [N, H, W, C]."""

    def features(variables, inputs):
        x = normalize(inputs["image"].astype(jnp.float32) / 255)
        return {"features": penultimate(model, variables, x)[0]}

    variables = jax.device_put(variables)
    return in_pieces(partial(jax.jit(features), variables), {"image": images}, batch_size)[
        "features"
    ]


def cached(folder: Path, key: dict[str, Any], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `compute` makes, from the folder if it was made before.

    key: all that the array depends on, as JSON values.
    """
    name = hashlib.sha256(repr(sorted(key.items())).encode()).hexdigest()[:16]
    found = cache.load(folder / name, key)
    if found is not None:
        return found["features"]
    features = compute()
    with cache.building(folder / name) as fresh:
        np.save(fresh / "features.npy", features)
        cache.seal(fresh, key, ["features"])
    return features


def digest(tree: PyTree) -> str:
    """A hash of the names, shapes and bytes of a tree of arrays."""
    total = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        leaf = np.ascontiguousarray(leaf)
        total.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode())
        total.update(leaf)
    return total.hexdigest()


def nearest_class_mean(x: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The class [Q] whose mean feature vector is nearest, all vectors brought to length 1.

    x [N, D] and labels [N] are the examples, queries [Q, D]. (SimpleShot, Wang et al. 2019,
    arXiv:1911.04623, section 3, "L2N".)
    """

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)

    classes = np.unique(labels)
    means = np.stack([unit(x[labels == c]).mean(0) for c in classes])
    distances = (means**2).sum(-1) - 2 * unit(queries) @ means.T
    return classes[distances.argmin(-1)]


def logistic_regression(x: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The class [Q] by scikit-learn's multinomial logistic regression with its default penalty.

    Features are divided by their root mean square in x, all by the same number.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import, and not always used

    scale = float(np.sqrt(np.mean(x**2))) or 1.0
    return LogisticRegression(max_iter=1000).fit(x / scale, labels).predict(queries / scale)
