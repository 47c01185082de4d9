"""Environments by name: our own simulator of driving, and those of gymnax."""

from __future__ import annotations

from typing import Any

from dljax.envs import gymnax_environments
from dljax.envs.driving import parameters as driving
from dljax.envs.environment import Environment


def make(name: str, **parameters: Any) -> Environment:
    """An environment by its name, with its own parameters where they are given.

    Raises ValueError, with the nearest names, for an unknown name or parameter.
    """
    if name == driving.NAME:
        return driving.make(parameters)
    return gymnax_environments.make(name, **parameters)


def all_parameters(name: str, **parameters: Any) -> dict[str, Any]:
    """The parameters of the environment that `make` returns, those that are not given too."""
    if name == driving.NAME:
        return driving.completed(parameters)
    return gymnax_environments.all_parameters(name, **parameters)
