"""The interface of an environment: pure functions, one narrow form for all of them.

    state, obs = environment.reset(key)
    state, step = environment.step(key, state, action)

The functions are pure and of one environment; `jax.vmap` makes many of it. `step` never resets: its
observation is the true last one where an episode ends. Two flags tell a terminal state (terminated:
its value is 0) from a time limit (truncated: its value is that of any other state). The caller
begins the next episode: `dljax.rl.rollout`.

An environment of your own is an `Environment` of your own functions (wrappers need this NamedTuple,
algorithms any object with its fields); `check` says what does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

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


def check(env: Environment) -> Environment:
    """The environment, whose functions are traced once against what they promise.

    Raises ValueError, in one line, for spaces, a limit, an observation, a step or a state that is
    not as `Environment` wants it. What the functions themselves raise passes through.
    """

    def wrong(what: str) -> NoReturn:
        raise ValueError(f"environment {env.name}: {what}")

    for kind in ("observation", "action"):
        if not isinstance(getattr(env, kind), Space):
            wrong(f"{kind} must be a Discrete or a Box, not {getattr(env, kind)!r}")
    if not isinstance(env.limit, int) or env.limit < 1:
        wrong(f"limit must be a whole number from 1 on, not {env.limit!r}")
    key = jax.random.key(0)
    first = jax.eval_shape(env.reset, key)
    if not isinstance(first, tuple) or len(first) != 2:
        wrong("reset must return (state, observation)")
    state, seen = first
    action = jax.ShapeDtypeStruct(env.action.shape, env.action.dtype)
    second = jax.eval_shape(env.step, key, state, action)
    if not isinstance(second, tuple) or len(second) != 2 or not isinstance(second[1], Step):
        wrong("step must return (state, Step(obs, reward, terminated, truncated))")
    after, step = second
    for name, obs in (("reset", seen), ("step", step.obs)):
        if getattr(obs, "shape", None) != tuple(env.observation.shape):
            shape = getattr(obs, "shape", type(obs).__name__)
            wrong(f"{name} observes {shape}, its space says {tuple(env.observation.shape)}")
    scalars = {"reward": jnp.floating, "terminated": jnp.bool_, "truncated": jnp.bool_}
    for name, kind in scalars.items():
        x = getattr(step, name)
        if x.shape != () or not jnp.issubdtype(x.dtype, kind):
            wrong(f"{name} must be one {'float' if name == 'reward' else 'bool'}, not {_form(x)}")
    before, then = (jax.tree.map(_form, x) for x in (state, after))
    if before != then:
        wrong(f"step changes the form of the state from {before} to {then}")
    return env


def _form(x: jax.ShapeDtypeStruct) -> str:
    return f"{x.dtype}{list(x.shape)}"
