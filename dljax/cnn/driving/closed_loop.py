"""Scores of a driver by where the car ends up: unseen tracks, both directions, interventions.

A driver that leaves the road is put back onto its centre, as a safety driver would; that is an
intervention, and counts six seconds in Nvidia's autonomy (Bojarski et al. 2016, section 7.1):

    autonomy = 1 - 6 s * interventions / elapsed time
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.envs.driving import environment, tracks
from dljax.envs.driving.camera import Scenery, draw_scenery
from dljax.envs.driving.environment import Driving, Settings
from dljax.envs.environment import Key

# (memory, state, obs) -> (memory, action); a teacher reads the state, a network obs alone.
Driver = Callable[[Any, Driving, Array], tuple[Any, Array]]

INTERVENTION = 6.0  # seconds
Change = Callable[[Scenery], Scenery]


class Drive(NamedTuple):
    """One drive of T steps [T, ...]: positions in m, steering in rad.

    x, y, lateral, steer: after each step. driving: before the end of the first lap. intervened: the
    step left the road. progress: m along the road. lap: length of the road, m.
    """

    x: Array
    y: Array
    lateral: Array
    steer: Array
    driving: Array
    intervened: Array
    progress: Array
    lap: Array


def drive(
    settings: Settings,
    driver: Driver,
    memory: Any,
    key: Key,
    backwards: Array,
    change: Change = lambda scenery: scenery,
) -> Drive:
    """One lap of a random track, `settings.limit` steps at most.

    change: of the scenery: haze, glare, a shifted camera.
    """
    track_key, scenery_key, noise_key = jax.random.split(key, 3)
    track = tracks.draw(track_key, settings.roads)
    track = jax.tree.map(lambda a, b: jnp.where(backwards, a, b), tracks.reverse(track), track)
    scenery = change(draw_scenery(scenery_key))
    state = environment.put(settings, track, scenery, 0, 0.0, 0.0, noise_key)

    def one(carry: tuple[Any, Driving], _: None) -> tuple[tuple[Any, Driving], Drive]:
        memory, state = carry
        driving = state.progress < track.length
        memory, action = driver(memory, state, environment.observed(settings, state))
        state = environment.moved(settings, state, action)
        place = state.place
        off = jnp.abs(place.lateral) > track.half_width
        back = environment.put(settings, track, scenery, place.index, 0.0, 0.0, noise_key)
        back = back._replace(progress=state.progress, time=state.time)
        after = jax.tree.map(lambda a, b: jnp.where(off, a, b), back, state)
        seen = Drive(
            state.car.x, state.car.y, place.lateral, state.car.steer, driving, off & driving,
            state.progress, track.length,
        )  # fmt: skip
        return (memory, after), seen

    return jax.lax.scan(one, (memory, state), None, length=settings.limit)[1]


def scores(settings: Settings, drives: Drive) -> dict[str, np.ndarray]:
    """Scores of N drives [N, T], each an array [N].

    completed: share of the lap before the first intervention. autonomy: Nvidia's, of the time of
    the lap. interventions_per_km. lateral_mean, lateral_95, lateral_worst: m from the centre.
    jerk: root mean square of the change of the lateral acceleration, m/s^3, from the steering.
    """
    x = jax.tree.map(np.asarray, drives)
    on, steps = x.driving, x.driving.sum(1)
    count = x.intervened.sum(1)
    first = np.where(x.intervened.any(1), x.intervened.argmax(1), x.lateral.shape[1] - 1)
    rows = np.arange(len(first))
    lap = x.lap[:, 0]
    driven = np.where(on, x.progress, 0).max(1)
    aside = np.where(on, np.abs(x.lateral), np.nan)
    wheelbase = settings.vehicle.wheelbase
    acceleration = settings.speed**2 * np.tan(x.steer) / wheelbase
    jerk = np.diff(acceleration, axis=1) / settings.dt
    return {
        "completed": np.clip(x.progress[rows, first] / lap, 0, 1),
        "autonomy": np.maximum(0, 1 - INTERVENTION * count / (steps * settings.dt)),
        "interventions_per_km": count / np.maximum(driven / 1000, 1e-9),
        "lateral_mean": np.nanmean(aside, 1),
        "lateral_95": np.nanpercentile(aside, 95, 1),
        "lateral_worst": np.nanmax(aside, 1),
        "jerk": np.sqrt(np.nanmean(np.where(on[:, 1:], jerk, np.nan) ** 2, 1)),
    }
