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
from jax import Array

from dljax.envs.driving import environment, tracks
from dljax.envs.driving.camera import draw_scenery
from dljax.envs.driving.environment import Driving, Settings
from dljax.envs.environment import Key
from dljax.train.loop import Sums

# (memory, state, obs) -> (memory, action); a teacher reads the state, a network obs alone.
Driver = Callable[[Any, Driving, Array], tuple[Any, Array]]

INTERVENTION = 6.0  # seconds
UNSEEN = 0x5EED  # root key of the tracks of an evaluation


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
) -> Drive:
    """One lap of a random track in a random scenery, `settings.limit` steps at most."""
    track_key, scenery_key, noise_key = jax.random.split(key, 3)
    track = tracks.draw(track_key, settings.roads)
    track = jax.tree.map(lambda a, b: jnp.where(backwards, a, b), tracks.reverse(track), track)
    scenery = draw_scenery(scenery_key)
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


def scores(settings: Settings, driven: Drive) -> dict[str, Array]:
    """Scores of one drive [T], each a number.

    completed: share of the lap before the first intervention. autonomy: Nvidia's, of the time of
    the lap. interventions, kilometres: of the whole lap. lateral_mean, lateral_95, lateral_worst: m
    from the centre. jerk: root mean square of the change of the lateral acceleration that the
    wheels ask for, m/s^3.
    """
    x, on = driven, driven.driving
    count = x.intervened.sum()
    first = jnp.where(count > 0, jnp.argmax(x.intervened), len(on) - 1)
    aside = jnp.where(on, jnp.abs(x.lateral), jnp.nan)
    acceleration = settings.speed**2 * jnp.tan(x.steer) / settings.vehicle.wheelbase
    jerk = jnp.where(on[1:], jnp.diff(acceleration) / settings.dt, jnp.nan)
    return {
        "completed": jnp.clip(x.progress[first] / x.lap[0], 0, 1),
        "autonomy": jnp.maximum(0, 1 - INTERVENTION * count / (on.sum() * settings.dt)),
        "interventions": count.astype(jnp.float32),
        "kilometres": jnp.where(on, x.progress, 0).max() / 1000,
        "lateral_mean": jnp.nanmean(aside),
        "lateral_95": jnp.nanpercentile(aside, 95),
        "lateral_worst": jnp.nanmax(aside),
        "jerk": jnp.sqrt(jnp.nanmean(jerk**2)),
    }


def evaluate(settings: Settings, driver: Driver, batch: dict[str, Array]) -> Sums:
    """Sums of the scores of the drives whose numbers are batch["drive"], int [B].

    Even numbers go one way around a track, the odd one after it the other way. A drive depends on
    the driver and its number alone.
    """

    def one(number: Array) -> dict[str, Array]:
        key = jax.random.fold_in(jax.random.key(UNSEEN), number // 2)
        return scores(settings, drive(settings, driver, (), key, number % 2 == 1))

    found, mask = jax.vmap(one)(batch["drive"]), batch["example_mask"]
    count = mask.sum()
    sums = {name: (jnp.sum(x * mask), count) for name, x in found.items()}
    interventions, (kilometres, _) = sums.pop("interventions")[0], sums.pop("kilometres")
    return sums | {"interventions_per_km": (interventions, kilometres)}
