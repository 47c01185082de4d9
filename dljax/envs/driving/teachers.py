"""Drivers that know the road: pure pursuit, Stanley's controller, a PID on the lateral error.

Each is a function (vehicle, track, car, place) -> steering angle in rad, without memory; `cruising`
says how fast to drive. They teach imitation, and are the baselines of what learns from pictures.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from dljax.envs.driving.dynamics import Car, Vehicle
from dljax.envs.driving.tracks import POINTS, Place, Track

STEP = 2.0  # metres between the places whose curvature is looked at


def pure_pursuit(
    vehicle: Vehicle, track: Track, car: Car, place: Place, seconds: float = 0.5, least: float = 4.0
) -> Array:
    """Steers on the arc through a point of the centre line ahead (Coulter 1992).

    The point lies `seconds` ahead at the car's speed, and `least` metres at the least. With the
    rear axle as the origin, an arc through a point at distance l and offset y to the left has the
    curvature 2 y / l^2.
    """
    far = jnp.maximum(seconds * car.speed, least) + vehicle.rear
    at = (place.along + far) / track.spacing
    low = jnp.floor(at).astype(jnp.int32)
    share = at - low
    point = (1 - share) * track.position[low % POINTS] + share * track.position[(low + 1) % POINTS]
    cos, sin = jnp.cos(car.heading), jnp.sin(car.heading)
    dx = point[0] - (car.x - vehicle.rear * cos)
    dy = point[1] - (car.y - vehicle.rear * sin)
    curvature = 2 * (cos * dy - sin * dx) / (dx**2 + dy**2)
    return jnp.arctan(vehicle.wheelbase * curvature)


def stanley(vehicle: Vehicle, track: Track, car: Car, place: Place, gain: float = 1.5) -> Array:
    """Heading error plus an angle towards the line, of the front axle (Hoffmann et al. 2007)."""
    del track
    error = place.heading - car.heading
    error = jnp.arctan2(jnp.sin(error), jnp.cos(error))
    lateral = place.lateral - vehicle.front * jnp.sin(error)
    bend = jnp.arctan(vehicle.wheelbase * place.curvature)
    return bend + error - jnp.arctan2(gain * lateral, jnp.maximum(car.speed, 1.0))


def proportional(
    vehicle: Vehicle, track: Track, car: Car, place: Place, gain: float = 0.08, damping: float = 0.5
) -> Array:
    """Proportional and derivative control of the lateral error alone: it cuts no bend ahead."""
    del vehicle, track
    error = jnp.sin(car.heading - place.heading)  # the derivative of lateral, over the distance
    return -gain * place.lateral - damping * error


def cruising(
    track: Track, place: Place, most: float, grip: float = 4.0, brake: float = 3.0
) -> Array:
    """The speed in m/s, up to `most`, from which all bends ahead can be taken.

    A bend of curvature k at the speed v asks for k v^2 <= grip (m/s^2); a car that brakes by
    `brake` (m/s^2) over d metres may come with sqrt(v^2 + 2 brake d). Looks as far ahead as it
    takes to stop.
    """
    far = jnp.arange(0.0, most**2 / (2 * brake) + STEP, STEP)
    index = jnp.round((place.along + far) / track.spacing).astype(jnp.int32) % POINTS
    squared = grip / jnp.maximum(jnp.abs(track.curvature[index]), 1e-4)
    return jnp.minimum(jnp.sqrt(jnp.min(squared + 2 * brake * far)), most)
