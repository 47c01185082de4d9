"""An environment of your own by module and function: --env=my_module:make.

The function takes parameters by name (--env_params) and returns an `Environment`, or what
gymnax.make returns: an environment object of gymnax, alone or with its parameters.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dljax.envs import environment, gymnax_environments
from dljax.envs.environment import Environment


def is_one(name: str) -> bool:
    """Whether a name is that of a module and a function."""
    return ":" in name


@jax.ensure_compile_time_eval()  # so it may be called in a program that is traced (a sweep's)
def make(name: str, parameters: Mapping[str, Any]) -> Environment:
    """The environment that the function returns.

    Raises ValueError, in one line, for a module, function or parameter that is not there, and for
    what is no environment (`environment.check`). What the user's own code raises passes through.
    """
    function = _function(name)
    try:
        inspect.signature(function).bind(**parameters)
    except TypeError as error:
        raise ValueError(f"{name} with env_params: {error}") from None
    made = function(**parameters)
    env, *params = made if type(made) is tuple and len(made) == 2 else (made,)
    if hasattr(env, "step_env"):
        return gymnax_environments.from_gymnax(env, *(params or [env.default_params]), name)
    if not isinstance(made, Environment):
        raise ValueError(
            f"{name} must return a dljax.envs.environment.Environment, or what gymnax.make "
            f"returns, not a {type(made).__name__}"
        )
    return environment.check(made)


def all_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the function: those given, and the defaults that are numbers or texts."""
    described = inspect.signature(_function(name)).parameters
    defaults = {key: x.default for key, x in described.items()}
    known = {key: x for key, x in defaults.items() if isinstance(x, bool | int | float | str)}
    return {**known, **parameters}


def _function(name: str) -> Callable[..., Any]:
    where, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*where.split("."), attribute)):
        raise ValueError(f"an own environment is written MODULE:FUNCTION, not {name!r}")
    try:
        module = importlib.import_module(where)
    except ModuleNotFoundError as error:
        if not f"{where}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports one that is not
        raise ValueError(
            f"{name}: there is no module {error.name} in the working folder or where Python looks "
            "(PYTHONPATH)"
        ) from None
    function = getattr(module, attribute, None)
    if not callable(function):
        own = [key for key, x in vars(module).items() if getattr(x, "__module__", "") == where]
        raise ValueError(
            f"{name}: {module.__file__} has no function {attribute!r}"
            + (f", but {', '.join(own[:5])}" if own else "")
        )
    return function
