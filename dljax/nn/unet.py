"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597): an answer for every pixel.

The way down halves the image and doubles the channels; the way up doubles the image again and puts
beside it what the way down saw at that size.

Departures: convolutions pad, so that the answer has the size of the image, and are followed by
BatchNorm, hence have no biases.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import max_pool


class UNet(nn.Module):
    """Images [B, H, W, C] to logits [B, H, W, classes] in float32.

    widths: channels at each size, from the whole image down; H and W must be multiples of
    2 ** (len(widths) - 1), else ValueError.
    """

    classes: int
    widths: Sequence[int] = (64, 128, 256, 512, 1024)
    conv: Callable = Conv
    pool: Callable = max_pool
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        multiple = 2 ** (len(self.widths) - 1)
        if x.shape[1] % multiple or x.shape[2] % multiple:
            raise ValueError(
                f"a U-Net of {len(self.widths)} sizes needs images whose height and width are "
                f"multiples of {multiple}, not {x.shape[1]}x{x.shape[2]}: pad or resize them"
            )
        conv = partial(self.conv, use_bias=False, dtype=self.dtype)
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def double(x, width):
            for _ in range(2):
                x = conv(width, (3, 3), padding=1, kernel_init=nn.initializers.he_normal())(x)
                x = self.activation(norm()(x))
            return x

        skips = []
        for width in self.widths[:-1]:
            x = double(x, width)
            skips.append(x)
            x = self.pool(x, (2, 2), strides=(2, 2))
        x = double(x, self.widths[-1])
        for width, beside in zip(self.widths[-2::-1], skips[::-1], strict=True):
            x = jnp.concatenate([beside, UpConv(width, dtype=self.dtype)(x)], axis=-1)
            x = double(x, width)
        x = self.conv(self.classes, (1, 1), dtype=self.dtype, name="classifier")(x)
        return x.astype(jnp.float32)


class UpConv(nn.Module):
    """A transposed 2x2 convolution of stride 2: [B, H, W, C] to [B, 2 H, 2 W, features].

    Its windows do not overlap, so it is a dense layer whose outputs are laid out as 2x2 pixels. It
    has no bias: a BatchNorm follows soon.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, height, width, _ = x.shape
        x = Dense(4 * self.features, use_bias=False, dtype=self.dtype)(x)
        x = x.reshape(batch, height, width, 2, 2, self.features)
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.features)
