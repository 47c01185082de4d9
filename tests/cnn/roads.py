"""A tiny learner to drive for the contract of tasks, and what its tests share."""

import numpy as np
import optax

from dljax.cnn.driving import augmentation, drivers, imitation, networks, recorded
from dljax.cnn.driving.target import Target
from dljax.envs.driving.camera import View
from dljax.envs.driving.environment import Settings
from dljax.train.loop import Task

SIMULATION = Settings(view=View(8, 16), limit=12)


def net() -> networks.SteeringNet:
    return networks.SteeringNet(((4, 3, 2),), (8,))


def recurrent(outputs: int = 0) -> networks.RecurrentSteeringNet:
    return networks.RecurrentSteeringNet(((4, 3, 2),), (8,), units=6, outputs=outputs)


def task(method: str = "recovery") -> Task:
    settings = imitation.Settings(
        SIMULATION, method, tracks=2, cars=8, rollout=2, memory=32, batch_size=32, handover=8
    )
    return imitation.task(net(), optax.adam(3e-3), settings)


def remembering(memory: int = 32, lifetime: int = 6) -> Task:
    """DAgger of a network with a memory: bins of steering, speed, and a camera that fails."""
    simulation, target = SIMULATION._replace(pedal=True, dark=0.2), Target(1.0, (-1.0, 0.0, 1.0))
    settings = imitation.Settings(
        simulation, "dagger", tracks=2, cars=8, rollout=2, memory=memory, batch_size=32, sequence=4,
        target=target, handover=8, lifetime=lifetime,
    )  # fmt: skip
    model = recurrent(drivers.outputs_of(simulation, target))
    return imitation.task(model, optax.adam(3e-3), settings)


def bars(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Noisy pictures 8 x 16 with a bright bar, whose place from the middle is the angle."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 16, count)
    images = rng.integers(0, 100, (count, 8, 16, 3))
    images[np.arange(count), :, place] += 150
    return {
        "image": images.astype(np.uint8),
        "angle": (place - 7.5).astype(np.float32),
        "weight": np.linspace(0.5, 1.5, count, dtype=np.float32),
    }


def recorded_task() -> Task:
    net = networks.SteeringNet(((4, 3, 1),), (8,), dropout=0.1)
    chain = augmentation.chain(augmentation.mirror(), augmentation.shadow(0.7))
    return recorded.task(net, optax.adam(1e-2), Target(4.6), (8, 16, 3), chain)
