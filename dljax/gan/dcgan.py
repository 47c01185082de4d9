"""What all generators and discriminators share, and DCGAN (Radford et al. 2016, arXiv:1511.06434).

A generator takes (z [B, latent], label int32 [B], train) to images [B, size, size, channels] in
about -1..1; a discriminator takes (images, label, train) to logits [B]. With `classes` = 0 they are
unconditional and `label` is ignored. Any size from 8 on: a network works on a canvas of base 2^n
pixels a side, 2 <= base <= 7 and n >= 2, that generators crop and discriminators pad.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm
from dljax.nn.upsampling import ConvTranspose

normal = nn.initializers.normal(0.02)
leaky = partial(nn.leaky_relu, negative_slope=0.2)
GAIN = 2 / (1 + 0.2**2)  # of variance, after that (He et al. 2015, section 2.2)
he = nn.initializers.variance_scaling(GAIN, "fan_in", "normal")


class Canvas(NamedTuple):
    """A square of base 2^doublings pixels a side, not smaller than an image."""

    base: int
    doublings: int

    def pad(self, images: Array) -> Array:
        """Images [B, H, W, C] in the middle of the canvas, their edges continued."""
        rest = (self.base << self.doublings) - images.shape[1]
        if not rest:
            return images
        sides = (rest // 2, rest - rest // 2)
        return jnp.pad(images, ((0, 0), sides, sides, (0, 0)), mode="edge")

    def crop(self, x: Array, size: int) -> Array:
        """The inverse of `pad`, to images of `size` pixels a side."""
        low = ((self.base << self.doublings) - size) // 2
        return x[:, low : low + size, low : low + size]


def canvas(size: int) -> Canvas:
    """The smallest canvas of an image of `size` pixels a side; ValueError below 8."""
    if size < 8:
        raise ValueError(f"images of {size} pixels a side are too small for a GAN: 8 or more")
    doublings = max((size // 4).bit_length() - 1, 2)
    return Canvas(-(-size // 2**doublings), doublings)


def with_label(z: Array, label: Array, classes: int, width: int = 32) -> Array:
    """The latent and an embedding of its class: [B, latent + width]; z alone if unconditional."""
    if not classes:
        return z
    return jnp.concatenate([z, nn.Embed(classes, width, name="label")(label)], -1)


def projection_logits(
    x: Array, label: Array, classes: int, hidden: int = 0, dtype: Any = None
) -> Array:
    """Logits [B] of features [B, ...]: linear, plus their product with a learned vector of a class.

    The projection discriminator (Miyato and Koyama 2018, arXiv:1802.05637, equation 4). hidden:
    units of a dense layer before that (as in InfoGAN, Chen et al. 2016, arXiv:1606.03657, C.1);
    0: none. Without it, a network whose last features depend on a part of the image each has a
    logit that is a sum over parts.
    """
    features = x.reshape(len(x), -1)
    if hidden:
        features = leaky(Dense(hidden, dtype=dtype, kernel_init=he, name="hidden")(features))
    logits = Dense(1, name="output")(features)[:, 0]
    if classes:
        embed = nn.Embed(classes, features.shape[-1], name="label", embedding_init=normal)
        logits += (embed(label) * features).sum(-1)
    return logits.astype(jnp.float32)


class DCGANGenerator(nn.Module):
    """Transposed 4x4 convolutions of stride 2 with BatchNorm and ReLU between, tanh at the end.

    width: channels of the largest layer, doubled with each halving, `widest` at most.
    """

    size: int
    channels: int
    width: int = 32
    widest: int = 256
    classes: int = 0
    norm: Callable = BatchNorm
    momentum: float = 0.9  # of the running statistics
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, train: bool = False) -> Array:
        average = {"use_running_average": not train, "momentum": self.momentum}
        norm = partial(self.norm, **average, dtype=self.dtype)
        board = canvas(self.size)
        widths = [min(self.width << i, self.widest) for i in range(board.doublings)][::-1]
        z = with_label(z, label, self.classes)
        side, first = board.base, widths[0]
        x = Dense(side * side * first, use_bias=False, dtype=self.dtype, kernel_init=normal)(z)
        x = nn.relu(norm()(x.reshape(-1, side, side, first)))
        for width in widths[1:]:
            x = ConvTranspose(width, use_bias=False, dtype=self.dtype, kernel_init=normal)(x)
            x = nn.relu(norm()(x))
        x = ConvTranspose(self.channels, dtype=self.dtype, kernel_init=normal)(x)
        return jnp.tanh(board.crop(x, self.size).astype(jnp.float32))


class DCGANDiscriminator(nn.Module):
    """4x4 convolutions of stride 2 with leaky ReLU; BatchNorm behind all but the first.

    hidden: units of a dense layer before the logit; 0: none (as in DCGAN).
    """

    size: int
    width: int = 32
    widest: int = 256
    hidden: int = 0
    classes: int = 0
    conv: Callable = Conv
    norm: Callable | None = BatchNorm
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Array, label: Array, train: bool = False) -> Array:
        x = self.features(images, train)
        return projection_logits(x, label, self.classes, self.hidden, self.dtype)

    def features(self, images: Array, train: bool) -> Array:
        """The last features [B, h, w, D]; within a compact method."""
        board = canvas(self.size)
        x = board.pad(images)
        for i in range(board.doublings):
            normed = self.norm is not None and i > 0
            x = self.conv(
                min(self.width << i, self.widest),
                (4, 4),
                strides=2,
                padding=1,
                use_bias=not normed,
                dtype=self.dtype,
                kernel_init=normal,
            )(x)
            if normed:
                norm = partial(self.norm, momentum=0.9, dtype=self.dtype)
                x = norm(use_running_average=not train)(x)
            x = leaky(x)
        return x
