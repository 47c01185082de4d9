"""A small network of convolutions and max-pooling for images or volumes of few training examples.

A stem, blocks of conv, max-pool, norm, GELU, conv, norm, GELU (the order of blocks in Jordan 2024,
arXiv:2404.00498, section 3: pooling comes first, which saves three quarters of the second
convolution, of volumes seven eighths), the mean and the largest of each map, dropout, a linear
layer.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.convolution3d import Conv3D
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import max_pool, max_pool3d


class PooledCNN(nn.Module):
    """Images [B, H, W, C] or volumes [B, D, H, W, C] to logits [B, classes] in float32.

    widths: channels of the blocks, each of which halves the sides. first: channels of the stem.
    stride: of the stem, whose kernel is 3 without one and twice the stride with one.
    """

    classes: int
    widths: Sequence[int] = (32, 64, 128)
    first: int = 16
    stride: int = 1
    dropout: float = 0.0
    norm: Callable = BatchNorm
    activation: Callable = nn.gelu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        volumes = x.ndim == 5
        conv, pool = (Conv3D, max_pool3d) if volumes else (Conv, max_pool)
        layer = partial(
            conv, use_bias=False, dtype=self.dtype, kernel_init=nn.initializers.he_normal()
        )
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        sides = x.ndim - 2
        size = 3 if self.stride == 1 else 2 * self.stride
        x = layer(self.first, (size,) * sides, strides=(self.stride,) * sides, name="stem")(x)
        x = self.activation(norm()(x))
        for width in self.widths:
            x = layer(width, (3,) * sides)(x)
            if min(x.shape[1:-1]) > 1:
                x = pool(x, 2)
            x = self.activation(norm()(x))
            x = self.activation(norm()(layer(width, (3,) * sides)(x)))
        axes = tuple(range(1, x.ndim - 1))
        x = jnp.concatenate([x.mean(axes), x.max(axes)], -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Dense(self.classes, dtype=self.dtype, name="classifier")(x).astype(jnp.float32)
