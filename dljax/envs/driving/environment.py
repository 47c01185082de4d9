"""Driving as an `Environment`: a car's camera (or its place on the road), steering, a closed road.

An action is [steering], or [steering, pedal], each -1 to 1 (left and forwards positive). Leaving
the road terminates an episode; the time limit truncates it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.envs.driving import camera, dynamics, tracks
from dljax.envs.driving.camera import Scenery, View
from dljax.envs.driving.dynamics import Car, Vehicle
from dljax.envs.driving.tracks import Place, Roads, Track
from dljax.envs.environment import Box, Environment, Key, Step

SUBSTEPS = 2
SPELL = 8  # steps that the camera sees or is dark at a stretch
LOOK = (5.0, 10.0, 20.0, 30.0)  # distances of the curvatures that a state observation holds, m


class Settings(NamedTuple):
    """What a simulation is like.

    view: of the camera; None: the observation is the car's place on the road, 7 + 4 numbers.
    dt: seconds of a step. speed: m/s that the car keeps where pedal is false. slip: the dynamic
    bicycle. delay: steps until steering reaches the wheels. dark: share of the time in which the
    camera sees nothing, in spells of SPELL steps. start: largest lateral offset, m, and turn, rad,
    at the beginning. cars: others, on the road at rest. limit: steps of an episode.
    """

    view: View | None = View()
    roads: Roads = Roads()
    vehicle: Vehicle = Vehicle()
    dt: float = 0.1
    speed: float = 8.0
    pedal: bool = False
    slip: bool = False
    delay: int = 0
    dark: float = 0.0
    start: tuple[float, float] = (0.5, 0.1)
    cars: int = 0
    limit: int = 800


class Driving(NamedTuple):
    """A car on a track. commands [delay + 1]: steering on its way to the wheels, newest last.
    place: of the car. progress: m driven along the road since the start. time: steps.
    others [cars, 3]: x, y, heading; None without. noise: seed of the sensor's, uint32."""

    track: Track
    scenery: Scenery
    car: Car
    place: Place
    commands: Array
    progress: Array
    time: Array
    others: Array | None
    noise: Array


def make(settings: Settings = Settings()) -> Environment:  # noqa: B008
    """The environment of some settings."""
    size = 2 if settings.pedal else 1
    if settings.view is None:
        space = Box((7 + len(LOOK),))
    else:
        space = Box((settings.view.height, settings.view.width, 3), 0.0, 1.0)
    return Environment(
        "driving",
        partial(reset, settings),
        partial(step, settings),
        space,
        Box((size,), -1.0, 1.0),
        settings.limit,
    )


def reset(settings: Settings, key: Key) -> tuple[Driving, Array]:
    """A car near the centre of a random track, in a random direction of it."""
    track_key, scenery_key, side_key, pose_key, others_key, noise_key = jax.random.split(key, 6)
    track = tracks.draw(track_key, settings.roads)
    turned = jax.random.bernoulli(side_key)
    track = jax.tree.map(partial(jnp.where, turned), tracks.reverse(track), track)
    scenery = camera.draw_scenery(scenery_key)
    state = put(settings, track, scenery, 0, *_pose(settings, pose_key), noise_key)
    if settings.cars:
        where = jax.random.randint(others_key, (settings.cars,), 20, tracks.POINTS - 10)
        state = state._replace(others=_parked(track, where))
    return state, observed(settings, state)


def _pose(settings: Settings, key: Key) -> tuple[Array, Array]:
    pose = jax.random.uniform(key, (2,), minval=-1.0)
    return pose[0] * settings.start[0], pose[1] * settings.start[1]


def _parked(track: Track, index: Array) -> Array:
    """Cars in the right lane, [N, 3]."""
    heading, lateral = track.heading[index], -track.half_width / 2
    x = track.position[index, 0] - jnp.sin(heading) * lateral
    y = track.position[index, 1] + jnp.cos(heading) * lateral
    return jnp.stack([x, y, heading], -1)


def put(
    settings: Settings,
    track: Track,
    scenery: Scenery,
    index: Array | int,
    lateral: Array | float,
    turn: Array | float,
    key: Key,
) -> Driving:
    """A car beside point `index` of a track: lateral in m and turn in rad, both to the left.

    It drives at `speed`; with a pedal at half of it, as there may be a bend.
    """
    heading = track.heading[index]
    x = track.position[index, 0] - jnp.sin(heading) * lateral
    y = track.position[index, 1] + jnp.cos(heading) * lateral
    zero = jnp.zeros(())
    speed = jnp.asarray(settings.speed / 2 if settings.pedal else settings.speed, jnp.float32)
    car = Car(x, y, heading + turn, speed, zero, zero, zero)
    return Driving(
        track, scenery, car, tracks.place(track, x, y), jnp.zeros(settings.delay + 1), zero,
        jnp.int32(0), None, jax.random.bits(key),
    )  # fmt: skip


