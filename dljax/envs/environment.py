"""The interface of an environment: pure functions, one narrow form for all of them.

    state, obs = environment.reset(key)
    state, step = environment.step(key, state, action)

The functions are pure and of one environment; `jax.vmap` makes many of it. `step` never resets: its
observation is the true last one where an episode ends. Two flags tell a terminal state (terminated:
its value is 0) from a time limit (truncated: its value is that of any other state). The caller
begins the next episode: `dljax.rl.rollout`.

An environment of your own is an `Environment` of your own functions (wrappers need this NamedTuple,
algorithms any object with its fields).
"""

from __future__ import annotations

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
    """The result of a step: obs after it (never of the next episode), reward float32 [], two flags.

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
