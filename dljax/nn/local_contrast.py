"""Local contrast normalisation: each voxel compared with its surroundings (Jarrett et al. 2009).

"What is the best multi-stage architecture for object recognition?", ICCV 2009, section 2.1. A
slowly changing brightness, such as the bias field of a magnetic resonance image, is taken off.
"""

import jax.numpy as jnp
from jax import Array


def local_contrast(x: Array, sigma: float, floor: float) -> Array:
    """(x - mean) / (deviation + floor) by Gaussian weights around each place, of [B, *sides, C].

    sigma: of the weights, in voxels; beyond the border there are no weights. floor: keeps the noise
    of what is flat small.
    """
    weights = [_gaussian(side, sigma) for side in x.shape[1:-1]]

    def mean(x: Array) -> Array:
        for axis, weight in enumerate(weights, 1):
            x = jnp.moveaxis(jnp.tensordot(x, weight, (axis, 1)), -1, axis)
        return x

    centred = x - mean(x)
    return centred / (jnp.sqrt(mean(centred**2)) + floor)


def beside_local_contrast(x: Array, sigma: float = 6.0, floor: float = 0.03) -> Array:
    """The image and, as further channels, its local contrast: [B, *sides, 2 C]."""
    return jnp.concatenate([x, local_contrast(x, sigma, floor).astype(x.dtype)], -1)


def _gaussian(side: int, sigma: float) -> Array:
    """The weights [side, side] of all places for each place."""
    at = jnp.arange(side)
    weight = jnp.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
    return weight / weight.sum(1, keepdims=True)
