"""Wrappers, Environment -> Environment: other observations, actions, and sticky actions.

Running statistics of observations and rewards, which the environments of a run share, are no
wrapper but part of an algorithm's state: `dljax.rl.normalization`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.envs.environment import Array, Box, Discrete, Environment, Key, Step

# Which entries of the observation are velocities.
VELOCITIES = {
    "CartPole-v1": (1, 3),
    "Pendulum-v1": (2,),
    "Acrobot-v1": (4, 5),
    "MountainCar-v0": (1,),
    "MountainCarContinuous-v0": (1,),
}

UNBOUNDED = 1e6  # some environments write a huge number for no bound
LARGEST = 1e30  # bound of an action


def observed(env: Environment, see: Callable[[Array], Array], space: Box) -> Environment:
    """The environment with a function applied to its observations."""

    def reset(key: Key) -> tuple[Any, Array]:
        state, obs = env.reset(key)
        return state, see(obs)

    def step(key: Key, state: Any, action: Array) -> tuple[Any, Step]:
        state, timestep = env.step(key, state, action)
        return state, timestep._replace(obs=see(timestep.obs))

    return env._replace(reset=reset, step=step, observation=space)


def float32(env: Environment) -> Environment:
    """Observations as float32; a number of a discrete space becomes its one-hot code."""
    if isinstance(env.observation, Discrete):
        n = env.observation.n
        return observed(env, lambda obs: jax.nn.one_hot(obs, n), Box((n,), 0.0, 1.0))
    space = env.observation._replace(dtype=jnp.float32)
    return observed(env, lambda obs: jnp.asarray(obs, jnp.float32), space)


def flatten(env: Environment) -> Environment:
    """Observations as one float32 vector."""
    env = float32(env)
    shape, low, high, _ = env.observation
    low, high = (np.broadcast_to(bound, shape).reshape(-1) for bound in (low, high))
    return observed(env, lambda obs: obs.reshape(-1), Box(low.shape, low, high))


def keep(env: Environment, entries: Sequence[int]) -> Environment:
    """Keeps only those entries of a vector observation."""
    shape, low, high, dtype = env.observation
    entries = np.asarray(entries)
    low, high = (np.broadcast_to(bound, shape)[entries] for bound in (low, high))
    return observed(env, lambda obs: obs[entries], Box(low.shape, low, high, dtype))


def unit(space: Box) -> Callable[[Array], Array]:
    """A function that scales observations from their bounds to [-1, 1]; unbounded ones stay."""
    low, high = (np.broadcast_to(np.asarray(b, float), space.shape) for b in space[1:3])
    bounded = (np.abs(low) < UNBOUNDED) & (np.abs(high) < UNBOUNDED)
    middle = np.where(bounded, (low + high) / 2, 0).astype(np.float32)
    half = np.where(bounded, (high - low) / 2, 1).astype(np.float32)
    return lambda obs: (obs - middle) / half


def unit_observations(env: Environment) -> Environment:
    """Bounded observations scaled to [-1, 1]; unscaled, small ones (a car's speed) get lost."""
    see, shape = unit(env.observation), env.observation.shape
    low, high = (see(np.broadcast_to(b, shape)) for b in env.observation[1:3])
    return observed(env, see, Box(shape, low, high))


def hide_velocities(env: Environment) -> Environment:
    """Hides velocities, so that a policy needs memory.

    Raises ValueError for an environment that is not in VELOCITIES.
    """
    if env.name not in VELOCITIES:
        raise ValueError(
            f"velocities can be hidden of {', '.join(VELOCITIES)} alone, not of {env.name}"
        )
    n = env.observation.shape[0]
    return keep(env, [i for i in range(n) if i not in VELOCITIES[env.name]])


class Stuck(NamedTuple):
    """A state, the action before, and whether there was one in this episode."""

    inner: Any
    action: Array
    moved: Array


def sticky_actions(env: Environment, probability: float) -> Environment:
    """With that probability the action before is repeated (Machado et al. 2018, section 5.2)."""

    def reset(key: Key) -> tuple[Stuck, Array]:
        state, obs = env.reset(key)
        still = jnp.zeros(env.action.shape, env.action.dtype)
        return Stuck(state, still, jnp.array(False)), obs

    def step(key: Key, state: Stuck, action: Array) -> tuple[Stuck, Step]:
        key, stick = jax.random.split(key)
        again = state.moved & jax.random.bernoulli(stick, probability)
        action = jnp.where(again, state.action, jnp.asarray(action, state.action.dtype))
        inner, timestep = env.step(key, state.inner, action)
        return Stuck(inner, action, jnp.array(True)), timestep

    return env._replace(reset=reset, step=step)


class Stacked(NamedTuple):
    """A state and the newest observations [n, ...], oldest first."""

    inner: Any
    frames: Array


def frame_stack(env: Environment, n: int) -> Environment:
    """The last n observations side by side on the last axis; the first one repeated at a start."""
    shape, low, high, dtype = env.observation

    def see(frames: Array) -> Array:
        return jnp.concatenate(list(frames), axis=-1)

    def reset(key: Key) -> tuple[Stacked, Array]:
        state, obs = env.reset(key)
        frames = jnp.stack([obs] * n)
        return Stacked(state, frames), see(frames)

    def step(key: Key, state: Stacked, action: Array) -> tuple[Stacked, Step]:
        inner, timestep = env.step(key, state.inner, action)
        frames = jnp.concatenate([state.frames[1:], timestep.obs[None]])
        return Stacked(inner, frames), timestep._replace(obs=see(frames))

    low, high = (np.concatenate([np.broadcast_to(b, shape)] * n, -1) for b in (low, high))
    return env._replace(reset=reset, step=step, observation=Box(low.shape, low, high, dtype))


def unit_actions(env: Environment) -> Environment:
    """Continuous actions as [-1, 1], mapped to the true bounds; what lies beyond is clipped.

    Raises ValueError where the action space has no bounds.
    """
    low, high = (np.broadcast_to(b, env.action.shape) for b in (env.action.low, env.action.high))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"{env.name} has unbounded actions: wrap it to bound them first")

    def step(key: Key, state: Any, action: Array) -> tuple[Any, Step]:
        share = (jnp.clip(action, -1, 1) + 1) / 2
        return env.step(key, state, low + share * (high - low))

    return env._replace(step=step, action=Box(env.action.shape, -1.0, 1.0))


