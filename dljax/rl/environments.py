"""Environments: one narrow form, and the only door to gymnax.

    state, obs = environment.reset(key)
    state, step = environment.step(key, state, action)

All is of one environment and pure; whoever needs many maps over them. `step` never resets: its
observation is the true last one where an episode ends, and whether that end is the task's own
(terminated: the future is worth nothing) or only a time limit's (truncated: the future is worth
what it would have been) are two flags. What begins the next episode is `rollout.py`.

An environment of your own is an `Environment` of your own functions (the wrappers want this
NamedTuple, the algorithms any object with its fields).
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Key = jax.Array


class Discrete(NamedTuple):
    """The whole numbers 0 .. n - 1, int32 []."""

    n: int
    shape: tuple[int, ...] = ()
    dtype: Any = jnp.int32


class Box(NamedTuple):
    """Arrays of a shape between low and high, numbers or arrays of that shape, maybe infinite."""

    shape: tuple[int, ...]
    low: Any = -np.inf
    high: Any = np.inf
    dtype: Any = jnp.float32


Space = Discrete | Box


class Step(NamedTuple):
    """What a step tells: obs after it (never of the next episode), reward float32 [], two flags.

    At most one of terminated and truncated is true.
    """

    obs: Array
    reward: Array
    terminated: Array
    truncated: Array


class Environment(NamedTuple):
    """Pure functions of one environment.

    reset: key -> (state, obs). step: (key, state, action) -> (state, Step); the state keeps its
    structure, shapes and dtypes. observation, action: their spaces. limit: no episode is longer.
    """

    name: str
    reset: Callable[[Key], tuple[Any, Array]]
    step: Callable[[Key, Any, Array], tuple[Any, Step]]
    observation: Space
    action: Space
    limit: int


@jax.ensure_compile_time_eval()  # so it may be called in a program that is traced (a sweep's)
def make(name: str, **parameters: Any) -> Environment:
    """An environment of gymnax by its name, with its own parameters where they are given.

    parameters: fields of its EnvParams (max_steps_in_episode and others) or arguments of its class.
    Raises ValueError, with the nearest names, for a name or a parameter that there is not.
    """
    import gymnax  # slow: it brings pyplot and seaborn

    names = list(gymnax.registered_envs)
    if name not in names:
        raise ValueError(f"unknown environment {name!r}; {_near(name, names)}")
    if name == "MNISTBandit-bsuite":
        raise ValueError("MNISTBandit-bsuite wants to download MNIST: it is not supported")
    env, params = gymnax.make(name)
    fields = [field.name for field in dataclasses.fields(params)]
    arguments = [a for a in inspect.signature(type(env).__init__).parameters if a != "self"]
    for wrong in parameters.keys() - {*fields, *arguments}:
        raise ValueError(f"{name} has no parameter {wrong!r}; {_near(wrong, fields + arguments)}")
    own = {k: v for k, v in parameters.items() if k in arguments}
    if own:
        env, params = gymnax.make(name, **own)
    given = {k: v for k, v in parameters.items() if k in fields}
    return from_gymnax(env, params.replace(**given), name)


def from_gymnax(env: Any, params: Any, name: str) -> Environment:
    """An environment object of gymnax 1.0 and its parameters.

    Its own `step` is not called: that computes a reset at every step.
    """
    first = jax.eval_shape(lambda key: env.reset_env(key, params), jax.random.key(0))
    if not hasattr(first[0], "shape"):
        raise ValueError(f"{name}: observations must be one array, not a {type(first[0]).__name__}")

    def reset(key: Key) -> tuple[Any, Array]:
        obs, state = env.reset_env(key, params)
        return _as(state, first[1]), _as(obs, first[0])

    def step(key: Key, state: Any, action: Array) -> tuple[Any, Step]:
        obs, state, reward, terminated, _ = env.step_env(key, state, action, params)
        truncated = env.is_truncated(state, params) & ~terminated
        reward = jnp.asarray(reward, jnp.float32)
        return _as(state, first[1]), Step(_as(obs, first[0]), reward, terminated, truncated)

    observation, action = env.observation_space(params), env.action_space(params)
    limit = int(params.max_steps_in_episode)
    return Environment(name, reset, step, _space(observation), _space(action), limit)


def _as(tree: Any, like: Any) -> Any:
    """The arrays of `tree` in the dtypes of `like`, none of them weakly typed."""
    return jax.tree.map(lambda x, y: jnp.asarray(x, y.dtype), tree, like)


def _space(space: Any) -> Space:
    if hasattr(space, "n"):
        return Discrete(int(space.n))
    low, high = (np.asarray(bound, np.float32) for bound in (space.low, space.high))
    return Box(tuple(space.shape), low, high, jnp.dtype(space.dtype))


def _near(name: str, known: list[str]) -> str:
    folded = {k.lower(): k for k in known}
    near = [k for low, k in folded.items() if name.lower() in low] if name else []
    near = near or [folded[k] for k in difflib.get_close_matches(name.lower(), folded, 3, 0.5)]
    return f"did you mean {' or '.join(near[:3])}?" if near else f"there are {', '.join(known)}"
