"""Distributions over actions, as pytrees: what a policy head returns.

Leading axes are batch axes. Noise is drawn apart from its use, for a whole rollout at once (a scan
over steps on a CPU has no time for random bits): `noise(space, key, shape)`, then `sample(noise)`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from dljax.envs.environment import Discrete, Key, Space


class Categorical(NamedTuple):
    """logits [..., n]; actions int32 [...]."""

    logits: Array

    def sample(self, noise: Array) -> Array:
        """By Gumbel noise [..., n] (Maddison et al. 2014)."""
        return self._best(self.logits + noise)

    def mode(self) -> Array:
        return self._best(self.logits)

    def log_prob(self, action: Array) -> Array:
        log_p = jax.nn.log_softmax(self.logits)
        chosen = jax.nn.one_hot(action, log_p.shape[-1], dtype=log_p.dtype)
        return (log_p * chosen).sum(-1)  # no gather, whose gradient is a slow scatter

    def entropy(self) -> Array:
        log_p = jax.nn.log_softmax(self.logits)
        return -(jnp.exp(log_p) * log_p).sum(-1)

    @staticmethod
    def _best(scores: Array) -> Array:
        return jnp.argmax(scores, -1).astype(jnp.int32)


class Normal(NamedTuple):
    """Independent normal distributions: mean, log_std [..., D] (the latter may be [D])."""

    mean: Array
    log_std: Array

    def sample(self, noise: Array) -> Array:
        """By standard normal noise [..., D]."""
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> Array:
        return self.mean

    def log_prob(self, action: Array) -> Array:
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -(0.5 * z**2 + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Array:
        each = self.log_std + 0.5 * math.log(2 * math.pi * math.e)
        return jnp.broadcast_to(each, self.mean.shape).sum(-1)


class Squashed(NamedTuple):
    """tanh of a Normal: actions in (-1, 1) (Haarnoja et al. 2018, appendix C)."""

    normal: Normal

    def sample(self, noise: Array) -> Array:
        return jnp.tanh(self.normal.sample(noise))

    def mode(self) -> Array:
        return jnp.tanh(self.normal.mean)

    def sample_and_log_prob(self, noise: Array) -> tuple[Array, Array]:
        """An action and its log density, exact where tanh saturates (equation 21)."""
        u = self.normal.sample(noise)
        slope = 2 * (math.log(2) - u - jax.nn.softplus(-2 * u))  # log(1 - tanh(u)^2)
        return jnp.tanh(u), self.normal.log_prob(u) - slope.sum(-1)


Policy = Categorical | Normal


def noise(space: Space, key: Key, shape: tuple[int, ...]) -> Array:
    """What `sample` wants: Gumbel noise [*shape, n], or normal noise [*shape, D]."""
    if isinstance(space, Discrete):
        return jax.random.gumbel(key, (*shape, space.n))
    return jax.random.normal(key, (*shape, *space.shape))
