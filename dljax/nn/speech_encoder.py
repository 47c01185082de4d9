"""An encoder of spectrograms: convolutions that shorten time, then recurrent layers.

Masked frames count for nothing: what a recording is padded with does not change its outputs. A
causal encoder that is not bidirectional can be run on a stream, piece by piece, with the same
outputs as at once: `SpeechEncoder` takes and returns the state between pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.normalization import BatchNorm
from dljax.nn.recurrent.layers import GRU, Layer, Stack

KERNELS = (5, 3)  # of the first convolution and the others, in frames and in filters


class SpeechEncoder(nn.Module):
    """Convolutions over time and frequency, a projection, a Stack of recurrent layers.

    channels, strides: of the convolutions; each halves the frequencies and divides time by its
    stride. features, depth: of the Stack. causal: a convolution sees no frame that comes later than
    those of its own stride.
    """

    channels: Sequence[int] = (32, 32)
    strides: Sequence[int] = (2, 2)
    features: int = 128
    depth: int = 2
    layer: Callable[..., Layer] = GRU
    bidirectional: bool = True
    causal: bool = False
    dropout: float = 0.0
    dtype: Any = None

    @property
    def stride(self) -> int:
        """Frames of the input in one of the output."""
        return math.prod(self.strides)

    @nn.compact
    def __call__(
        self, x: Array, mask: Array, state: Any = None, train: bool = False
    ) -> tuple[Any, Array, Array]:
        """(state after, outputs [B, T', F or 2F], mask [B, T']) of features [B, T, M].

        mask: bool [B, T]; T' = ceil(T / stride). state: as returned for the piece before, of a
        whole number of strides; None: the beginning. `train` needs the rng "dropout".
        """
        pasts, carries = state or ((None,) * len(self.strides), None)
        x = x[..., None] * mask[:, :, None, None]
        after = []
        for i, past in enumerate(pasts):
            size, stride = KERNELS[min(i, len(KERNELS) - 1)], self.strides[i]
            x, past = self._padded(x, past, size - stride, -x.shape[1] % stride)
            after.append(past)
            padding = ((0, 0), ((size - 2) // 2, (size - 1) // 2))
            x = Conv(
                self.channels[i],
                (size, size),
                (stride, 2),
                padding,
                use_bias=False,
                dtype=self.dtype,
            )(x)
            mask = mask[:, ::stride]
            x = BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)
            x = nn.relu(x) * mask[:, :, None, None]
        x = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
        x = nn.LayerNorm(dtype=self.dtype)(nn.Dense(self.features, dtype=self.dtype)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
        stack = Stack(
            self.features,
            self.depth,
            self.layer,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            dtype=self.dtype,
        )
        carries, x = stack(x, carries, mask, train=train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return (tuple(after), carries), x, mask

    def _padded(self, x: Array, past: Array | None, extent: int, short: int) -> tuple[Array, Array]:
        """Frames [B, T, ...] between those before and those after, and the past of the next piece.

        extent: how many of both a convolution sees; short: what T lacks to whole strides.
        """
        before = extent if self.causal else extent // 2
        if past is None:
            past = jnp.zeros((x.shape[0], before, *x.shape[2:]), x.dtype)
        joined = jnp.concatenate([past, x], 1)
        after = short + extent - before
        next_past = joined[:, joined.shape[1] - before :]
        return jnp.pad(joined, ((0, 0), (0, after), (0, 0), (0, 0))), next_past


class SpeechTagger(nn.Module):
    """An encoder and a linear layer on each frame: logits [B, T', symbols] for CTC."""

    symbols: int
    encoder: SpeechEncoder

    @nn.compact
    def __call__(
        self, x: Array, mask: Array, state: Any = None, train: bool = False
    ) -> tuple[Any, Array, Array]:
        """(state after, logits float32, mask [B, T']); arguments as `SpeechEncoder`."""
        state, x, mask = self.encoder(x, mask, state, train)
        return state, nn.Dense(self.symbols, name="output")(x.astype(jnp.float32)), mask


class SpeechClassifier(nn.Module):
    """An encoder, mean and maximum over the frames, a linear layer: logits [B, classes]."""

    classes: int
    encoder: SpeechEncoder

    @nn.compact
    def __call__(self, x: Array, mask: Array, train: bool = False) -> Array:
        _, x, mask = self.encoder(x, mask, None, train)
        x, there = x.astype(jnp.float32), mask[..., None]
        mean = (x * there).sum(1) / jnp.maximum(there.sum(1), 1)
        most = jnp.where(there, x, -jnp.inf).max(1)
        x = jnp.concatenate([mean, jax.lax.select(jnp.isfinite(most), most, mean)], -1)
        x = nn.Dropout(self.encoder.dropout, deterministic=not train)(x)
        return nn.Dense(self.classes, name="output")(x)
