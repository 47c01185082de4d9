"""Imitation of a teacher in simulation: behaviour cloning, recovery, DAgger (Ross et al. 2011).

What is remembered of a drive is where the car was, not what it saw: a few numbers. The pictures of
a batch are rendered within the step, each with another scenery than it was driven in, and the
teacher is asked there. So the memory is small enough for the checkpoint, shifted and turned views
are exact, and no picture is learned twice.

- cloning: the teacher drives, from the centre of the road; the network learns what it did.
- recovery: as cloning, from views that are shifted and turned at random, with the teacher's
  steering from there (Bojarski et al. 2016, section 3).
- dagger: the network drives more and more of the cars, and learns what the teacher would have done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from dljax.cnn.driving import closed_loop
from dljax.cnn.driving.closed_loop import Driver
from dljax.envs.driving import environment, teachers, tracks
from dljax.envs.driving.camera import draw_scenery
from dljax.envs.driving.environment import Driving
from dljax.envs.driving.tracks import Track
from dljax.envs.environment import Key
from dljax.train import supervised
from dljax.train.loop import Sums, Task

METHODS = ("cloning", "recovery", "dagger")


class Settings(NamedTuple):
    """simulation: with a camera. method: one of METHODS.

    tracks: that are trained on. cars: that drive, rollout: steps of each before an update.
    memory: places of each car that are remembered, a multiple of rollout. batch_size: pictures of
    an update. handover: steps of the task after which the network drives all cars (dagger).
    shift, turn: largest of recovery, in m and rad. lifetime: steps of a car on one track, on
    average.
    """

    simulation: environment.Settings = environment.Settings()
    method: str = "dagger"
    teacher: Callable[..., Array] = teachers.pure_pursuit
    tracks: int = 64
    cars: int = 16
    rollout: int = 2
    memory: int = 1000
    batch_size: int = 64
    handover: int = 500
    shift: float = 1.5
    turn: float = 0.2
    lifetime: int = 200


class Visit(NamedTuple):
    """Where a car was: the number of its track, its pose in m and rad, its front wheels in rad."""

    track: Array
    x: Array
    y: Array
    heading: Array
    steer: Array


class State(struct.PyTreeNode):
    """network: of the learner. pool: the tracks [T, ...]. driven: states of the cars [N, ...] and
    the numbers of their tracks, on [N]. visits [memory, N]. step: int32, steps done."""

    network: supervised.State
    pool: Track
    driven: Driving
    on: Array
    visits: Visit
    step: Array


def driver(model: nn.Module, network: supervised.State) -> Driver:
    """The network as a driver of one car."""

    def act(memory: Any, state: Driving, obs: Array) -> tuple[Any, Array]:
        del state
        return memory, model.apply(network.variables(), obs[None])

    return act


def teacher_driver(settings: environment.Settings, teacher: Callable[..., Array]) -> Driver:
    """A teacher as a driver."""

    def act(memory: Any, state: Driving, obs: Array) -> tuple[Any, Array]:
        del obs
        return memory, _asked(settings, teacher, state)[None]

    return act


def _asked(settings: environment.Settings, teacher: Callable[..., Array], state: Driving) -> Array:
    """The teacher's steering in -1..1."""
    steer = teacher(settings.vehicle, state.track, state.car, state.place)
    return jnp.clip(steer / settings.vehicle.max_steer, -1, 1)


