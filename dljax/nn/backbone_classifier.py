"""A classifier on a backbone: mean and largest of its smallest maps, a norm, a linear layer.

For a pretrained backbone and few images, small and grey ones too: networks trained on photographs
expect three channels and sides of a hundred pixels or more.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.dense import Dense
from dljax.nn.encoder_decoder import ENCODER
from dljax.nn.normalization import BatchNorm


class BackboneClassifier(nn.Module):
    """Images [B, H, W, 1 or 3] to logits [B, classes] in float32.

    encoder: a module (x, train) -> maps, from the largest down. side: images whose shorter side is
    smaller are magnified to it, bilinearly. maps: how many of the smallest maps are used. frozen:
    the backbone is not trained, nor are the statistics of its norms.
    """

    classes: int
    encoder: Callable[..., nn.Module]
    side: int = 112
    maps: int = 2
    frozen: bool = False
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        batch, height, width, channels = x.shape
        if channels == 1:
            x = jnp.repeat(x, 3, -1)
        larger = self.side / min(height, width)
        if larger > 1:
            size = (round(height * larger), round(width * larger))
            x = jax.image.resize(x, (batch, *size, 3), "linear")
        found = self.encoder(name=ENCODER, dtype=self.dtype)(x, train and not self.frozen)
        found = found[-self.maps :]
        if self.frozen:
            found = jax.lax.stop_gradient(found)
        x = jnp.concatenate([f(y, axis=(1, 2)) for y in found for f in (jnp.mean, jnp.max)], -1)
        x = BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Dense(self.classes, dtype=self.dtype, name="classifier")(x).astype(jnp.float32)
