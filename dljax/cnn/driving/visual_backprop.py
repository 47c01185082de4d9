"""VisualBackProp: which places of a picture a steering network looks at.

The maps of each convolution, after its ReLU, are averaged over the channels. From the last layer
on, the average is spread to the size of the one before by a transposed convolution of ones, with
the layer's own width and stride, and multiplied with it (Bojarski et al. 2016, arXiv:1611.05418,
section 3.1). It needs no gradient, so that it is quick enough for each picture of a drive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from dljax.cnn.driving.networks import ENCODER, Network, RecurrentSteeringNet
from dljax.nn.convolution import Conv


def feature_maps(model: Network, variables: Any, pictures: Array) -> list[Array]:
    """What each convolution of the network makes of pictures [B, H, W, 3] in 0..1, after its ReLU.

    The first layer first, [B, h, w, C] each.
    """
    recurrent = isinstance(model, RecurrentSteeringNet)
    _, found = model.apply(
        variables,
        pictures[None] if recurrent else pictures,
        capture_intermediates=lambda module, _: isinstance(module, Conv),
        mutable=["intermediates"],
    )
    kept = found["intermediates"]
    kept = kept[ENCODER] if recurrent else kept
    return [nn.relu(kept[f"Conv_{i}"]["__call__"][0]) for i in range(len(model.layers))]


def masks(
    maps: Sequence[Array], layers: Sequence[tuple[int, int, int]], size: tuple[int, int]
) -> Array:
    """Where a network looks in pictures of this (height, width): float32 [B, H, W] in 0..1.

    maps: of `feature_maps`. layers: (channels, width, stride) of each, as of the `SteeringNet`. The
    least place of a picture is 0 and the largest 1; all are 0 where no place stands out.
    """
    averages = [x.astype(jnp.float32).mean(-1) for x in maps]
    sizes = [size, *(x.shape[1:] for x in averages[:-1])]
    mask = jnp.ones_like(averages[-1])
    for average, (_, width, stride), below in zip(
        reversed(averages), reversed(layers), reversed(sizes), strict=True
    ):
        mask = spread(_scaled(average) * mask, width, stride, below)
    low = mask.min((1, 2), keepdims=True)
    return _scaled(mask - low)


def spread(mask: Array, width: int, stride: int, size: tuple[int, int]) -> Array:
    """The transposed convolution of [B, h, w] with width x width ones, to [B, *size].

    Rows and columns at the end that the convolution did not reach become 0.
    """
    edge = (width - 1, width - 1)
    out = lax.reduce_window(
        mask, 0.0, lax.add, (1, width, width), (1, 1, 1), ((0, 0), edge, edge),
        base_dilation=(1, stride, stride),
    )  # fmt: skip
    rest = [(0, a - b) for a, b in zip(size, out.shape[1:], strict=True)]
    return jnp.pad(out, ((0, 0), *rest))


def _scaled(x: Array) -> Array:
    """Each of [B, H, W] with a largest value of 1, which keeps products of many layers in range."""
    return x / jnp.maximum(x.max((1, 2), keepdims=True), 1e-12)
