"""A small convolutional network from face images to embeddings on the unit sphere.

Stages of strided 3x3 convolutions with BatchNorm, as in dljax.nn.allconv; then, as in ArcFace's
option E (Deng et al. 2019, arXiv:1801.07698, section 3.2.2), BatchNorm, dropout, one dense layer
over all places of the last map and BatchNorm. Places are kept apart up to there, since a face's
parts have their places in an aligned image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.cnn.faces.losses import normalised
from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm


class FaceNet(nn.Module):
    """Images [B, H, W, C] to (embeddings [B, D], cosines [B, people]), both float32.

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
        x = norm(name="map_norm")(x).reshape(len(x), -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = Dense(self.features, use_bias=False, dtype=self.dtype, name="embedding")(x)
        x = normalised(norm(name="embedding_norm")(x).astype(jnp.float32))
        init = nn.initializers.normal(1.0)
        prototypes = self.param("prototypes", init, (self.people, self.features), jnp.float32)
        return x, x @ normalised(prototypes).T
