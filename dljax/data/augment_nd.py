"""Augmentation of images [H, W, C] or volumes [D, H, W, C], float32 in 0..1: (key, x) -> x.

`data/augment.py` has that of images alone; its `chain` and `batch` compose these too.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from dljax.data.augment import Augment


def shift(padding: int) -> Augment:
    """Moves by up to `padding` pixels along each side; the border is repeated."""

    def apply(key: Array, image: Array) -> Array:
        sides = image.ndim - 1
        padded = jnp.pad(image, ((padding, padding),) * sides + ((0, 0),), mode="edge")
        start = jax.random.randint(key, (sides,), 0, 2 * padding + 1)
        return jax.lax.dynamic_slice(padded, (*start, 0), image.shape)

    return apply


def mirror(axes: Sequence[int]) -> Augment:
    """Mirrors along each of the axes, each with a chance of one half."""

    def apply(key: Array, image: Array) -> Array:
        turned = jax.random.bernoulli(key, shape=(len(axes),))
        for axis, turn in zip(axes, turned, strict=True):
            image = jnp.where(turn, jnp.flip(image, axis), image)
        return image

    return apply


def affine(rotation: float = 0.0, scale: tuple[float, float] = (1.0, 1.0)) -> Augment:
    """Turns a volume about each of its three axes in turn, and scales it, about its centre.

    rotation: largest angle in degrees, either way. scale: smallest and largest magnification.
    Sampling is trilinear; outside is 0.
    """

    def apply(key: Array, volume: Array) -> Array:
        turn, zoom = jax.random.split(key)
        angles = jnp.deg2rad(jax.random.uniform(turn, (3,), minval=-rotation, maxval=rotation))
        factor = jax.random.uniform(zoom, minval=scale[0], maxval=scale[1])
        return warp(volume, rotation_matrix(angles) / factor)

    return apply


def rotation_matrix(angles: Array) -> Array:
    """The product [3, 3] of the rotations about the first, second and third axis, in radians."""
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first = jnp.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    second = jnp.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    third = jnp.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    with jax.default_matmul_precision("float32"):
        return third @ second @ first


def warp(volume: Array, matrix: Array) -> Array:
    """Samples a volume trilinearly: out[c + p] = volume[c + matrix p], c the centre; outside is 0.

    volume: [D, H, W, C]. matrix: [3, 3], from output to input offsets from the centre.
    """
    sides = volume.shape[:3]
    centre = jnp.array([(side - 1) / 2 for side in sides])
    grid = jnp.stack(jnp.meshgrid(*map(jnp.arange, sides), indexing="ij"), -1) - centre
    place = (grid[..., None, :] * matrix).sum(-1) + centre
    planes = [
        jax.scipy.ndimage.map_coordinates(
            volume[..., c], list(jnp.moveaxis(place, -1, 0)), order=1, mode="constant"
        )
        for c in range(volume.shape[-1])
    ]
    return jnp.stack(planes, -1)
