"""Returns and advantages of one trajectory, the mathematics that all algorithms share.

All arguments are float32 [T] (or numbers, where a docstring says so) and belong to the steps
t = 1 .. T of a trajectory, in rlax's names: the step goes from s_{t-1} by a_{t-1} to reward r_t and
s_t. `v_tm1` is the value of the state that a step leaves, `v_t` of the one that it reaches, before
any reset. `discount_t` is gamma, and 0 where s_t terminated. `lambda_` is what cuts traces: it has
to be 0 where an episode was truncated, so that a return ends there in `v_t` and never reaches into
the next episode. For many trajectories use vmap: `jax.vmap(gae, 1, 1)` for arrays [T, N].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def discounted_scan(x: Array, factor: Array, last: Array | float = 0.0) -> Array:
    """y_t = x_t + factor_t y_{t+1} backwards over [T], where y_{T+1} = last."""

    def one(y, entry):
        y = entry[0] + entry[1] * y
        return y, y

    last = jnp.broadcast_to(jnp.asarray(last, x.dtype), x.shape[1:])
    return jax.lax.scan(one, last, (x, jnp.broadcast_to(factor, x.shape)), reverse=True)[1]


def discounted(r_t: Array, discount_t: Array, v_t: Array | float = 0.0) -> Array:
    """G_{t-1} = r_t + discount_t G_t, the last G_T being the number v_t.

    Source: Sutton and Barto 2018, equation 3.9.
    """
    return discounted_scan(r_t, discount_t, v_t)


def lambda_returns(
    r_t: Array, discount_t: Array, v_t: Array, lambda_: Array | float = 1.0
) -> Array:
    """G_{t-1} = r_t + discount_t ((1 - lambda_t) v_t + lambda_t G_t), the last G_T being v_T.

    Targets of TD(lambda). Source: Sutton and Barto 2018, equation 12.18.
    """
    lambda_ = jnp.broadcast_to(jnp.asarray(lambda_, r_t.dtype), r_t.shape)
    return discounted_scan(r_t + discount_t * (1 - lambda_) * v_t, discount_t * lambda_, v_t[-1])


def gae(r_t: Array, discount_t: Array, v_tm1: Array, v_t: Array, lambda_: Array | float) -> Array:
    """Generalised advantage estimates A_{t-1} = sum over l of (discount lambda)^l delta_{t+l}.

    delta_t = r_t + discount_t v_t - v_{t-1}. Source: Schulman et al. 2016, equation 16.
    """
    return discounted_scan(r_t + discount_t * v_t - v_tm1, discount_t * lambda_)
