"""Atrous spatial pyramid pooling (Chen et al. 2017, arXiv:1706.05587, section 3.3).

The same map is seen by convolutions of several dilations and by its mean over the image, side by
side; a 1x1 convolution joins them. So each place knows its surroundings at several scales.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.normalization import BatchNorm


class ASPP(nn.Module):
    """[B, H, W, C] to [B, H, W, width].

    rates: dilations of the 3x3 convolutions, beside a 1x1 one and the mean over the image.
    """

    width: int = 128
    rates: Sequence[int] = (2, 4, 6)
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def layer(x: Array, size: int, rate: int = 1) -> Array:
            x = self.conv(
                self.width,
                (size, size),
                padding=rate * (size // 2),
                kernel_dilation=(rate, rate),
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
            )(x)
            return self.activation(norm()(x))

        branches = [layer(x, 1), *(layer(x, 3, rate) for rate in self.rates)]
        whole = layer(x.mean((1, 2), keepdims=True), 1)
        branches.append(jnp.broadcast_to(whole, branches[0].shape))
        return layer(jnp.concatenate(branches, -1), 1)
