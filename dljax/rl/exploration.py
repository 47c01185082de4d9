"""Greedy and epsilon-greedy actions of a network of action values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from dljax.rl.networks import ActionValues
from dljax.rl.rollout import Act


def epsilon(limits: tuple[float, float], steps: int, count: Array) -> Array:
    """Share of random actions: linear from the first to the last value in so many steps."""
    first, last = limits
    return first + jnp.minimum(count / steps, 1) * (last - first)


def exploring(network: ActionValues, params: Any, share: Array | float) -> Act:
    """Epsilon-greedy with epsilon = share, by uniform noise [N, 2]."""

    def act(memory: Any, obs: Array, start: Array, noise: Array) -> tuple[Any, Array]:
        del start
        q = network.apply(params, obs)
        n = q.shape[-1]
        anything = jnp.minimum((noise[..., 1] * n).astype(jnp.int32), n - 1)
        return memory, jnp.where(noise[..., 0] < share, anything, _best(q))

    return act


def greedy(network: ActionValues, params: Any) -> Act:
    """The best action."""

    def act(memory: Any, obs: Array, start: Array, noise: Array) -> tuple[Any, Array]:
        del start, noise
        return memory, _best(network.apply(params, obs))

    return act


def value_and_greedy(
    network: ActionValues, params: Any, reward_scale: float = 1.0
) -> Callable[[Array], tuple[Array, Array]]:
    """obs [B, ...] -> value [B] in the unit of the rewards, and best action [B]."""

    def evaluate(obs: Array) -> tuple[Array, Array]:
        q = network.apply(params, obs)
        return q.max(-1) / reward_scale, _best(q)

    return evaluate


def _best(q: Array) -> Array:
    return jnp.argmax(q, -1).astype(jnp.int32)
