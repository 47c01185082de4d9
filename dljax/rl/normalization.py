"""Running statistics of observations and rewards, shared by all environments of an agent.

They are part of an algorithm's state: updated once a rollout, checkpointed, frozen in evaluation.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of a stream of arrays."""

    count: Array
    mean: Array
    squares: Array

    def variance(self) -> Array:
        """1 before the first array."""
        return jnp.where(self.count > 0, self.squares / jnp.maximum(self.count, 1), 1.0)


def no_moments(shape: tuple[int, ...]) -> Moments:
    """Of nothing yet."""
    return Moments(jnp.float32(0), jnp.zeros(shape), jnp.zeros(shape))


def update(moments: Moments, x: Array) -> Moments:
    """Moments with x [..., *shape] added. Source: Chan et al. 1983, equation 2.1."""
    x = x.reshape(-1, *moments.mean.shape)
    n, mean = x.shape[0], x.mean(0)
    count = moments.count + n
    delta = mean - moments.mean
    squares = moments.squares + ((x - mean) ** 2).sum(0) + delta**2 * moments.count * n / count
    return Moments(count, moments.mean + delta * n / count, squares)


def normalized(moments: Moments, x: Array, clip: float = 10.0) -> Array:
    """x with mean 0 and variance 1, clipped."""
    z = (x - moments.mean) * jax.lax.rsqrt(moments.variance() + 1e-8)
    return jnp.clip(z, -clip, clip)


class Scale(NamedTuple):
    """What rewards are divided by: the deviation of the running discounted return [N]."""

    moments: Moments
    running: Array


def no_scale(environments: int) -> Scale:
    """Before the first reward."""
    return Scale(no_moments(()), jnp.zeros(environments))


def scaled(
    scale: Scale, reward: Array, done: Array, gamma: float, clip: float = 10.0
) -> tuple[Scale, Array]:
    """Rewards [T, N] over the deviation of the return so far; not centred, so no sign changes.

    Source: Engstrom et al. 2020, section 3 (reward scaling).
    """

    def one(running, step):
        running = gamma * running + step[0]
        return jnp.where(step[1], 0.0, running), running

    running, returns = jax.lax.scan(one, scale.running, (reward, done))
    moments = update(scale.moments, returns)
    factor = jax.lax.rsqrt(moments.variance() + 1e-8)
    return Scale(moments, running), jnp.clip(reward * factor, -clip, clip)
