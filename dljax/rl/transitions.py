"""Transitions of a replay memory, and n-step returns of windows of them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from dljax.rl.rollout import Trajectory


class Transitions(NamedTuple):
    """Transitions of N environments, [T, N, ...]."""

    obs: Array
    action: Array
    reward: Array
    terminated: Array
    truncated: Array
    next_obs: Array


def n_step(window: Transitions, gamma: float) -> tuple[Array, Array, Array]:
    """Windows [n, B, ...] -> return [B], discount [B] of the value of the last state, its obs.

    A window ends with the episode: a terminal state has no value (discount 0), a truncated one that
    of its own observation.
    """
    total, discount = jnp.zeros(window.reward.shape[1:]), jnp.ones(window.reward.shape[1:])
    alive, last = jnp.ones(window.reward.shape[1:], bool), window.next_obs[0]
    for step in (jax.tree.map(lambda x, k=k: x[k], window) for k in range(len(window.reward))):
        total += jnp.where(alive, discount * step.reward, 0.0)
        discount = jnp.where(alive, gamma * discount * (1.0 - step.terminated), discount)
        shown = alive.reshape(-1, *(1,) * (last.ndim - 1))
        last = jnp.where(shown, step.next_obs, last)
        alive &= ~(step.terminated | step.truncated)
    return total, discount, last


def transitions(t: Trajectory) -> Transitions:
    """The transitions of a rollout."""
    return Transitions(t.obs, t.action, t.reward, t.terminated, t.truncated, t.next_obs)


def no_transitions(rollout: int, obs: Array, action: Array) -> Transitions:
    """Zeros in the shapes [rollout, N, ...] of a rollout with such observations and actions [N]."""
    obs, action = (jnp.zeros((rollout, *x.shape), x.dtype) for x in (obs, action))
    flags = jnp.zeros(obs.shape[:2], bool)
    return Transitions(obs, action, flags.astype(jnp.float32), flags, flags, obs)


def fits(played: int, environments: int, capacity: int, warmup: int, n: int) -> None:
    """Checks the sizes of a memory of `capacity` transitions; raises ValueError.

    played: transitions of a step of the task. warmup: transitions before the first one. n: rows of
    a window.
    """
    for name, size in {"capacity": capacity, "warmup": warmup}.items():
        if size % played:
            raise ValueError(f"{name}={size} must be a multiple of a step's {played} transitions")
    if not n * environments <= warmup <= capacity:
        raise ValueError(
            f"warmup={warmup} must hold {n} steps of {environments} environments "
            f"and fit into capacity={capacity}"
        )
