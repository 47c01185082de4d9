"""Networks from face images, or from features of them, to embeddings on the unit sphere.

`FaceNet` is a small convolutional network: stages of strided 3x3 convolutions with BatchNorm, as in
dljax.nn.allconv; then, as in ArcFace's option E (Deng et al. 2019, arXiv:1801.07698, section
3.2.2), BatchNorm, dropout, one dense layer over all places of the last map and BatchNorm. Places
are kept apart up to there, since a face's parts have their places in an aligned image.

`Whitened` starts from the features of a pretrained network: their principal components of equal
variance, which it changes by a linear layer that begins at zero. So it is as good as those before
the first step, and few people do not spoil them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.cnn.faces.losses import normalised
from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm
from dljax.nn.parameters import param

FLOOR = 0.1  # added to the variance of each component, of their mean variance


class FaceNet(nn.Module):
    """Images [B, H, W, C] to (embeddings [B, features], cosines [B, people]), both float32.

    Embeddings have length 1; cosines are those with a learned prototype of each training person.
    Each width halves the image once. people: 0 where the loss needs no prototypes.
    """

    people: int
    features: int = 128
    widths: Sequence[int] = (32, 64, 128)
    dropout: float = 0.3
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Array]:
        norm = partial(BatchNorm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        conv = partial(
            Conv,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal(),
        )
        for stage, width in enumerate(self.widths, 1):
            for part, stride in enumerate((2, 1) if stage > 1 else (2,), 1):
                x = conv(width, (3, 3), strides=stride, name=f"stage{stage}_conv{part}")(x)
                x = nn.relu(norm(name=f"stage{stage}_norm{part}")(x))
        x = norm(use_bias=False, name="map_norm")(x)  # a bias would vanish in embedding_norm
        x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = Dense(self.features, use_bias=False, dtype=self.dtype, name="embedding")(x)
        x = normalised(norm(name="embedding_norm")(x).astype(jnp.float32))
        return x, x @ normalised(_prototypes(self, self.people, self.features)).T


class Whitened(nn.Module):
    """Features [B, D] to (embeddings [B, features], cosines [B, people]), as `FaceNet`.

    The collection "whitening" holds what `whitening` found; it is not trained.
    """

    people: int
    features: int
    dropout: float = 0.3
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Array]:
        width = x.shape[-1]
        mean = self.variable("whitening", "mean", jnp.zeros, (width,), jnp.float32)
        shape = width, self.features
        components = self.variable("whitening", "components", jnp.zeros, shape, jnp.float32)
        offset = self.variable("whitening", "offset", jnp.zeros, shape[1:], jnp.float32)
        x = normalised(x.astype(jnp.float32) - mean.value) @ components.value - offset.value
        x = normalised(x) * self.features**0.5
        y = nn.Dropout(self.dropout, deterministic=not train)(x)
        change = Dense(
            self.features,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=nn.initializers.zeros,
            name="change",
        )
        x = normalised(x + change(y).astype(jnp.float32))
        return x, x @ normalised(_prototypes(self, self.people, self.features)).T


def _prototypes(module: nn.Module, people: int, features: int) -> Array:
    """[people, features]; without people no parameter, which can't be saved."""
    if not people:
        return jnp.zeros((0, features))
    return param(module, "prototypes", nn.initializers.normal(1.0), (people, features))


def whitening(x: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """{"mean": [D], "components": [D, components], "offset": [components]} of features [N, D].

    The principal components of the features less their mean and brought to length 1, each divided
    by its deviation, to whose square a share FLOOR of the mean variance is added.
    """
    from sklearn.decomposition import PCA

    mean = x.mean(0)
    centred = x - mean
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    found = PCA(components, svd_solver="full").fit(centred.astype(np.float64))
    variance = found.explained_variance_
    scale = np.sqrt(np.maximum(variance + FLOOR * variance.mean(), 1e-12))
    directions = (found.components_ / scale[:, None]).T
    values = {"mean": mean, "components": directions, "offset": found.mean_ @ directions}
    return {name: value.astype(np.float32) for name, value in values.items()}
