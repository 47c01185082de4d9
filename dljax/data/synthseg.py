"""Images drawn from maps of tissues, on the device: each training patch has a contrast of its own.

Billot et al. 2023, "SynthSeg: segmentation of brain MRI scans of any contrast and resolution
without retraining", arXiv:2107.09559, section 3. Of the shares of three tissues in each voxel
become tissues of random brightness, with a bias field, blur, thick slices, noise, a random scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.data.augment_pairs import Augment

BIAS_MM = 50  # between the random numbers that a bias field is interpolated from
SPLINE_DEVIATION = 0.33  # of a field of normal numbers at BIAS_MM, interpolated by cubic B-splines
AIR = 0.1  # share of patches that are air alone, of which the parts of images have few or many
DARKEST = 2.5  # deviations of the bias field of a patch below the brightest parts of its image


class Strength(NamedTuple):
    """How much an image is degraded. All but `gap` are upper limits of a uniform choice.

    gap: smallest difference in brightness of two tissues, whose range is 1. bias: standard
    deviation of the logarithm of the bias field. blur: standard deviation, mm. slices: thickness,
    mm. noise: standard deviation.
    """

    gap: float
    bias: float
    blur: float
    slices: float
    noise: float


def drawn(strength: Strength) -> Augment:
    """(key, maps [*sides, 4], mask) -> (image [*sides, 1], mask), voxels of 1 mm.

    maps: a texture that is added with a random weight, and the shares of fluid, grey and white
    matter. The image is scaled at random as patches are whose whole image is scaled to 0 and 1:
    where the bias field is low, all of a patch is dark. A share AIR of the patches holds no tissue,
    and has class 0.
    """

    def apply(key: Array, maps: Array, mask: Array) -> tuple[Array, Array]:
        keys = iter(jax.random.split(key, 10))

        def uniform(low: float, high: float, shape: Sequence[int] = ()) -> Array:
            return jax.random.uniform(next(keys), shape, minval=low, maxval=high)

        sides = maps.shape[:-1]
        tissue = jax.random.bernoulli(next(keys), 1 - AIR)
        maps, mask = maps * tissue, mask * tissue
        # three numbers that differ by at least `gap`: any three, moved apart
        levels = jnp.sort(uniform(0.1, 1 - 2 * strength.gap, (3,))) + strength.gap * np.arange(3)
        image = maps[..., 1:] @ levels + uniform(-1, 1) * maps[..., 0]
        bias = uniform(0.5, 1) * strength.bias
        image *= jnp.exp(bias * bias_field(next(keys), sides))
        blur, thickness = uniform(0.3, strength.blur), uniform(1, strength.slices)
        image = resolution(next(keys), image, blur, thickness)
        noise = uniform(0.5, 1) * strength.noise
        scale_key, noise_key = jax.random.split(next(keys))
        image += noise * jax.random.normal(noise_key, sides)
        below, above = jax.random.uniform(scale_key, (2,)) * np.array([2.6, DARKEST])
        low, high = -below * noise, levels[2] * jnp.exp(above * bias)
        return ((image - low) / (high - low))[..., None], mask

    return apply


def bias_field(key: Array, sides: Sequence[int]) -> Array:
    """A smooth random field [*sides] of mean 0 and deviation 1 over many draws."""
    number_key, place_key = jax.random.split(key)
    counts = [int(np.ceil(side / BIAS_MM)) + 3 for side in sides]
    places = jax.random.uniform(place_key, (len(sides),))
    splines = [
        _splines(jnp.arange(side) / BIAS_MM + 1 + place, count)
        for side, count, place in zip(sides, counts, places, strict=True)
    ]
    return along_axes(jax.random.normal(number_key, counts), splines) / SPLINE_DEVIATION


def resolution(key: Array, image: Array, blur: Array, thickness: Array) -> Array:
    """The image blurred, with thick slices along a random axis, interpolated to its voxels again.

    blur: standard deviation, in voxels. thickness: of slices, voxels, at least 1.
    """
    axis_key, place_key = jax.random.split(key)
    axis = jax.random.randint(axis_key, (), 0, image.ndim)
    first = (1 - thickness) * jax.random.uniform(place_key)  # the middle of the first slice
    matrices = []
    for i, side in enumerate(image.shape):
        thick = i == axis
        matrices.append(
            _slices(side, jnp.where(thick, first, 0.0), jnp.where(thick, thickness, 1.0))
            @ _gaussian(side, jnp.hypot(blur, jnp.where(thick, (thickness - 1) / 2, 0.0)))
        )
    return along_axes(image, matrices)


def along_axes(x: Array, matrices: Sequence[Array]) -> Array:
    """A matrix [new side, side] applied along each axis."""
    for axis, matrix in enumerate(matrices):
        x = jnp.moveaxis(jnp.tensordot(x, matrix, (axis, 1)), -1, axis)
    return x


def _splines(at: Array, count: int) -> Array:
    """Weights [places, count] of the cubic B-splines at 0, 1, ... at each place."""
    d = jnp.abs(at[:, None] - jnp.arange(count))
    return jnp.where(d < 1, 2 / 3 - d**2 + d**3 / 2, jnp.where(d < 2, (2 - d) ** 3 / 6, 0))


def _gaussian(side: int, sigma: Array) -> Array:
    at = jnp.arange(side)
    weight = jnp.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
    return weight / weight.sum(1, keepdims=True)


def _slices(side: int, first: Array, thickness: Array) -> Array:
    """Linear interpolation to slices `thickness` apart, and from these to the voxels."""
    at = jnp.arange(side)
    middles = first + thickness * jnp.arange(side + 2)
    down = _hat(jnp.clip(middles, 0, side - 1)[:, None] - at)
    return _hat((at[:, None] - middles) / thickness) @ down


def _hat(distance: Array) -> Array:
    return jnp.maximum(0, 1 - jnp.abs(distance))