def policy_actions(env: Environment) -> Environment:
    """An environment as a policy plays it: bounded actions as in `unit_actions`.

    Discrete and unbounded ones stay as they are; those of [-1, 1] are clipped. The algorithms wrap
    what they are given. Raises ValueError, in one line, for actions that are no vector, and for
    bounds on one side only, on some entries only, or in the wrong order.
    """
    if isinstance(env.action, Discrete):
        return env
    shape, what = tuple(env.action.shape), f"{env.name}: actions"
    if len(shape) != 1:
        raise ValueError(f"{what} must be vectors, as Box((1,)), not of the shape {shape}")
    low, high = (
        np.broadcast_to(np.asarray(b, float), shape) for b in (env.action.low, env.action.high)
    )
    bounded = [np.abs(b) < LARGEST for b in (low, high)]
    if not np.any(bounded):
        return env
    if not np.all(bounded):
        raise ValueError(
            f"{what} have bounds on one side or some entries only ({_bounds(low, high)}): give Box "
            "two finite bounds, or none"
        )
    if not (low < high).all():
        raise ValueError(f"{what} have bounds in the wrong order ({_bounds(low, high)})")
    if (low == -1).all() and (high == 1).all():

        def step(key: Key, state: Any, action: Array) -> tuple[Any, Step]:
            return env.step(key, state, jnp.clip(action, -1, 1))

        return env._replace(step=step)
    return unit_actions(env)


def discrete_actions(env: Environment) -> Environment:
    """The environment; ValueError, in one line, where its actions are continuous."""
    if not isinstance(env.action, Discrete):
        raise ValueError(
            f"{env.name} has continuous actions, which have no values to compare: use ppo or sac"
        )
    return env


def _bounds(low: np.ndarray, high: np.ndarray) -> str:
    return ", ".join(f"{a:g} to {b:g}" for a, b in zip(low[:3], high[:3], strict=True))