def observed(settings: Settings, state: Driving) -> Array:
    """What is seen of a state: a picture [H, W, 3] in 0..1, or `features`."""
    if settings.view is None:
        return features(settings, state)
    noise = state.noise + state.time.astype(jnp.uint32)
    picture = camera.render(
        settings.view, state.track, state.scenery, state.car, state.place.index, noise, state.others
    )
    return darkened(state, picture, settings.dark) if settings.dark else picture


def darkened(state: Driving, picture: Array, share: float | Array) -> Array:
    """A picture, or black in the spells that are dark for a share of the time."""
    spell = jax.random.fold_in(jax.random.key(state.noise), state.time // SPELL)
    return jnp.where(jax.random.uniform(spell) < share, 0.0, picture)


def features(settings: Settings, state: Driving) -> Array:
    """The car's place on the road as numbers of about 1: a privileged observation."""
    car, place, track = state.car, state.place, state.track
    error = car.heading - place.heading
    ahead = place.index + jnp.round(jnp.asarray(LOOK) / track.spacing).astype(jnp.int32)
    return jnp.concatenate(
        [
            jnp.stack([
                place.lateral / track.half_width, jnp.sin(error), jnp.cos(error),
                car.speed / 10, car.side_speed, car.yaw_rate,
                car.steer / settings.vehicle.max_steer,
            ]),
            10 * track.curvature[ahead % tracks.POINTS],
        ]
    )  # fmt: skip


def pedal(settings: Settings, car: Car, speed: Array | float) -> Array:
    """The pedal, -1 to 1, that brings a car to a speed in m/s within a step, if it can."""
    acceleration = (speed - car.speed) / settings.dt
    return jnp.clip(acceleration / _strength(settings.vehicle, acceleration), -1, 1)


def _strength(vehicle: Vehicle, push: Array) -> Array:
    """The acceleration or braking of a full pedal, m/s^2."""
    return jnp.where(push > 0, vehicle.max_acceleration, vehicle.max_braking)


def commanded(settings: Settings, state: Driving, answer: Array) -> Array:
    """The action of a driver who says [steering], or [steering, share of `speed` to drive at]."""
    if not settings.pedal:
        return answer[:1]
    share = answer[1] if len(answer) > 1 else 1.0
    return jnp.stack([answer[0], pedal(settings, state.car, settings.speed * share)])


def moved(settings: Settings, state: Driving, action: Array) -> Driving:
    """The state after a step of an action, wherever it leads."""
    vehicle, dt = settings.vehicle, settings.dt / SUBSTEPS
    action = jnp.clip(action, -1, 1)
    commands = jnp.append(state.commands[1:], action[0] * vehicle.max_steer)
    push = action[1] if settings.pedal else pedal(settings, state.car, settings.speed)
    acceleration = push * _strength(vehicle, push)
    car = state.car
    move = dynamics.dynamic if settings.slip else dynamics.kinematic
    for _ in range(SUBSTEPS):
        car = dynamics.turned(vehicle, car, commands[0], dt)
        car = move(vehicle, car, acceleration, dt)
    place = tracks.place_near(state.track, car.x, car.y, state.place.index)
    length = state.track.length
    ahead = place.along - state.place.along
    ahead = ahead - length * jnp.round(ahead / length)
    return state._replace(
        car=car, place=place, commands=commands, progress=state.progress + ahead,
        time=state.time + 1,
    )  # fmt: skip


def step(settings: Settings, key: Key, state: Driving, action: Array) -> tuple[Driving, Step]:
    """A step; the reward is the progress in units of a step at `speed`, less off the centre."""
    del key
    before = state.progress
    state = moved(settings, state, action)
    off = jnp.abs(state.place.lateral) / state.track.half_width
    hit = _collided(state) if settings.cars else False
    terminated = (off > 1) | hit
    reward = (state.progress - before) / (settings.speed * settings.dt) - 0.5 * off**2
    truncated = (state.time >= settings.limit) & ~terminated
    return state, Step(observed(settings, state), reward.astype(jnp.float32), terminated, truncated)


def _collided(state: Driving) -> Array:
    """Whether the car touches another one: circles of a box's half diagonal."""
    distance = jnp.hypot(state.others[:, 0] - state.car.x, state.others[:, 1] - state.car.y)
    return (distance < np.hypot(*camera.BOX[:2]) / 2).any()
