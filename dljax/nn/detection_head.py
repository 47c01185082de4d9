"""An anchor-free detector: a backbone, a feature pyramid, and one head for all of its maps.

Every place of every map says how likely each class is there and how far the sides of the object's
box are (FCOS: Tian et al. 2019, arXiv:1904.01355), each distance as a distribution over bins of
strides (GFL: Li et al. 2020, arXiv:2006.04388).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.encoder_decoder import ENCODER
from dljax.nn.normalization import BatchNorm
from dljax.nn.pyramid import PAN

PRIOR = 0.01  # probability of a class at the beginning (RetinaNet, arXiv:1708.02002, section 4.1)


class Detector(nn.Module):
    """Images [B, H, W, C] to scores' logits [B, A, classes] and distances' [B, A, 4, bins].

    encoder: a module (x, train) -> maps, each half as large as the one before; its last `levels`
    are used. The A places are those of `detection.boxes.grid`, from the largest map on. width:
    channels of pyramid and head. depth: convolutions of the head before its two outputs.
    """

    classes: int
    encoder: Callable[..., nn.Module]
    levels: int = 3
    width: int = 96
    depth: int = 2
    bins: int = 16
    extra: int = 0
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Array]:
        maps = self.encoder(name=ENCODER, dtype=self.dtype)(x, train)[-self.levels :]
        shared = {"conv": self.conv, "norm": self.norm, "dtype": self.dtype}
        maps = PAN(self.width, extra=self.extra, name="pyramid", **shared)(maps, train)
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def conv(width: int, size: int, name: str, **settings: Any) -> nn.Module:
            return self.conv(
                width, (size, size), padding=size // 2, dtype=self.dtype, name=name, **settings
            )

        bias = nn.initializers.constant(-math.log((1 - PRIOR) / PRIOR))
        he_normal = nn.initializers.he_normal()
        # The convolutions are shared by the maps; each map has statistics of its own.
        towers = {
            kind: [
                conv(self.width, 3, f"{kind}_{i}", use_bias=False, kernel_init=he_normal)
                for i in range(self.depth)
            ]
            for kind in ("class", "box")
        }
        small = nn.initializers.normal(0.01)
        score = conv(self.classes, 3, "classifier", kernel_init=small, bias_init=bias)
        distance = conv(4 * self.bins, 3, "distances", kernel_init=small)
        scores, distances = [], []
        for level, x in enumerate(maps):
            ends = {}
            for kind, tower in towers.items():
                y = x
                for i, layer in enumerate(tower):
                    y = self.activation(norm(name=f"{kind}_{i}_norm_{level}")(layer(y)))
                ends[kind] = y
            scores.append(score(ends["class"]).reshape(x.shape[0], -1, self.classes))
            distances.append(distance(ends["box"]).reshape(x.shape[0], -1, 4, self.bins))
        return (
            jnp.concatenate(scores, 1).astype(jnp.float32),
            jnp.concatenate(distances, 1).astype(jnp.float32),
        )
