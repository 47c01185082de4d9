"""MobileNets: depthwise-separable convolutions (Howard et al. 2017, arXiv:1704.04861).

A 3x3 convolution is factorised into a depthwise one, over space in each channel alone, and a 1x1
one, over the channels: about a ninth of the operations.

MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) adds a 1x1 convolution before the depthwise one,
which expands the channels, and has no activation after the last one, which reduces them; the
shortcut connects the narrow ends.
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


V2 = (  # the paper's table 2
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3)),
    *((6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)),
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


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection: [B, H, W, C] to [B, H/stride, W/stride, width].

    The input is added where it has the same shape.
    """

    expansion: int
    width: int
    stride: int
    kernel: int
    conv: Callable
    norm: Callable
    activation: Callable

    @nn.compact
    def __call__(self, x: Array) -> Array:
        wide, y = x.shape[-1] * self.expansion, x
        if self.expansion > 1:
            y = self.conv(wide, (1, 1), name="expand")(y)
            y = self.activation(self.norm(name="expand_norm")(y))
        size, strides = (self.kernel, self.kernel), (self.stride, self.stride)
        y = self.conv(wide, size, strides=strides, feature_group_count=wide, name="depthwise")(y)
        y = self.activation(self.norm(name="depthwise_norm")(y))
        y = self.norm(name="project_norm")(self.conv(self.width, (1, 1), name="project")(y))
        return x + y if x.shape == y.shape else y


class MobileNetV2(nn.Module):
    """Images [B, H, W, C] to logits [B, classes] in float32.

    stages: (expansion, width, blocks, stride of the first, kernel). stem, head: channels before
    and after them. same_padding: TensorFlow's, with the odd pixel below and right, in place of
    kernel // 2 on all sides. With `pyramid` the result is not logits but the last map of each size,
    from the largest down, without the head (the backbone of a detector or of a segmentation
    network).
    """

    classes: int
    stages: Sequence[tuple[int, int, int, int, int]] = V2
    stem: int = 32
    head: int = 1280
    same_padding: bool = False
    epsilon: float = 1e-5
    pyramid: bool = False
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu6
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array | tuple[Array, ...]:
        norm = partial(
            self.norm,
            use_running_average=not train,
            momentum=0.9,
            epsilon=self.epsilon,
            dtype=self.dtype,
        )

        def conv(width: int, size: tuple[int, int], **settings) -> nn.Module:
            return self.conv(
                width,
                size,
                padding="SAME" if self.same_padding else size[0] // 2,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                **settings,
            )

        x = conv(self.stem, (3, 3), strides=(2, 2), name="stem")(x)
        x = self.activation(norm(name="stem_norm")(x))
        maps = []
        for stage, (expansion, width, blocks, stride, kernel) in enumerate(self.stages):
            if stride > 1:
                maps.append(x)
            for index in range(blocks):
                x = InvertedResidual(
                    expansion=expansion,
                    width=width,
                    stride=stride if index == 0 else 1,
                    kernel=kernel,
                    conv=conv,
                    norm=norm,
                    activation=self.activation,
                    name=f"stage{stage + 1}_block{index + 1}",
                )(x)
        if self.pyramid:
            return (*maps, x)
        x = self.activation(norm(name="head_norm")(conv(self.head, (1, 1), name="head")(x)))
        x = Dense(self.classes, dtype=self.dtype, name="classifier")(global_avg_pool(x))
        return x.astype(jnp.float32)
