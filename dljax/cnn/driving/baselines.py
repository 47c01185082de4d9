"""Drivers without a network: straight on, and a lane finder by hand with a PD controller."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.cnn.driving.closed_loop import Driver
from dljax.envs.driving.environment import Driving

ROWS = (0.55, 0.8)  # of the picture's height, from the top, in which the road is looked for
SHARP = 20.0  # of the border between road and what is not, per unit of colour
PROPORTIONAL, DERIVATIVE = 1.2, 1.0  # steering (-1 to 1) per half of a picture, and per step


def straight_on(memory: Any, state: Driving, obs: Array) -> tuple[Any, Array]:
    """Never steers."""
    del state, obs
    return memory, jnp.zeros(1)


def lane_finder(memory: Array, state: Driving, obs: Array) -> tuple[Array, Array]:
    """Steers towards the middle of the road, which is what has the colour in front of the car.

    obs: a picture [H, W, 3]. memory []: the offset of the step before, shares of half a picture.
    """
    del state
    height, width = obs.shape[:2]
    low, high = (int(share * height) for share in ROWS)
    quarter = width // 4
    front = jnp.median(obs[high:, quarter:-quarter].reshape(-1, 3), axis=0)
    band = obs[low:high]
    distance = jnp.sqrt(((band - front) ** 2).sum(-1))
    road = 1 / (1 + jnp.exp(SHARP * (distance - 0.1)))
    column = (jnp.arange(width) + 0.5) / (width / 2) - 1  # -1 to 1, to the right
    offset = (road * column).sum() / jnp.maximum(road.sum(), 1.0)
    steer = -PROPORTIONAL * offset - DERIVATIVE * (offset - memory)
    return offset, jnp.clip(steer, -1, 1)[None]


STRAIGHT_ON = Driver(straight_on)
LANE_FINDER = Driver(lane_finder, np.float32(0))
