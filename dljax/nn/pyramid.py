"""Feature pyramids: the maps of a backbone, each with what the others hold.

FPN (Lin et al. 2017, arXiv:1612.03144) adds the smaller maps, doubled, to the larger ones; PAN (Liu
et al. 2018, arXiv:1803.01534, section 3.1) then goes back down, adding the larger maps, halved, to
the smaller ones.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.encoder_decoder import resized
from dljax.nn.normalization import BatchNorm


class PAN(nn.Module):
    """Maps [B, H, W, C], each half as large as the one before, to as many of `width` channels.

    down: whether the way back down is there (PAN); without it this is an FPN. extra: further maps
    after the smallest, each half as large again.
    """

    width: int = 96
    down: bool = True
    extra: int = 0
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, maps: Sequence[Array], train: bool = False) -> tuple[Array, ...]:
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def layer(x: Array, size: int, stride: int = 1) -> Array:
            x = self.conv(
                self.width,
                (size, size),
                strides=(stride, stride),
                padding=size // 2,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
            )(x)
            return self.activation(norm()(x))

        maps = [layer(x, 1) for x in maps]
        for index in range(len(maps) - 2, -1, -1):
            above = resized(maps[index + 1], maps[index].shape[1:3])
            maps[index] = layer(maps[index] + above, 3)
        if self.down:
            for index in range(1, len(maps)):
                maps[index] = layer(maps[index] + layer(maps[index - 1], 3, 2), 3)
        for _ in range(self.extra):
            maps.append(layer(maps[-1], 3, 2))
        return tuple(maps)