def task(model: nn.Module, tx: optax.GradientTransformation, settings: Settings) -> Task:
    """Learning to steer. model: pictures [B, H, W, 3] to steering [B], -1 to 1.

    A batch is (). An evaluation drives laps of unseen tracks: its batch is {"drive": int [B]}, of
    which even numbers go one way and odd ones the other way around the track before them.
    """
    simulation = settings.simulation

    def somewhere(key: Key, pool: Track) -> tuple[Driving, Array]:
        """A car at a random place of a random track, and the track's number.

        Not on its centre, but where teachers are cloned: that would be recovery already.
        """
        keys = jax.random.split(key, 5)
        number = jax.random.randint(keys[0], (), 0, settings.tracks)
        index = jax.random.randint(keys[1], (), 0, tracks.POINTS)
        track = jax.tree.map(lambda x: x[number], pool)
        start = (0.0, 0.0) if settings.method == "cloning" else simulation.start
        offset = jax.random.uniform(keys[2], (2,), minval=-1.0) * jnp.array(start)
        scenery = draw_scenery(keys[3])
        return environment.put(simulation, track, scenery, index, *offset, keys[4]), number

    def init(key: Key) -> State:
        model_key, track_key, car_key = jax.random.split(key, 3)
        view = simulation.view
        variables = model.init(model_key, jnp.zeros((1, view.height, view.width, 3)))
        pool = jax.vmap(partial(tracks.draw, roads=simulation.roads))(
            jax.random.split(track_key, settings.tracks)
        )
        turned = jax.vmap(tracks.reverse)(pool)
        back = jnp.arange(settings.tracks) % 2 == 1  # half of them the other way around
        pool = jax.tree.map(
            lambda a, b: jnp.where(back.reshape(-1, *(1,) * (a.ndim - 1)), a, b), turned, pool
        )
        keys = jax.random.split(car_key, settings.cars)
        driven, on = jax.vmap(partial(somewhere, pool=pool))(keys)
        zeros = jnp.zeros((settings.memory, settings.cars))
        visits = Visit(zeros.astype(jnp.int32), zeros, zeros, zeros, zeros)
        state = supervised.create_state(variables, tx)
        return State(state, pool, driven, on, visits, jnp.int32(0))

    def collect(state: State, key: Key) -> State:
        """Drives all cars for `rollout` steps and remembers where they were."""
        share = jnp.minimum(1.0, state.step / settings.handover)
        by_network = (jnp.arange(settings.cars) + 0.5) / settings.cars < share
        if settings.method != "dagger":
            by_network = jnp.zeros(settings.cars, bool)

        def one(carry, key):
            driven, on = carry
            leave_key, place_key = jax.random.split(key)
            car = driven.car
            visit = Visit(on, car.x, car.y, car.heading, car.steer)
            steer = jax.vmap(partial(_asked, simulation, settings.teacher))(driven)
            if settings.method == "dagger":
                pictures = jax.vmap(partial(environment.observed, simulation))(driven)
                own = model.apply(state.network.variables(), pictures)
                steer = jnp.where(by_network, own, steer)
            driven = jax.vmap(partial(environment.moved, simulation))(driven, steer[:, None])
            off = jnp.abs(driven.place.lateral) > driven.track.half_width
            leave = jax.random.bernoulli(leave_key, 1 / settings.lifetime, off.shape)
            fresh = jax.vmap(partial(somewhere, pool=state.pool))(
                jax.random.split(place_key, settings.cars)
            )

            def renewed(new: Array, old: Array) -> Array:
                return jnp.where((off | leave).reshape(-1, *(1,) * (old.ndim - 1)), new, old)

            return jax.tree.map(renewed, fresh, (driven, on)), visit

        (driven, on), seen = jax.lax.scan(
            one, (state.driven, state.on), jax.random.split(key, settings.rollout)
        )
        row = state.step * settings.rollout % settings.memory
        visits = jax.tree.map(
            lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, row, 0),
            state.visits,
            seen,
        )
        return state.replace(driven=driven, on=on, visits=visits)

    def lesson(state: State, key: Key) -> tuple[Array, Array]:
        """A picture from a remembered place and the teacher's steering there."""
        row_key, car_key, shift_key, scenery_key, noise_key = jax.random.split(key, 5)
        filled = jnp.minimum((state.step + 1) * settings.rollout, settings.memory)
        row = jax.random.randint(row_key, (), 0, filled)
        visit = jax.tree.map(
            lambda x: x[row, jax.random.randint(car_key, (), 0, settings.cars)], state.visits
        )
        track = jax.tree.map(lambda x: x[visit.track], state.pool)
        shift = turn = 0.0
        if settings.method == "recovery":
            offset = jax.random.uniform(shift_key, (2,), minval=-1.0)
            shift, turn = offset[0] * settings.shift, offset[1] * settings.turn
        place = tracks.place(track, visit.x, visit.y)
        x = visit.x - jnp.sin(place.heading) * shift
        y = visit.y + jnp.cos(place.heading) * shift
        at = environment.put(
            simulation, track, draw_scenery(scenery_key), place.index, 0.0, 0.0, noise_key
        )
        car = at.car._replace(x=x, y=y, heading=visit.heading + turn, steer=visit.steer)
        at = at._replace(car=car, place=tracks.place_near(track, x, y, place.index))
        return environment.observed(simulation, at), _asked(simulation, settings.teacher, at)

    def step(state: State, batch: tuple, key: Key) -> tuple[State, Sums]:
        del batch
        drive_key, lesson_key = jax.random.split(key)
        state = collect(state, drive_key)
        pictures, wanted = jax.vmap(partial(lesson, state))(
            jax.random.split(lesson_key, settings.batch_size)
        )

        def loss(params):
            error = model.apply({"params": params}, pictures) - wanted
            return jnp.mean(error**2), ({}, error)

        network, error, norm = supervised.gradient_step(state.network, tx, loss)
        count = jnp.float32(settings.batch_size)
        sums = {
            "loss": (jnp.sum(error**2), count),
            "mae_degrees": (
                jnp.rad2deg(simulation.vehicle.max_steer) * jnp.sum(jnp.abs(error)), count
            ),
            "gradient_norm": norm,
        }  # fmt: skip
        return state.replace(network=network, step=state.step + 1), sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        return closed_loop.evaluate(simulation, driver(model, state.network), batch)

    return Task(init, step, evaluate)
