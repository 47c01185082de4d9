"""Residual networks (He et al. 2016, arXiv:1512.03385; pre-activation: arXiv:1603.05027).

A network is a stem, stages of equal blocks, and a linear classifier on the mean over the image.
From the second stage on, the first block of a stage halves the image. `resnet18(classes)` and its
relatives are the published ones; `ResNet(...)` takes any stage sizes, widths and layers.

Departures: a shortcut that changes shape is a 1x1 convolution in all of them, CIFAR's included
(option B of the paper); the bottleneck strides in its 3x3 convolution, as in torchvision; the last
BatchNorm of a block starts at zero, so that a block starts as the identity (Goyal et al. 2017,
arXiv:1706.02677; not with pre-activation).
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
from dljax.nn.pooling import global_avg_pool, max_pool

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [B, H, W, C] to [B, H/stride, W/stride, width]."""

    width: int
    stride: int
    conv: Callable
    norm: Callable
    activation: Callable
    preactivation: bool
    expansion = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        layers = [(3, self.width, self.stride), (3, self.width, 1)]
        return _residual(self, x, layers)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 beside a shortcut: [B, H, W, C] to [B, H/stride, W/stride, 4 width]."""

    width: int
    stride: int
    conv: Callable
    norm: Callable
    activation: Callable
    preactivation: bool
    expansion = 4

    @nn.compact
    def __call__(self, x: Array) -> Array:
        wide = self.width * self.expansion
        layers = [(1, self.width, 1), (3, self.width, self.stride), (1, wide, 1)]
        return _residual(self, x, layers)


def _residual(block: nn.Module, x: Array, layers: Sequence) -> Array:
    """Shortcut plus conv-norm-activation layers, activated after the sum or before each layer."""
    out = layers[-1][1]
    shortcut = x
    y = x
    if block.preactivation:
        y = block.activation(block.norm()(y))
    if x.shape[-1] != out or block.stride != 1:
        strides = (block.stride, block.stride)
        shortcut = block.conv(out, (1, 1), strides=strides, name="shortcut")(
            y if block.preactivation else x
        )
        if not block.preactivation:
            shortcut = block.norm(name="shortcut_norm")(shortcut)
    for index, (size, width, stride) in enumerate(layers):
        last = index == len(layers) - 1
        y = block.conv(width, (size, size), strides=(stride, stride), padding=size // 2)(y)
        if block.preactivation:
            y = y if last else block.activation(block.norm()(y))
        else:
            scale = nn.initializers.zeros if last else nn.initializers.ones
            y = block.norm(scale_init=scale)(y)
            y = y if last else block.activation(y)
    return shortcut + y if block.preactivation else block.activation(shortcut + y)


class ResNet(nn.Module):
    """Images [B, H, W, C] to logits [B, classes] in float32.

    `small_images` takes a 3x3 stem without pooling (CIFAR) in place of ImageNet's 7x7 stride 2 and
    3x3 max-pool, which `pool=False` leaves out; `widths` defaults to 64, 128, ... doubling. With
    `pyramid` the result is not logits but the last map of each size, from the largest down (the
    backbone of a detector or of a segmentation network).
    """

    classes: int
    stage_sizes: Sequence[int]
    widths: Sequence[int] | None = None
    block: Callable = BasicBlock
    small_images: bool = True
    preactivation: bool = False
    pyramid: bool = False
    pool: bool = True
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array | tuple[Array, ...]:
        widths = self.widths or [64 * 2**stage for stage in range(len(self.stage_sizes))]
        if len(widths) != len(self.stage_sizes):
            raise ValueError(f"{len(self.stage_sizes)} stages need as many widths, got {widths}")
        conv = partial(self.conv, use_bias=False, dtype=self.dtype, kernel_init=he_normal)
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        if self.small_images:
            x = conv(widths[0], (3, 3), name="stem")(x)
        else:
            x = conv(widths[0], (7, 7), strides=(2, 2), padding=3, name="stem")(x)
        if not self.preactivation:
            x = self.activation(norm(name="stem_norm")(x))
        pooled = self.pool and not self.small_images
        maps = [x] if pooled else []
        if pooled:
            x = max_pool(x, (3, 3), strides=(2, 2), padding=1)
        for stage, (blocks, width) in enumerate(zip(self.stage_sizes, widths, strict=True)):
            for index in range(blocks):
                x = self.block(
                    width=width,
                    stride=2 if stage > 0 and index == 0 else 1,
                    conv=conv,
                    norm=norm,
                    activation=self.activation,
                    preactivation=self.preactivation,
                    name=f"stage{stage + 1}_block{index + 1}",
                )(x)
            maps.append(x)
        if self.preactivation:
            x = maps[-1] = self.activation(norm(name="final_norm")(x))
        if self.pyramid:
            return tuple(maps)
        x = Dense(self.classes, dtype=self.dtype, name="classifier")(global_avg_pool(x))
        return x.astype(jnp.float32)


resnet18 = partial(ResNet, stage_sizes=(2, 2, 2, 2))
resnet34 = partial(ResNet, stage_sizes=(3, 4, 6, 3))
resnet50 = partial(ResNet, stage_sizes=(3, 4, 6, 3), block=Bottleneck, small_images=False)
resnet101 = partial(ResNet, stage_sizes=(3, 4, 23, 3), block=Bottleneck, small_images=False)


def _cifar(depth: int) -> Callable[..., ResNet]:
    """The paper's section 4.2: 6 n + 2 layers of widths 16, 32, 64."""
    return partial(ResNet, stage_sizes=((depth - 2) // 6,) * 3, widths=(16, 32, 64))


resnet20 = _cifar(20)
resnet32 = _cifar(32)
resnet56 = _cifar(56)
