"""From pictures of the road to steering: DAVE-2, a smaller network, and one with a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.recurrent.layers import GRU

DAVE2 = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))
SMALL = ((16, 5, 2), (32, 3, 2), (64, 3, 2))
LAYERS = {"small": SMALL, "dave2": DAVE2}
ENCODER = "encoder"


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


class RecurrentSteeringNet(nn.Module):
    """Pictures [B, T, H, W, 3] and a memory [B, units] to the memory after them, steering [B, T].

    A SteeringNet makes `units` features of each picture, which a GRU follows over time: it still
    knows where the road led when the camera sees nothing. layers, hidden, dtype, outputs: as of
    SteeringNet, steering [B, T, outputs]. memory: None for the beginning of a drive.
    """

    layers: Sequence[tuple[int, int, int]] = SMALL
    hidden: Sequence[int] = (100,)
    units: int = 64
    dtype: Any = None
    outputs: int = 0

    @nn.compact
    def __call__(self, pictures: Array, memory: Array | None = None) -> tuple[Array, Array]:
        flat = pictures.reshape(-1, *pictures.shape[2:])
        encoder = SteeringNet(self.layers, self.hidden, self.dtype, self.units, name=ENCODER)
        x = nn.relu(encoder(flat)).reshape(*pictures.shape[:2], -1)
        memory, x = GRU(self.units, dtype=self.dtype, name="memory")(x, memory)
        x = Dense(self.outputs or 1, dtype=self.dtype, name="steering")(x).astype(jnp.float32)
        return memory, x if self.outputs else x[..., 0]


Network = SteeringNet | RecurrentSteeringNet


def start(model: Network, count: int) -> Any:
    """The memory [count, units] of a network before `count` drives; () if it has none."""
    return jnp.zeros((count, model.units)) if isinstance(model, RecurrentSteeringNet) else ()


def follow(model: Network, variables: Any, memory: Any, pictures: Array) -> tuple[Any, Array]:
    """The memory after pictures [B, T, H, W, 3] of drives, and the outputs [B, T, outputs]."""
    count = pictures.shape[:2]
    if isinstance(model, RecurrentSteeringNet):
        memory, x = model.apply(variables, pictures, memory)
    else:
        x = model.apply(variables, pictures.reshape(-1, *pictures.shape[2:]))
    return memory, x.reshape(*count, -1)
