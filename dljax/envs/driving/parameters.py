"""The simulation as a command line names it: --env=driving --env_params=speed=10,slip=true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dljax.envs.driving import environment
from dljax.envs.driving.camera import View
from dljax.envs.driving.environment import Settings
from dljax.envs.environment import Environment

NAME = "driving"
DEFAULTS: dict[str, Any] = {
    "camera": True,  # false: the car's place on the road is observed
    "height": View().height,
    "width": View().width,
    **{
        name: getattr(Settings(), name)
        for name in ("dt", "speed", "pedal", "slip", "delay", "dark", "cars", "limit")
    },
}
LEAST = {
    "height": 8, "width": 8, "dt": 0.01, "speed": 0.5, "delay": 0, "dark": 0, "cars": 0, "limit": 1,
}  # fmt: skip
MOST = {"dark": 0.9}


def completed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters, those that are not given at their defaults.

    Raises ValueError, in one line, for unknown names and for values of the wrong kind or size.
    """
    for name, value in parameters.items():
        if name not in DEFAULTS:
            raise ValueError(f"{NAME} has no parameter {name!r}: it has {', '.join(DEFAULTS)}")
        default = DEFAULTS[name]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = number if isinstance(default, float) else type(value) is type(default)
        if not fits:
            kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
            raise ValueError(f"{NAME}: {name} is {kind}, not {value!r}")
        if name in LEAST and value < LEAST[name]:
            raise ValueError(f"{NAME}: {name} is {LEAST[name]} at the least, not {value!r}")
        if name in MOST and value > MOST[name]:
            raise ValueError(f"{NAME}: {name} is {MOST[name]} at the most, not {value!r}")
    return DEFAULTS | dict(parameters)


def settings(parameters: Mapping[str, Any]) -> Settings:
    """The simulation of these parameters; errors as of `completed`."""
    values = completed(parameters)
    camera, height, width = (values.pop(name) for name in ("camera", "height", "width"))
    return Settings(view=View(height, width) if camera else None, **values)


def make(parameters: Mapping[str, Any]) -> Environment:
    """The environment; errors as of `completed`."""
    return environment.make(settings(parameters))
