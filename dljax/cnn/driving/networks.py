"""From a picture of the road to steering: DAVE-2 and a smaller network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense

DAVE2 = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))
SMALL = ((16, 5, 2), (32, 3, 2), (64, 3, 2))
LAYERS = {"small": SMALL, "dave2": DAVE2}


class SteeringNet(nn.Module):
    """Pictures [B, H, W, 3] of colours in 0..1 to steering [B], nominally -1 to 1.

    layers: (channels, width, stride) of each convolution, without padding; hidden: units of the
    dense layers after them. outputs: numbers of each answer [B, outputs], such as logits; 0 for
    steering. dropout: share of what each of the dense layers reads that is dropped in training. The
    defaults are DAVE-2 (Bojarski et al. 2016, arXiv:1604.07316, figure 4), which normalises its
    input by a fixed layer, and whose steering is 1 / radius; here it is that of the wheel.
    ValueError for pictures that are too small for the convolutions.
    """

    layers: Sequence[tuple[int, int, int]] = DAVE2
    hidden: Sequence[int] = (100, 50, 10)
    dtype: Any = None
    outputs: int = 0
    dropout: float = 0.0

    @nn.compact
    def __call__(self, pictures: Array, train: bool = False) -> Array:
        x = 2 * pictures - 1
        for channels, width, stride in self.layers:
            if min(x.shape[1:3]) < width:
                raise ValueError(
                    f"pictures of {pictures.shape[1]}x{pictures.shape[2]} are too small for a "
                    f"network of {len(self.layers)} convolutions"
                )
            x = Conv(channels, (width, width), stride, padding="VALID", dtype=self.dtype)(x)
            x = nn.relu(x)
        x = x.reshape(x.shape[0], -1)
        for units in self.hidden:
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = nn.relu(Dense(units, dtype=self.dtype)(x))
        x = Dense(self.outputs or 1, dtype=self.dtype, name="steering")(x).astype(jnp.float32)
        return x if self.outputs else x[:, 0]
