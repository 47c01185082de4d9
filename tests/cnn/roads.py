"""A tiny learner to drive for the contract of tasks, and what its tests share."""

import optax

from dljax.cnn.driving import imitation, networks
from dljax.envs.driving.camera import View
from dljax.envs.driving.environment import Settings
from dljax.train.loop import Task

SIMULATION = Settings(view=View(8, 16), limit=12)


def net() -> networks.SteeringNet:
    return networks.SteeringNet(((4, 3, 2),), (8,))


def task(method: str = "recovery") -> Task:
    settings = imitation.Settings(
        SIMULATION, method, tracks=2, cars=8, rollout=2, memory=32, batch_size=32, handover=8
    )
    return imitation.task(net(), optax.adam(3e-3), settings)
