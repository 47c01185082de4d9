"""Augmentation of images of any number of axes with their masks; see augment_pairs."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from dljax.data.augment_pairs import Augment


def mirror(axes: Sequence[int]) -> Augment:
    """Mirrors along each of these axes of the image with probability 1/2."""

    def apply(key: Array, image: Array, mask: Array) -> tuple[Array, Array]:
        for axis in axes:
            turn = jax.random.bernoulli(jax.random.fold_in(key, axis))
            image = jnp.where(turn, jnp.flip(image, axis), image)
            mask = jnp.where(turn, jnp.flip(mask, axis), mask)
        return image, mask

    return apply


def jitter(size: float) -> Augment:
    """Brightness and contrast of images in 0 to 1: x (1 + u) + v / 2, u and v in -size to size."""

    def apply(key: Array, image: Array, mask: Array) -> tuple[Array, Array]:
        u, v = jax.random.uniform(key, (2,), minval=-size, maxval=size)
        return image * (1 + u) + v / 2, mask

    return apply
