"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition", II.B).

Departures: ReLU and max-pooling in place of scaled tanh and trainable subsampling; the second
convolution sees all six maps instead of a hand-made subset; the first pads 28x28 images, where the
paper's have frames of 32x32; a linear layer takes the place of the Gaussian outputs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.pooling import max_pool


class LeNet(nn.Module):
    """Images [B, H, W, C], 12x12 or larger, to logits [B, classes] in float32.

    `padding` is the second convolution's: with 'SAME' images may be as small as 4x4.
    """

    classes: int
    widths: Sequence[int] = (6, 16)
    hidden: Sequence[int] = (120, 84)
    padding: str = "VALID"
    conv: Callable = Conv
    pool: Callable = max_pool
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        for width, padding in zip(self.widths, ("SAME", self.padding), strict=True):
            x = self.conv(width, (5, 5), padding=padding, dtype=self.dtype)(x)
            x = self.pool(self.activation(x), (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        for width in self.hidden:
            x = self.activation(Dense(width, dtype=self.dtype)(x))
        return Dense(self.classes, dtype=self.dtype, name="classifier")(x).astype(jnp.float32)
