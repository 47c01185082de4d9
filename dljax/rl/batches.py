"""How a rollout becomes the minibatches of some epochs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def flat(tree: Any) -> Any:
    """Arrays [T, N, ...] as [T N, ...]."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def shuffled(key: Array, samples: int, epochs: int, minibatches: int) -> Array:
    """Indices of the samples [epochs * minibatches, samples // minibatches], each once an epoch.

    By sorting random bits: where two of them are equal the order is not random, which of 2^32
    hardly happens.
    """
    order = jnp.argsort(jax.random.bits(key, (epochs, samples)), axis=1)
    return order.reshape(epochs * minibatches, -1)
