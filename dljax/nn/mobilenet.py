"""MobileNet: depthwise-separable convolutions (Howard et al. 2017, arXiv:1704.04861).

A 3x3 convolution is taken apart into a depthwise one, which looks at the neighbours of each channel
alone, and a 1x1 one, which mixes the channels: about a ninth of the work.
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
from dljax.nn.pooling import global_avg_pool

PUBLISHED = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


class MobileNet(nn.Module):
    """Images [B, H, W, C] to logits [B, classes] in float32.

    blocks: (width, stride) of each depthwise-separable block, the paper's table 1 by default.
    `small_images` leaves the stem at stride 1 (CIFAR); `stem` is its width.
    """

    classes: int
    blocks: Sequence[tuple[int, int]] = PUBLISHED
    stem: int = 32
    small_images: bool = False
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def layer(x, width, size, stride=1, groups=1):
            x = self.conv(
                width,
                (size, size),
                strides=(stride, stride),
                padding=size // 2,
                feature_group_count=groups,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
            )(x)
            return self.activation(norm()(x))

        x = layer(x, self.stem, 3, stride=1 if self.small_images else 2)
        for width, stride in self.blocks:
            x = layer(x, x.shape[-1], 3, stride, groups=x.shape[-1])
            x = layer(x, width, 1)
        x = Dense(self.classes, dtype=self.dtype, name="classifier")(global_avg_pool(x))
        return x.astype(jnp.float32)
