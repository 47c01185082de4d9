"""A small all-convolutional net (Springenberg et al. 2015, arXiv:1412.6806, All-CNN-C).

Strided convolutions take the place of pooling, 1x1 convolutions that of dense layers, and the mean
over the image gives the logits.

Departures: BatchNorm after each convolution but the last, hence no biases there; all 3x3
convolutions pad; dropout is off unless `dropout` says otherwise (the paper: half, and a fifth on
the image).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import global_avg_pool


class AllConv(nn.Module):
    """Images [B, H, W, C] to logits [B, classes] in float32; each width halves the image once."""

    classes: int
    widths: Sequence[int] = (96, 192)
    dropout: float = 0.0
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def layer(x, width, size, stride=1):
            x = self.conv(
                width,
                (size, size),
                strides=(stride, stride),
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
            )(x)
            return self.activation(norm()(x))

        for width in self.widths:
            x = layer(x, width, 3)
            x = layer(x, width, 3)
            x = layer(x, width, 3, stride=2)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = layer(x, self.widths[-1], 3)
        x = layer(x, self.widths[-1], 1)
        x = self.conv(self.classes, (1, 1), dtype=self.dtype, name="classifier")(x)
        return global_avg_pool(x).astype(jnp.float32)
