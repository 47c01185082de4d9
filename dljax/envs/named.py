"""Environments by name: our own simulator of driving, those of gymnax, and the user's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dljax.envs import gymnax_environments, imported
from dljax.envs.driving import parameters as driving
from dljax.envs.environment import Environment


def make(name: str, **parameters: Any) -> Environment:
    """An environment by its name, with its own parameters where they are given.

    MODULE:FUNCTION is one of the user's own (`imported`). Raises ValueError, with the nearest
    names, for an unknown name or parameter.
    """
    if imported.is_one(name):
        return imported.make(name, parameters)
    if name == driving.NAME:
        return driving.make(parameters)
    return gymnax_environments.make(name, **parameters)


def all_parameters(name: str, **parameters: Any) -> dict[str, Any]:
    """The parameters of the environment that `make` returns, those that are not given too."""
    if imported.is_one(name):
        return imported.all_parameters(name, parameters)
    if name == driving.NAME:
        return driving.completed(parameters)
    return gymnax_environments.all_parameters(name, **parameters)


def parsed(texts: Sequence[str]) -> dict[str, Any]:
    """The parameters that texts name=value give; ValueError, in one line, for other texts."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"env_params are written name=value, not {text!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            raise ValueError(f"env_params: {value!r} is no number, true or false") from None
    return found
