"""Losses of probabilistic forecasts: quantiles and parametric distributions.

All functions are pure, elementwise and without reduction: y [...] with parameters [...] of the same
shape give [...]; quantiles carry their levels on a last axis. Lower is better everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

Array = jax.Array


def pinball(quantiles: Array, y: Array, levels: Sequence[float]) -> Array:
    """Quantile loss [..., Q] of forecasts [..., Q] of the quantiles at `levels` for y [...].

    max(tau (y - q), (tau - 1) (y - q)); Koenker and Bassett 1978.
    """
    error = y[..., None] - quantiles
    tau = jnp.asarray(levels, error.dtype)
    return jnp.maximum(tau * error, (tau - 1) * error)


def gaussian_nll(mean: Array, scale: Array, y: Array) -> Array:
    """-log N(y; mean, scale^2) in nats."""
    return jnp.log(scale) + 0.5 * jnp.square((y - mean) / scale) + 0.5 * jnp.log(2 * jnp.pi)


def student_nll(location: Array, scale: Array, df: Array, y: Array) -> Array:
    """-log of Student's t density with `df` degrees of freedom, in nats.

    The variance is scale^2 df / (df - 2) where df > 2.
    """
    z2 = jnp.square((y - location) / scale)
    return (
        jnp.log(scale)
        + 0.5 * (df + 1) * jnp.log1p(z2 / df)
        + gammaln(df / 2)
        - gammaln((df + 1) / 2)
        + 0.5 * jnp.log(jnp.pi * df)
    )
