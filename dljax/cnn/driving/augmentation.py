"""Changes of a picture of the road together with the angle that is right for it.

Functions (key, picture float32 [H, W, 3] in 0..1, angle in degrees) -> both, for a training step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dljax.cnn.driving.recorded import Augment
from dljax.data import augment
from dljax.train.loop import Key


def chain(*functions: Augment) -> Augment:
    """One after another, each with its own key."""

    def apply(key: Key, picture: Array, angle: Array) -> tuple[Array, Array]:
        for index, function in enumerate(functions):
            picture, angle = function(jax.random.fold_in(key, index), picture, angle)
        return picture, angle

    return apply


def alone(function: augment.Augment) -> Augment:
    """A change of the picture that leaves the angle as it is."""
    return lambda key, picture, angle: (function(key, picture), angle)


def mirror() -> Augment:
    """Half of the pictures mirrored, with the angle the other way."""

    def apply(key: Key, picture: Array, angle: Array) -> tuple[Array, Array]:
        turned = jax.random.bernoulli(key)
        return jnp.where(turned, picture[:, ::-1], picture), jnp.where(turned, -angle, angle)

    return apply


def shift(share: float, degrees: float) -> Augment:
    """Moves the picture sideways by up to `share` of its width, the border's colours repeated.

    degrees: added to the angle for a picture that is moved right by its whole width, as from a
    camera farther left. A picture moved by 10 % is that of a camera moved sideways only for
    one distance on the road, so the correction is a rule of thumb.
    """

    def apply(key: Key, picture: Array, angle: Array) -> tuple[Array, Array]:
        width = picture.shape[1]
        most = round(share * width)
        by = jax.random.randint(key, (), -most, most + 1)
        moved = jnp.pad(picture, ((0, 0), (most, most), (0, 0)), mode="edge")
        moved = jax.lax.dynamic_slice(moved, (0, most - by, 0), picture.shape)
        return moved, angle + degrees * by / width

    return apply


def shadow(least: float) -> Augment:
    """Darkens one side of a random line across the picture to `least`..1 of its light."""

    def apply(key: Key, picture: Array, angle: Array) -> tuple[Array, Array]:
        height, width = picture.shape[:2]
        draws = jax.random.uniform(key, (3,))
        ends = draws[:2] * width  # where the line meets the top and the bottom
        place = ends[0] + (ends[1] - ends[0]) * jnp.arange(height)[:, None] / height
        factor = least + (1 - least) * draws[2]
        dark = jnp.arange(width)[None] < place
        return picture * jnp.where(dark, factor, 1.0)[..., None], angle

    return apply
