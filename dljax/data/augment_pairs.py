"""Augmentation of images together with masks of class ids: one geometry for both, on the device.

A function of (key, image float32 [H, W, C] in 0..1, mask int [H, W]) to the same; images are
sampled bilinearly, masks by the nearest pixel, and what lies outside is the image's mean level and
IGNORE. `batch` gives each pair of a batch its own key.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from dljax.data import augment

Augment = Callable[[Array, Array, Array], tuple[Array, Array]]

IGNORE = 255


def chain(*functions: Augment) -> Augment:
    """Applies the functions one after another, each with its own key."""

    def apply(key: Array, image: Array, mask: Array) -> tuple[Array, Array]:
        for index, function in enumerate(functions):
            image, mask = function(jax.random.fold_in(key, index), image, mask)
        return image, mask

    return apply


def batch(function: Augment) -> Augment:
    """The function over images [B, H, W, C] and masks [B, H, W], with a key per pair."""

    def apply(key: Array, images: Array, masks: Array) -> tuple[Array, Array]:
        return jax.vmap(function)(jax.random.split(key, len(images)), images, masks)

    return apply


def image_only(function: augment.Augment) -> Augment:
    """A change of colours, which leaves the mask."""
    return lambda key, image, mask: (function(key, image), mask)


def flip(probability: float = 0.5) -> Augment:
    """Mirrors left and right."""

    def apply(key: Array, image: Array, mask: Array) -> tuple[Array, Array]:
        turn = jax.random.bernoulli(key, probability)
        return jnp.where(turn, image[:, ::-1], image), jnp.where(turn, mask[:, ::-1], mask)

    return apply


def dihedral() -> Augment:
    """One of the eight turns and mirror images of a square, for pictures without an upside."""

    def apply(key: Array, image: Array, mask: Array) -> tuple[Array, Array]:
        if image.shape[0] != image.shape[1]:
            raise ValueError(f"dihedral turns squares, not images of {image.shape[:2]}")
        down, right, across = jax.random.bernoulli(key, 0.5, (3,))

        def turned(x: Array) -> Array:
            x = jnp.where(down, x[::-1], x)
            x = jnp.where(right, x[:, ::-1], x)
            return jnp.where(across, jnp.swapaxes(x, 0, 1), x)

        return turned(image), turned(mask)

    return apply


def crop(size: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)) -> Augment:
    """A random window of the image, magnified at random: to `size` (height, width).

    scale: smallest and largest magnification, drawn evenly on a logarithmic scale. The window lies
    inside the image where it fits; what it has beyond is filled.
    """

    def apply(key: Array, image: Array, mask: Array) -> tuple[Array, Array]:
        zoom_key, place_key = jax.random.split(key)
        low, high = jnp.log(jnp.asarray(scale))
        zoom = jnp.exp(jax.random.uniform(zoom_key, minval=low, maxval=high))
        whole = jnp.asarray(image.shape[:2], jnp.float32)
        room = whole - jnp.asarray(size) / zoom  # negative where the window is larger
        first = jax.random.uniform(place_key, (2,)) * room
        rows, columns = ((jnp.arange(n) + 0.5) / zoom - 0.5 for n in size)
        return sample(image, mask, rows + first[0], columns + first[1])

    return apply


def sample(image: Array, mask: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Image (bilinear) and mask (nearest) at the rows [h] and columns [w] of a grid."""
    height, width = mask.shape
    x, inside = augment.resample(image, rows, columns)
    nearest = mask[
        jnp.clip(jnp.round(rows), 0, height - 1).astype(jnp.int32)[:, None],
        jnp.clip(jnp.round(columns), 0, width - 1).astype(jnp.int32)[None],
    ]
    return x, jnp.where(inside, nearest, IGNORE)
