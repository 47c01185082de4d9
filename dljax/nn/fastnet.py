"""A VGG-like net for 32x32 images that learns in few operations, after K. Jordan's airbench.

Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, section 3: a fixed
2x2 convolution that whitens patches, blocks of conv, max-pool, norm, GELU, conv, norm, GELU, the
largest pixel of what is left, and a linear layer whose output is scaled down. Convolutions start as
partial identities; norms have no scale.

Departures: the whitening layer has no bias (there, trained for some epochs); the random part of a
kernel is LeCun normal; without `whitening` the first layer is trained like the others.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv, conv
from dljax.nn.dense import Dense
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import global_max_pool, max_pool


def whitening_kernel(images: Array, size: int = 2, eps: float = 5e-4) -> Array:
    """A kernel [size, size, C, 2 size size C] that whitens the patches of images [N, H, W, C].

    Its filters are the principal directions of the patches divided by their deviation, and the
    negatives of these. Images are scaled as the network will see them; a few thousand suffice.
    """
    c = images.shape[-1]
    h, w = images.shape[1] - size + 1, images.shape[2] - size + 1
    patches = jnp.stack(
        [images[:, a : a + h, b : b + w] for a in range(size) for b in range(size)], 3
    ).reshape(-1, size * size * c)
    values, vectors = jnp.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / jnp.sqrt(values + eps)).reshape(size, size, c, -1)[..., ::-1]
    return jnp.concatenate([filters, -filters], -1)


def partial_identity(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """A kernel initialiser: input i passes through to output i; outputs beyond are random."""
    kernel = nn.initializers.lecun_normal()(key, shape, dtype)
    kh, kw, i, o = shape
    n = min(i, o)
    identity = jnp.zeros((kh, kw, i, n), dtype).at[kh // 2, kw // 2].set(jnp.eye(i, n, dtype=dtype))
    return kernel.at[..., :n].set(identity)


class FastNet(nn.Module):
    """Images [B, H, W, C] to logits [B, classes] in float32.

    `whitening` is the fixed first kernel (`whitening_kernel`); it is kept among the `batch_stats`,
    so that a checkpoint has it (when one is loaded, zeros of the right shape will do here). Without
    it the first layer is trained, with `first` channels.
    """

    classes: int
    widths: Sequence[int] = (64, 256, 256)
    whitening: Any = None
    first: int = 24
    scale: float = 1 / 9
    conv: Callable = Conv
    norm: Callable = BatchNorm
    activation: Callable = nn.gelu
    pool: Callable = global_max_pool
    momentum: float = 0.9
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        layer = partial(self.conv, use_bias=False, dtype=self.dtype, kernel_init=partial_identity)
        norm = partial(
            self.norm,
            use_running_average=not train,
            momentum=self.momentum,
            use_scale=False,
            dtype=self.dtype,
        )
        if self.whitening is None:
            x = self.conv(self.first, (2, 2), padding="VALID", dtype=self.dtype)(x)
        else:
            kernel = self.variable("batch_stats", "whitening", jnp.asarray, self.whitening).value
            x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
            x = conv(x, jax.lax.stop_gradient(kernel), padding="VALID")
        x = self.activation(x)
        for width in self.widths:
            x = max_pool(layer(width, (3, 3))(x), (2, 2))
            x = self.activation(norm()(x))
            x = self.activation(norm()(layer(width, (3, 3))(x)))
        x = Dense(self.classes, use_bias=False, dtype=self.dtype, name="classifier")(self.pool(x))
        return x.astype(jnp.float32) * self.scale
