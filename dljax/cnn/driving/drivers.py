"""What drives a car: a network, or a teacher; and how a network's outputs are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from dljax.cnn.driving import networks
from dljax.cnn.driving.closed_loop import Driver
from dljax.cnn.driving.networks import Network
from dljax.cnn.driving.target import Target, angles
from dljax.envs.driving import environment, teachers
from dljax.envs.driving.environment import Driving
from dljax.train import supervised


def outputs_of(simulation: environment.Settings, target: Target) -> int:
    """How many outputs a network needs; 0 for the one of a plain SteeringNet."""
    count = (len(target.centres) or 1) + simulation.pedal
    return count if count > 1 else 0


def answered(simulation: environment.Settings, target: Target, outputs: Array) -> Array:
    """What outputs [..., K] say: steering, with a pedal also the share of the top speed, [..., 1 or
    2]."""
    answers = [angles(target, steering_of(target, outputs))]
    if simulation.pedal:
        answers.append(outputs[..., -1])
    return jnp.stack(answers, -1)


def steering_of(target: Target, outputs: Array) -> Array:
    """The outputs [...] or [..., bins] that are of the steering."""
    return outputs[..., : len(target.centres)] if target.centres else outputs[..., 0]


def of_network(
    model: Network, network: supervised.State, simulation: environment.Settings, target: Target
) -> Driver:
    """The network as a driver of one car."""

    def act(memory: Any, state: Driving, obs: Array) -> tuple[Any, Array]:
        del state
        memory, outputs = networks.follow(model, network.variables(), memory, obs[None, None])
        return memory, answered(simulation, target, outputs[0, 0])

    return Driver(act, networks.start(model, 1))


def of_teacher(simulation: environment.Settings, teacher: Callable[..., Array]) -> Driver:
    """A teacher as a driver."""

    def act(memory: Any, state: Driving, obs: Array) -> tuple[Any, Array]:
        del obs
        return memory, asked(simulation, teacher, state)

    return Driver(act)


def asked(simulation: environment.Settings, teacher: Callable[..., Array], state: Driving) -> Array:
    """The teacher's answer: steering in -1..1, with a pedal also the share of the top speed."""
    steer = teacher(simulation.vehicle, state.track, state.car, state.place)
    answer = [jnp.clip(steer / simulation.vehicle.max_steer, -1, 1)]
    if simulation.pedal:
        speed = teachers.cruising(state.track, state.place, simulation.speed)
        answer.append(speed / simulation.speed)
    return jnp.stack(answer)
