"""The residual networks of SNGAN (Miyato et al. 2018, arXiv:1802.05957, tables 3 and 4).

The generator doubles the image in each block (nearest neighbours), the discriminator halves it
(mean of 2x2) and is meant for spectrally normalised parameters (`spectral.py`).
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.gan.dcgan import canvas, projection_logits, with_label
from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import avg_pool
from dljax.nn.upsampling import nearest

glorot = nn.initializers.glorot_uniform()


class SNGANGenerator(nn.Module):
    """A dense layer to base x base pixels, a residual block for each doubling, 3x3 to the image.

    width: channels everywhere.
    """

    size: int
    channels: int
    width: int = 64
    classes: int = 0
    momentum: float = 0.9  # of the running statistics
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, train: bool = False) -> Array:
        average = {"use_running_average": not train, "momentum": self.momentum}
        norm = partial(BatchNorm, **average, dtype=self.dtype)
        conv = partial(Conv, dtype=self.dtype, kernel_init=glorot)
        board = canvas(self.size)
        z = with_label(z, label, self.classes)
        x = Dense(board.base**2 * self.width, dtype=self.dtype, kernel_init=glorot)(z)
        x = x.reshape(-1, board.base, board.base, self.width)
        for _ in range(board.doublings):
            y = nearest(nn.relu(norm()(x)))
            y = conv(self.width, (3, 3), use_bias=False)(y)
            y = conv(self.width, (3, 3))(nn.relu(norm()(y)))
            x = y + nearest(conv(self.width, (1, 1))(x))
        x = conv(self.channels, (3, 3))(nn.relu(norm()(x)))
        return jnp.tanh(board.crop(x, self.size).astype(jnp.float32))


class SNGANDiscriminator(nn.Module):
    """Residual blocks without normalisation, a halving in all but the last; the sum over pixels.

    hidden: units of a dense layer before the logit; 0: none (as in SNGAN).
    """

    size: int
    width: int = 64
    hidden: int = 0
    classes: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Array, label: Array, train: bool = False) -> Array:
        del train
        conv = partial(Conv, self.width, dtype=self.dtype, kernel_init=glorot)
        board = canvas(self.size)
        x = board.pad(images)
        for number in range(board.doublings + 1):
            halve = avg_pool if number < board.doublings else (lambda x: x)
            y = x if number == 0 else nn.relu(x)
            y = halve(conv((3, 3))(nn.relu(conv((3, 3))(y))))
            if number < board.doublings:
                x = conv((1, 1))(halve(x))
            x = x + y
        return projection_logits(
            nn.relu(x).sum((1, 2)), label, self.classes, self.hidden, self.dtype
        )
