"""Penalties on the gradient of a discriminator by its images.

`discriminate` takes images [B, H, W, C] to logits [B]; each image's logit depends on that image
(BatchNorm in a discriminator breaks this: the gradient is then that of the sum of all logits).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Discriminate = Callable[[Array], Array]


def squared_gradient(discriminate: Discriminate, images: Array) -> Array:
    """|grad D(x)|^2 of each image [B].

    Half of gamma times its mean is R1 at real images (Mescheder et al. 2018, arXiv:1801.04406,
    equation 9) and R2 at fake ones (equation 10).
    """
    gradient = jax.grad(lambda x: discriminate(x).sum())(images)
    return jnp.square(gradient).sum((1, 2, 3))


def distance_from_one(discriminate: Discriminate, key: Array, real: Array, fake: Array) -> Array:
    """(|grad D(x)| - 1)^2 [B] at a random point between each real and its fake image.

    Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1; their weight is 10.
    """
    share = jax.random.uniform(key, (len(real), 1, 1, 1))
    between = share * real + (1 - share) * fake
    # Not zero, where the root has no gradient.
    norm = jnp.sqrt(squared_gradient(discriminate, between) + 1e-12)
    return jnp.square(norm - 1)
