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
from dljax.envs.driving.camera import Scenery, dazzled, draw_scenery
from dljax.envs.driving.environment import Driving, Settings
from dljax.envs.driving.tracks import Track
from dljax.envs.environment import Key
from dljax.train.loop import Sums

INTERVENTION = 6.0  # seconds
UNSEEN = 0x5EED  # root key of the tracks of an evaluation
CAUTION = 0.5  # share of the top speed that is counted on where the driver decides about it
ROUTE = 0.95  # share of the way at full time that a drive is scored over, if its lap is longer


class Driver(NamedTuple):
    """What drives a car. act: (memory, state, obs) -> (memory, answer); start: its first memory.

    The answer is what `environment.commanded` takes. A teacher reads the state, a network obs.
    """

    act: Callable[[Any, Driving, Array], tuple[Any, Array]]
    start: Any = ()


class Condition(NamedTuple):
    """What a drive is disturbed by.

    delay: further steps until steering reaches the wheels. visibility: of fog, m, where it is less
    than the scenery's own. shift, yaw: m and rad to the left by which the camera was knocked.
    glare: brightness of the sun (`camera.dazzled`). dark: share of the time in which the camera
    sees nothing (`environment.darkened`). All but delay may be traced.
    """

    delay: int = 0
    visibility: float | Array = jnp.inf
    shift: float | Array = 0.0
    yaw: float | Array = 0.0
    glare: float | Array = 0.0
    dark: float | Array = 0.0

    def seen(self, scenery: Scenery) -> Scenery:
        """A scenery under this condition."""
        return scenery._replace(
            visibility=jnp.minimum(scenery.visibility, self.visibility),
            shift=scenery.shift + self.shift,
            yaw=scenery.yaw + self.yaw,
        )


CONDITIONS = {
    "fog": Condition(visibility=12.0),
    "glare": Condition(glare=0.9),
    "camera moved": Condition(shift=0.3, yaw=0.05),
    "delay": Condition(delay=3),
    "camera dark": Condition(dark=0.3),
}


class Drive(NamedTuple):
    """One drive of T steps [T, ...]: positions in m, steering in rad, speed in m/s.

    x, y, lateral, steer, speed: after each step; curvature: of the road there, 1/m. driving: before
    the end of the route. intervened: the step left the road. progress: m along the road. route: a
    lap, or what can be driven in ROUTE of the time, m.
    """

    x: Array
    y: Array
    lateral: Array
    steer: Array
    speed: Array
    curvature: Array
    driving: Array
    intervened: Array
    progress: Array
    route: Array


def road(settings: Settings, number: Array) -> tuple[Track, Scenery, Key]:
    """Track, scenery and key of the sensor's noise of drive `number`.

    Even numbers go one way around a track, the odd one after it the other way.
    """
    key = jax.random.fold_in(jax.random.key(UNSEEN), number // 2)
    track_key, scenery_key, noise_key = jax.random.split(key, 3)
    track = tracks.draw(track_key, settings.roads)
    back = number % 2 == 1
    track = jax.tree.map(lambda a, b: jnp.where(back, a, b), tracks.reverse(track), track)
    return track, draw_scenery(scenery_key), noise_key


def drive(
    settings: Settings,
    driver: Driver,
    number: Array,
    condition: Condition | None = None,
) -> tuple[Drive, Array]:
    """Drive `number`, and what was observed before each of its steps, [limit, ...].

    It depends on the driver, its number and the condition alone.
    """
    track, scenery, noise_key = road(settings, number)
    if condition:
        settings = settings._replace(delay=settings.delay + condition.delay)
        scenery = condition.seen(scenery)
    pace = settings.speed * (CAUTION if settings.pedal else 1)
    route = jnp.minimum(track.length, ROUTE * settings.limit * pace * settings.dt)
    start = environment.put(settings, track, scenery, 0, 0.0, 0.0, noise_key)

    def one(carry: tuple[Any, Driving], _: None) -> tuple[tuple[Any, Driving], tuple]:
        memory, state = carry
        driving = state.progress < route
        obs = environment.observed(settings, state)
        if condition and settings.view:
            obs = dazzled(settings.view, scenery, state.car, obs, condition.glare)
            obs = environment.darkened(state, obs, condition.dark)
        memory, answer = driver.act(memory, state, obs)
        state = environment.moved(settings, state, environment.commanded(settings, state, answer))
        place = state.place
        off = jnp.abs(place.lateral) > track.half_width
        back = environment.put(settings, track, scenery, place.index, 0.0, 0.0, noise_key)
        back = back._replace(progress=state.progress, time=state.time)
        after = jax.tree.map(lambda a, b: jnp.where(off, a, b), back, state)
        seen = Drive(
            state.car.x, state.car.y, place.lateral, state.car.steer, state.car.speed,
            place.curvature, driving, off & driving, state.progress, route,
        )  # fmt: skip
        return (memory, after), (seen, obs)

    return jax.lax.scan(one, (driver.start, start), None, length=settings.limit)[1]


def scores(settings: Settings, driven: Drive) -> dict[str, Array]:
    """Scores of one drive [T], each a number.

    completed: share of the route before the first intervention. autonomy: Nvidia's, of the time of
    the route. interventions, kilometres: of the whole route. lateral_mean, lateral_95,
    lateral_worst: m from the centre. jerk: root mean square of the change of the lateral
    acceleration that the wheels ask for, m/s^3. With a pedal also speed_mean, m/s.
    """
    x, on = driven, driven.driving
    count = x.intervened.sum()
    first = jnp.where(count > 0, jnp.argmax(x.intervened), len(on) - 1)
    aside = jnp.where(on, jnp.abs(x.lateral), jnp.nan)
    acceleration = x.speed**2 * jnp.tan(x.steer) / settings.vehicle.wheelbase
    jerk = jnp.where(on[1:], jnp.diff(acceleration) / settings.dt, jnp.nan)
    found = {
        "completed": jnp.clip(x.progress[first] / x.route[0], 0, 1),
        "autonomy": jnp.maximum(0, 1 - INTERVENTION * count / (on.sum() * settings.dt)),
        "interventions": count.astype(jnp.float32),
        "kilometres": jnp.where(on, x.progress, 0).max() / 1000,
        "lateral_mean": jnp.nanmean(aside),
        "lateral_95": jnp.nanpercentile(aside, 95),
        "lateral_worst": jnp.nanmax(aside),
        "jerk": jnp.sqrt(jnp.nanmean(jerk**2)),
    }
    if settings.pedal:
        found["speed_mean"] = jnp.nanmean(jnp.where(on, x.speed, jnp.nan))
    return found


def evaluate(
    settings: Settings,
    driver: Driver,
    batch: dict[str, Array],
    condition: Condition | None = None,
) -> Sums:
    """Sums of the scores of the drives whose numbers are batch["drive"], int [B]."""

    def one(number: Array) -> dict[str, Array]:
        return scores(settings, drive(settings, driver, number, condition)[0])

    found, mask = jax.vmap(one)(batch["drive"]), batch["example_mask"]
    count = mask.sum()
    sums = {name: (jnp.sum(x * mask), count) for name, x in found.items()}
    interventions, (kilometres, _) = sums.pop("interventions")[0], sums.pop("kilometres")
    return sums | {"interventions_per_km": (interventions, kilometres)}
