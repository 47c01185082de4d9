"""The environments of gymnax as `Environment`s; nothing else imports that library."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import sys
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dljax.envs.environment import Array, Box, Discrete, Environment, Key, Space, Step


@jax.ensure_compile_time_eval()  # so it may be called in a program that is traced (a sweep's)
def make(name: str, **parameters: Any) -> Environment:
    """An environment of gymnax by its name, with its own parameters where they are given.

    parameters: fields of its EnvParams (max_steps_in_episode and others) or arguments of its class.
    Raises ValueError, with the nearest names, for an unknown name or parameter.
    """
    env, params = _make(name, parameters)
    return from_gymnax(env, params, name)


@jax.ensure_compile_time_eval()
def all_parameters(name: str, **parameters: Any) -> dict[str, Any]:
    """The parameters of the environment that `make` returns, those that are not given too."""
    _, params = _make(name, parameters)
    found = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    return {key: np.asarray(x).tolist() for key, x in found.items()}


class _Later(ModuleType):
    """Stands for a module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _gymnax() -> ModuleType:
    """The library without seaborn: half of its import, which some of its pictures alone need."""
    later = sys.modules.setdefault("seaborn", _Later("seaborn"))
    try:
        import gymnax
    finally:
        if isinstance(later, _Later):
            sys.modules.pop("seaborn", None)
    return gymnax


def _make(name: str, parameters: dict[str, Any]) -> tuple[Any, Any]:
    gymnax = _gymnax()
    names = list(gymnax.registered_envs)
    if name not in names:
        raise ValueError(f"unknown environment {name!r}; {_near(name, names)}")
    if name == "MNISTBandit-bsuite":
        raise ValueError("MNISTBandit-bsuite downloads MNIST: it is not supported")
    env, params = gymnax.make(name)
    fields = [field.name for field in dataclasses.fields(params)]
    arguments = [a for a in inspect.signature(type(env).__init__).parameters if a != "self"]
    for wrong in parameters.keys() - {*fields, *arguments}:
        raise ValueError(f"{name} has no parameter {wrong!r}; {_near(wrong, fields + arguments)}")
    own = {k: v for k, v in parameters.items() if k in arguments}
    if own:
        env, params = gymnax.make(name, **own)
    return env, params.replace(**{k: v for k, v in parameters.items() if k in fields})


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
    return f"did you mean {' or '.join(near[:3])}?" if near else f"known are {', '.join(known)}"
