"""A modern minimal pair of networks: R3GAN (Huang et al. 2024, arXiv:2501.05441, section 4).

No normalisation, no noise, no style: residual blocks of 1x1, 3x3 and 1x1 convolutions with leaky
ReLU whose last layer starts at zero, and bilinear resampling between the sizes. What keeps it
stable is the loss, relativistic with R1 and R2.

Departures: narrower; a dense layer, or two, to and from the smallest image, where R3GAN weights
learned images; the 3x3 convolutions dense unless `groups` says otherwise; and the mean over 2x2
pixels (which bilinear sampling at half the size is) to halve an image.
"""

import math
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.gan.dcgan import GAIN, canvas, he, leaky, projection_logits, with_label
from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.pooling import avg_pool
from dljax.nn.upsampling import bilinear

linear = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class Block(nn.Module):
    """x + 1x1(leaky(3x3(leaky(1x1(x))))), the middle `expansion` times as wide: [B, H, W, C]."""

    expansion: int
    groups: int
    scale: float  # of the first two kernels, for the depth (Zhang et al. 2019, arXiv:1901.09321)
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width, inner = x.shape[-1], self.expansion * x.shape[-1]
        init = nn.initializers.variance_scaling(GAIN * self.scale**2, "fan_in", "normal")
        conv = partial(Conv, dtype=self.dtype)
        y = leaky(conv(inner, (1, 1), kernel_init=init)(x))
        y = leaky(conv(inner, (3, 3), feature_group_count=self.groups, kernel_init=init)(y))
        return x + conv(width, (1, 1), use_bias=False, kernel_init=nn.initializers.zeros)(y)


class R3GANGenerator(nn.Module):
    """A dense layer, then blocks and doublings, then 1x1 to the image.

    width: channels of the largest blocks, doubled with each halving, `widest` at most. halved:
    these blocks work at half the size, on squares of 2x2 pixels, in a third of the time. hidden:
    units of a dense layer after the latent; 0: none.
    """

    size: int
    channels: int
    width: int = 16
    widest: int = 64
    blocks: int = 1
    expansion: int = 1
    halved: bool = False
    hidden: int = 0
    groups: int = 1
    classes: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, train: bool = False) -> Array:
        del train
        board = canvas(self.size)
        widths = _widths(self, board.doublings)[::-1]
        scale = (self.blocks * len(widths)) ** -0.25
        first = (board.base, board.base, widths[0])
        dense = Dense(math.prod(first), dtype=self.dtype, kernel_init=linear)
        z = with_label(z, label, self.classes)
        if self.hidden:
            z = leaky(Dense(self.hidden, dtype=self.dtype, kernel_init=he)(z))
        x = dense(z).reshape(-1, *first)
        for number, width in enumerate(widths):
            if number:
                x = bilinear(_to(width, x, self.dtype))
            for _ in range(self.blocks):
                x = Block(self.expansion, self.groups, scale, self.dtype)(x)
        side = 2 if self.halved else 1
        x = Conv(self.channels * side**2, (1, 1), dtype=self.dtype, kernel_init=linear)(x)
        x = from_patches(x, side)
        return board.crop(x, self.size).astype(jnp.float32)


class R3GANDiscriminator(nn.Module):
    """The generator reversed: 1x1 from the image, blocks and halvings, a dense layer.

    hidden: units of a dense layer before the logit; 0: none.
    """

    size: int
    width: int = 16
    widest: int = 64
    blocks: int = 1
    expansion: int = 1
    halved: bool = False
    hidden: int = 0
    groups: int = 1
    classes: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Array, label: Array, train: bool = False) -> Array:
        del train
        board = canvas(self.size)
        widths = _widths(self, board.doublings)
        scale = (self.blocks * len(widths)) ** -0.25
        x = to_patches(board.pad(images), 2 if self.halved else 1)
        x = _to(self.width, x, self.dtype)
        for number, width in enumerate(widths):
            if number:
                x = _to(width, avg_pool(x), self.dtype)
            for _ in range(self.blocks):
                x = Block(self.expansion, self.groups, scale, self.dtype)(x)
        return projection_logits(x, label, self.classes, self.hidden, self.dtype)


def _widths(module: nn.Module, doublings: int) -> list[int]:
    """Channels from the largest blocks to the smallest."""
    stages = doublings if module.halved else doublings + 1
    return [min(module.width << i, module.widest) for i in range(stages)]


def to_patches(x: Array, side: int) -> Array:
    """Squares of side x side pixels as one pixel: [B, H, W, C] to [B, H/side, W/side, side^2 C]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // side, w // side, -1)


def from_patches(x: Array, side: int) -> Array:
    """The inverse of `to_patches`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, side, side, c // side**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * side, w * side, -1)


def _to(width: int, x: Array, dtype: Any) -> Array:
    """A linear 1x1 convolution where the number of channels changes."""
    if x.shape[-1] == width:
        return x
    return Conv(width, (1, 1), use_bias=False, dtype=dtype, kernel_init=linear)(x)
