"""Imitation of a teacher in simulation: behaviour cloning, recovery, DAgger (Ross et al. 2011).

What is remembered of a drive is where the car was, not what it saw: a few numbers. The pictures of
a batch are rendered within the step, each with another scenery than it was driven in, and the
teacher is asked there. So the memory is small enough for the checkpoint, shifted and turned views
are exact, and no picture is learned twice.

- cloning: the teacher drives, from the centre of the road; the network learns what it did.
- recovery: as cloning, from views that are shifted and turned at random, with the teacher's
  steering from there (Bojarski et al. 2016, section 3).
- dagger: the network drives more and more of the cars, and learns what the teacher would have done.

A network with a memory learns from sequences: what a car saw at consecutive steps, in one scenery.
Where the car has a pedal, it also learns how fast the teacher would have driven there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from dljax.cnn.driving import closed_loop, drivers, networks
from dljax.cnn.driving.drivers import answered, asked, steering_of
from dljax.cnn.driving.networks import Network, RecurrentSteeringNet
from dljax.cnn.driving.target import Target, losses
from dljax.envs.driving import environment, teachers, tracks
from dljax.envs.driving.camera import draw_scenery
from dljax.envs.driving.environment import Driving
from dljax.envs.driving.tracks import Track
from dljax.envs.environment import Key
from dljax.train import metrics, supervised
from dljax.train.loop import Sums, Task

METHODS = ("cloning", "recovery", "dagger")


class Settings(NamedTuple):
    """simulation: with a camera. method: one of METHODS.

    tracks: that are trained on. cars: that drive, rollout: steps of each before an update.
    memory: places of each car that are remembered, a multiple of rollout. batch_size: pictures of
    an update, a multiple of sequence: consecutive pictures of a car that are learned from at once.
    target: of the steering, whose unit is the largest. handover: steps of the task after which the
    network drives all cars (dagger). shift, turn: largest of recovery, in m and rad. lifetime:
    steps of a car on one track, on average.
    """

    simulation: environment.Settings = environment.Settings()
    method: str = "dagger"
    teacher: Callable[..., Array] = teachers.pure_pursuit
    tracks: int = 64
    cars: int = 16
    rollout: int = 2
    memory: int = 1000
    batch_size: int = 64
    sequence: int = 1
    target: Target = Target()
    handover: int = 500
    shift: float = 1.5
    turn: float = 0.2
    lifetime: int = 200


class Visit(NamedTuple):
    """Where a car was: the number of its track, its pose in m and rad, its front wheels in rad, its
    speed in m/s; new: whether it was just put there."""

    track: Array
    x: Array
    y: Array
    heading: Array
    steer: Array
    speed: Array
    new: Array


class Cars(NamedTuple):
    """Cars [N]: their states, the numbers of their tracks, what the network recalls of their drives
    (`networks.start`), and whether they were just put where they are."""

    driven: Driving
    on: Array
    recalled: Any
    new: Array


class State(struct.PyTreeNode):
    """network: of the learner. pool: the tracks [T, ...]. visits [memory, N] of the cars. step:
    int32, steps done."""

    network: supervised.State
    pool: Track
    cars: Cars
    visits: Visit
    step: Array


def task(model: Network, tx: optax.GradientTransformation, settings: Settings) -> Task:
    """Learning to drive. model: gives the outputs that `drivers.outputs_of` asks for.

    A batch is (). An evaluation drives laps of unseen tracks: its batch is {"drive": int [B]}, of
    which even numbers go one way and odd ones the other way around the track before them.
    """
    simulation, target, length = settings.simulation, settings.target, settings.sequence

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

    def placed(key: Key, pool: Track) -> Cars:
        """All cars somewhere."""
        keys = jax.random.split(key, settings.cars)
        driven, on = jax.vmap(partial(somewhere, pool=pool))(keys)
        recalled = networks.start(model, settings.cars)
        return Cars(driven, on, recalled, jnp.ones(settings.cars, bool))

    def init(key: Key) -> State:
        model_key, track_key, car_key = jax.random.split(key, 3)
        view = simulation.view
        picture = jnp.zeros((1, view.height, view.width, 3))
        many = isinstance(model, RecurrentSteeringNet)
        variables = model.init(model_key, picture[None] if many else picture)
        pool = jax.vmap(partial(tracks.draw, roads=simulation.roads))(
            jax.random.split(track_key, settings.tracks)
        )
        turned = jax.vmap(tracks.reverse)(pool)
        back = jnp.arange(settings.tracks) % 2 == 1  # half of them the other way around
        pool = jax.tree.map(
            lambda a, b: jnp.where(back.reshape(-1, *(1,) * (a.ndim - 1)), a, b), turned, pool
        )
        zeros = jnp.zeros((settings.memory, settings.cars))
        visits = Visit(
            zeros.astype(jnp.int32), zeros, zeros, zeros, zeros, zeros, zeros.astype(bool)
        )
        state = supervised.create_state(variables, tx)
        return State(state, pool, placed(car_key, pool), visits, jnp.int32(0))

    def collect(state: State, key: Key) -> State:
        """Drives all cars for `rollout` steps and remembers where they were."""
        share = jnp.minimum(1.0, state.step / settings.handover)
        by_network = (jnp.arange(settings.cars) + 0.5) / settings.cars < share

        def one(cars: Cars, key: Key) -> tuple[Cars, Visit]:
            leave_key, place_key = jax.random.split(key)
            driven, car, recalled = cars.driven, cars.driven.car, cars.recalled
            visit = Visit(cars.on, car.x, car.y, car.heading, car.steer, car.speed, cars.new)
            answer = jax.vmap(partial(asked, simulation, settings.teacher))(driven)
            if settings.method == "dagger":
                pictures = jax.vmap(partial(environment.observed, simulation))(driven)
                recalled, outputs = networks.follow(
                    model, state.network.variables(), recalled, pictures[:, None]
                )
                own = answered(simulation, target, outputs[:, 0])
                answer = jnp.where(by_network[:, None], own, answer)
            action = jax.vmap(partial(environment.commanded, simulation))(driven, answer)
            driven = jax.vmap(partial(environment.moved, simulation))(driven, action)
            off = jnp.abs(driven.place.lateral) > driven.track.half_width
            leave = jax.random.bernoulli(leave_key, 1 / settings.lifetime, off.shape)
            stayed = Cars(driven, cars.on, recalled, jnp.zeros_like(cars.new))

            def renewed(new: Array, old: Array) -> Array:
                return jnp.where((off | leave).reshape(-1, *(1,) * (old.ndim - 1)), new, old)

            return jax.tree.map(renewed, placed(place_key, state.pool), stayed), visit

        cars, seen = jax.lax.scan(one, state.cars, jax.random.split(key, settings.rollout))
        row = state.step * settings.rollout % settings.memory
        visits = jax.tree.map(
            lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, row, 0),
            state.visits,
            seen,
        )
        return state.replace(cars=cars, visits=visits)

    def lesson(state: State, key: Key) -> tuple[Array, Array, Array]:
        """Pictures [T, ...] from consecutive remembered places of a car, the teacher's answers
        there [T, 1 or 2], and which of them are of the first one's drive [T]."""
        row_key, car_key, shift_key, scenery_key, noise_key = jax.random.split(key, 5)
        written = (state.step + 1) * settings.rollout
        filled = jnp.minimum(written, settings.memory)
        first = jax.random.randint(row_key, (), 0, jnp.maximum(filled - length + 1, 1))
        ages = first + jnp.arange(length)  # 0: of the oldest
        rows = (written - filled + ages) % settings.memory
        number = jax.random.randint(car_key, (), 0, settings.cars)
        visits = jax.tree.map(lambda x: x[rows, number], state.visits)
        track = jax.tree.map(lambda x: x[visits.track[0]], state.pool)
        one_drive = (jnp.cumsum(visits.new.at[0].set(False)) == 0) & (ages < filled)
        scenery = draw_scenery(scenery_key)
        shift = turn = 0.0
        if settings.method == "recovery":
            offset = jax.random.uniform(shift_key, (2,), minval=-1.0)
            shift, turn = offset[0] * settings.shift, offset[1] * settings.turn

        def seen(visit: Visit, time: Array) -> tuple[Array, Array]:
            place = tracks.place(track, visit.x, visit.y)
            x = visit.x - jnp.sin(place.heading) * shift
            y = visit.y + jnp.cos(place.heading) * shift
            at = environment.put(simulation, track, scenery, place.index, 0.0, 0.0, noise_key)
            car = at.car._replace(
                x=x, y=y, heading=visit.heading + turn, steer=visit.steer, speed=visit.speed
            )
            place = tracks.place_near(track, x, y, place.index)
            at = at._replace(car=car, place=place, time=time)
            return environment.observed(simulation, at), asked(simulation, settings.teacher, at)

        pictures, answers = jax.vmap(seen)(visits, jnp.arange(length))
        return pictures, answers, one_drive

    def step(state: State, batch: tuple, key: Key) -> tuple[State, Sums]:
        del batch
        drive_key, lesson_key = jax.random.split(key)
        state = collect(state, drive_key)
        count = settings.batch_size // length
        pictures, wanted, valid = jax.vmap(partial(lesson, state))(
            jax.random.split(lesson_key, count)
        )

        def loss(params):
            start = networks.start(model, count)
            _, outputs = networks.follow(model, {"params": params}, start, pictures)
            each = losses(target, steering_of(target, outputs), wanted[..., 0])
            if simulation.pedal:
                each = each + (outputs[..., -1] - wanted[..., 1]) ** 2
            return jnp.sum(each * valid) / valid.sum(), ({}, (each, outputs))

        network, (each, outputs), norm = supervised.gradient_step(state.network, tx, loss)
        error = jnp.abs(answered(simulation, target, outputs) - wanted)
        most = jnp.rad2deg(simulation.vehicle.max_steer)
        sums = {
            "loss": metrics.mean(each, valid),
            "mae_degrees": metrics.mean(most * error[..., 0], valid),
            "gradient_norm": norm,
        }
        if simulation.pedal:
            sums["mae_speed"] = metrics.mean(simulation.speed * error[..., 1], valid)
        return state.replace(network=network, step=state.step + 1), sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        own = drivers.of_network(model, state.network, simulation, target)
        return closed_loop.evaluate(simulation, own, batch)

    return Task(init, step, evaluate)
