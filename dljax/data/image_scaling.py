"""Pixels as a network reads them: in 0..1, and of mean 0 and standard deviation 1 a channel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

Array = jax.Array

BLOCK = 2**18  # numbers that are summed at once


class Normalize(struct.PyTreeNode):
    """uint8 images [..., C] to float32 of mean 0 and standard deviation 1 a channel.

    mean, std: [C], of the training images scaled to 0..1.
    """

    mean: tuple[float, ...] = struct.field(pytree_node=False)
    std: tuple[float, ...] = struct.field(pytree_node=False)

    def __call__(self, images: Array) -> Array:
        return (images - jnp.asarray(self.mean)) / jnp.asarray(self.std)


def normalization(images: np.ndarray) -> Normalize:
    """The Normalize of images [N, (D,) H, W, C], read as by `in_floats`.

    A constant channel keeps its scale.
    """
    top = 1.0 if np.issubdtype(images.dtype, np.floating) else 255.0
    channels, mean, square = images.shape[-1], 0.0, 0.0
    parts = min(images.size // BLOCK + 1, len(images))
    for block in np.array_split(images, parts):  # what fits into a cache, not the set in floats
        rows = (block / top).reshape(-1, images.shape[-2] * channels)
        mean += rows.sum(0)
        square += np.einsum("ij,ij->j", rows, rows)
    count = images.size // channels
    mean, square = (x.reshape(-1, channels).sum(0) / count for x in (mean, square))
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return Normalize(tuple(map(float, mean)), tuple(float(s) if s > 1e-4 else 1.0 for s in std))


def standardized(images: Array) -> Array:
    """Each image [B, ..., C] with mean 0 and standard deviation 1 over its places and channels.

    It takes away what differs between scanners: brightness and contrast of an image as a whole. A
    constant image becomes 0.
    """
    axes = tuple(range(1, images.ndim))
    centred = images - images.mean(axes, keepdims=True)
    return centred / jnp.maximum(jnp.sqrt((centred**2).mean(axes, keepdims=True)), 1e-3)


def in_floats(images: Array) -> Array:
    """Images as float32: whole numbers, 0..255, become 0..1; floats keep their values."""
    whole = not jnp.issubdtype(images.dtype, jnp.floating)
    return images.astype(jnp.float32) / 255 if whole else images.astype(jnp.float32)
