"""A segmentation network on a backbone: its maps are joined again, from the smallest up.

The decoder is U-Net's (Ronneberger et al. 2015) over the maps of a classifier's network (`ResNet`,
`MobileNetV2`, EfficientNet-Lite with `pyramid=True`), whose weights may be pretrained; the scores
of all its maps are added. With `aspp` the smallest map first goes through atrous spatial pyramid
pooling, as in DeepLabv3+ (Chen et al. 2018, arXiv:1802.02611).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.aspp import ASPP
from dljax.nn.convolution import Conv
from dljax.nn.normalization import BatchNorm

ENCODER = "encoder"  # where a backbone's variables lie among the network's


class EncoderDecoder(nn.Module):
    """Images [B, H, W, C] of any size to logits [B, H, W, classes] in float32.

    encoder: a module (x, train) -> maps, each half as large as the one before. widths: channels of
    the decoder at each map but the smallest, from the second smallest up; as many as there are of
    these maps, or fewer (the larger maps are then left out). aspp: dilations, () for none.
    """

    classes: int
    encoder: Callable[..., nn.Module]
    widths: Sequence[int] = (128, 64, 32, 16)
    aspp: Sequence[int] = ()
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        size = x.shape[1:3]
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def layer(x: Array, width: int) -> Array:
            x = self.conv(
                width,
                (3, 3),
                padding=1,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
            )(x)
            return self.activation(norm()(x))

        *larger, x = self.encoder(name=ENCODER, dtype=self.dtype)(x, train)
        if self.aspp:
            x = ASPP(self.widths[0], self.aspp, self.conv, self.norm, self.activation, self.dtype)(
                x, train
            )
        maps = [x]
        for width, beside in zip(self.widths, larger[::-1], strict=False):
            x = jnp.concatenate([resized(x, beside.shape[1:3]), beside], -1)
            x = layer(layer(x, width), width)
            maps.append(x)
        return SummedScores(self.classes, self.conv, self.dtype, name="head")(maps, size)


class SummedScores(nn.Module):
    """Logits [B, *size, classes] in float32 of maps [B, H, W, C], each larger than the one before.

    Each map has scores, which are enlarged and added up, as in FCN-8s (Long et al. 2015,
    arXiv:1411.4038, section 4): the small ones may say what is there, and the last one where it
    ends. A place of the last map answers for each pixel that lies in it (Shi et al. 2016,
    arXiv:1609.05158).
    """

    classes: int
    conv: Callable = Conv
    dtype: Any = None

    @nn.compact
    def __call__(self, maps: Sequence[Array], size: tuple[int, int]) -> Array:
        def scores(x: Array, pixels: int) -> Array:
            x = self.conv(self.classes * pixels**2, (1, 1), dtype=self.dtype)(x)
            return x.astype(jnp.float32)

        *smaller, last = maps
        pixels = 1 << (-(-size[0] // last.shape[1]) - 1).bit_length()  # along a side of a place
        below = [scores(x, 1) for x in smaller]
        total = subpixels(scores(last, pixels), pixels, size)
        if not below:
            return total
        added = below[0]
        for score in below[1:]:
            added = score + resized(added, score.shape[1:3])
        return total + resized(added, size)


def subpixels(x: Array, times: int, size: tuple[int, int]) -> Array:
    """[B, H, W, times^2 C] to [B, times H, times W, C], cut at the end to at most `size`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, times, times, channels // times**2)
    x = jnp.swapaxes(x, 2, 3).reshape(batch, height * times, width * times, -1)
    return x[:, : size[0], : size[1]]


def resized(x: Array, size: tuple[int, int]) -> Array:
    """[B, H, W, C] to another height and width by bilinear interpolation, edges repeated."""
    if x.shape[1:3] == tuple(size):
        return x
    return jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), "bilinear", antialias=False)
