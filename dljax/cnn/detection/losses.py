"""Losses of a detector: of scores, of boxes, and of distances as distributions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

Array = jax.Array


def quality_focal(logits: Array, target: Array, beta: float = 2.0) -> Array:
    """|y - p|^beta times the binary cross-entropy of p = sigmoid(logits) to y in 0..1, elementwise.

    Li et al. 2020, arXiv:2006.04388, equation 2.
    """
    p = jax.nn.sigmoid(logits)
    entropy = jax.nn.softplus(logits) - target * logits
    return jnp.abs(target - p) ** beta * entropy


def distribution_focal(logits: Array, target: Array) -> Array:
    """-log of the probability between the two bins around `target`, weighted by nearness.

    logits [..., bins] of the values 0, 1, ..., bins - 1; target [...], clipped to their range
    (arXiv:2006.04388, equation 6).
    """
    bins = logits.shape[-1]
    target = jnp.clip(target, 0, bins - 1 - 1e-3)
    low = jnp.floor(target)
    share = (target - low)[..., None]
    log_p = jax.nn.log_softmax(logits)
    left = jax.nn.one_hot(low.astype(jnp.int32), bins)
    right = jax.nn.one_hot(low.astype(jnp.int32) + 1, bins)
    return -(log_p * (left * (1 - share) + right * share)).sum(-1)


def expected_distance(logits: Array) -> Array:
    """The mean of the distribution over 0, 1, ..., bins - 1: [..., bins] to [...]."""
    return jax.nn.softmax(logits) @ jnp.arange(logits.shape[-1], dtype=jnp.float32)
