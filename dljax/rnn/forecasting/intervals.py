"""What uncertain forecasts are trained and judged by: quantiles and parametric distributions.

All functions are pure, elementwise and without reduction: y [...] with parameters [...] of the same
shape give [...]; quantiles carry their levels on a last axis. Lower is better everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, betaln, gammaln

Array = jax.Array


def pinball(quantiles: Array, y: Array, levels: Sequence[float]) -> Array:
    """Quantile loss [..., Q] of forecasts [..., Q] of the quantiles at `levels` for y [...].

    max(tau (y - q), (tau - 1) (y - q)); Koenker and Bassett 1978.
    """
    error = y[..., None] - quantiles
    tau = jnp.asarray(levels, error.dtype)
    return jnp.maximum(tau * error, (tau - 1) * error)


def quantile_crps(quantiles: Array, y: Array, levels: Sequence[float]) -> Array:
    """The CRPS as far as quantiles tell: twice the mean pinball loss, [...].

    The CRPS is twice the integral of the pinball loss over the level (Gneiting and Ranjan 2011,
    equation 12), so the mean stands for it where the levels are evenly spaced, as 0.1 to 0.9.
    """
    return 2 * pinball(quantiles, y, levels).mean(-1)


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


def gaussian_crps(mean: Array, scale: Array, y: Array) -> Array:
    """CRPS of N(mean, scale^2) in the unit of y; Gneiting et al. 2005, equation 5."""
    z = (y - mean) / scale
    cdf, pdf = jax.scipy.stats.norm.cdf(z), jax.scipy.stats.norm.pdf(z)
    return scale * (z * (2 * cdf - 1) + 2 * pdf - 1 / jnp.sqrt(jnp.pi))


def student_crps(location: Array, scale: Array, df: Array, y: Array) -> Array:
    """CRPS of Student's t for df > 1, in the unit of y; Jordan, Krueger and Lerch 2019, A.2."""
    z = (y - location) / scale
    z2 = jnp.square(z)
    tail = 0.5 * betainc(df / 2, 0.5, df / (df + z2))
    centred = jnp.sign(z) * (1 - 2 * tail)  # 2 F(z) - 1
    pdf = jnp.exp(-student_nll(0.0, 1.0, df, z))
    beta = jnp.exp(betaln(0.5, df - 0.5) - 2 * betaln(0.5, df / 2))
    return scale * (
        z * centred + 2 * pdf * (df + z2) / (df - 1) - 2 * jnp.sqrt(df) / (df - 1) * beta
    )


def interval_score(low: Array, high: Array, y: Array, level: float) -> Array:
    """Width plus 2 / (1 - level) times the distance of a miss; Gneiting and Raftery 2007, (43)."""
    miss = jnp.maximum(low - y, 0) + jnp.maximum(y - high, 0)
    return high - low + 2 / (1 - level) * miss
