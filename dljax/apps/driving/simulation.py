"""A driver that learns in the simulator: Task, closed-loop scores, a drive to look at."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.apps.configs.autonomous_driving import Config
from dljax.apps.driving import prediction, simulation_analysis
from dljax.cnn.driving import baselines, closed_loop, drivers, imitation, networks
from dljax.cnn.driving.closed_loop import Driver
from dljax.cnn.driving.networks import Network
from dljax.cnn.driving.target import Target, binned
from dljax.cnn.driving.visual_backprop import feature_maps, masks
from dljax.data import feed
from dljax.data.feed import MASK, Examples
from dljax.data.record import DataRecord
from dljax.data.sources.driving.frames import Framing
from dljax.envs import named
from dljax.envs.driving import environment, teachers
from dljax.envs.driving import parameters as simulator
from dljax.run import optimizer, session
from dljax.run.experiment import Experiment
from dljax.train.export import Field, Serving
from dljax.train.loop import Task
from dljax.train.parallel import place
from dljax.train.supervised import State

TEACHERS = {
    "pure_pursuit": teachers.pure_pursuit,
    "stanley": teachers.stanley,
    "pd": teachers.proportional,
}
HEADLINE = ("completed", "autonomy", "lateral_mean")
POSITIVE = "left"  # where positive angles steer
RECURRENT = "gru"
VALIDATION = 1_000_000  # number of the first drive that validates
LAPS = 16  # how many do; as many of the test are driven at a time, by the same program


def settings_of(config: Config) -> environment.Settings:
    """The simulation of a Config; ValueError, in one line, for unknown parameters."""
    settings = simulator.settings(named.parsed(config.env_params))
    if settings.view is None:
        raise ValueError("env_params: a network needs the camera; leave camera=false out")
    if settings.cars:
        raise ValueError(
            "env_params: teachers know an empty road; leave cars out (ppo --env=driving has them)"
        )
    return settings


def target_of(config: Config) -> Target:
    """What the network learns to say, in units of the largest steering."""
    return Target(1.0, binned(1.0, config.bins))


def network(config: Config) -> Network:
    """The network of a Config."""
    outputs = drivers.outputs_of(settings_of(config), target_of(config))
    dtype = jnp.dtype(config.dtype)
    if config.model == RECURRENT:
        return networks.RecurrentSteeringNet(dtype=dtype, outputs=outputs)
    return networks.SteeringNet(networks.LAYERS[config.model], dtype=dtype, outputs=outputs)


def sequence_of(config: Config) -> int:
    """Consecutive pictures that a network learns from at once."""
    return config.sequence if config.model == RECURRENT else 1


def make(config: Config) -> Task:
    """The Task of a Config."""
    simulation = settings_of(config)
    settings = imitation.Settings(
        simulation,
        config.method,
        TEACHERS[config.teacher],
        config.tracks,
        config.cars,
        config.rollout,
        config.memory,
        config.batch_size,
        sequence_of(config),
        target_of(config),
        max(round(config.handover * config.steps), 1),
        config.recovery_shift,
        config.recovery_turn,
    )
    return imitation.task(network(config), optimizer.transformation(config), settings)


def build(config: Config) -> Experiment:
    """The Task and its test drives, ready for `session.train`.

    Raises ValueError, in one line, for what does not fit together.
    """
    simulation, placement = settings_of(config), session.placement(config)
    if config.memory % config.rollout:
        raise ValueError(f"--memory={config.memory} is no multiple of --rollout={config.rollout}")
    if config.batch_size % sequence_of(config):
        raise ValueError(
            f"--batch_size={config.batch_size} is no multiple of --sequence={config.sequence}"
        )
    if config.memory < sequence_of(config):
        raise ValueError(f"--memory={config.memory} is less than --sequence={config.sequence}")

    def drives(first: int, count: int) -> Examples:
        numbers = first + np.arange(count, dtype=np.int32)
        return feed.examples({"drive": numbers}, LAPS, placement.batch_multiple)

    return Experiment(
        name=config.name,
        dataset=f"the simulator, {config.method} of {config.teacher}",
        task=make,
        feed=feed.empty(),
        placement=placement,
        headline=HEADLINE,
        data=record(config),
        validation=drives(VALIDATION, LAPS),
        test=drives(0, config.laps),
        baselines=partial(simple_drivers, config) if config.baselines else None,
        analyze=simulation_analysis.analyze(
            simulation, partial(driver, config), config.laps, config.disturbances
        ),
    )


def driver(config: Config, trained: State) -> Driver:
    """A trained network as a driver."""
    return drivers.of_network(network(config), trained, settings_of(config), target_of(config))


def record(config: Config) -> DataRecord:
    """What the user is shown of the simulation; a run is continued in the same one alone."""
    values = simulator.completed(named.parsed(config.env_params))
    shown = {
        "picture": f"{values['height']}x{values['width']}, {values['speed']} m/s, a step of "
        f"{values['dt']} s",
        "training": f"{config.tracks} random roads",
        "test": "drives on other roads, one way and the other",
    }
    return DataRecord({"driving": shown}, {}, {"parameters": values})


def simple_drivers(config: Config) -> dict[str, dict[str, float]]:
    """Scores of the teacher, of a lane finder by hand, and of driving straight on."""
    simulation = settings_of(config)
    teacher = drivers.of_teacher(simulation, TEACHERS[config.teacher])
    others: dict[str, tuple[environment.Settings, Driver]] = {
        f"teacher, {config.teacher}": (simulation._replace(view=None), teacher),
        "lane finder": (simulation, baselines.LANE_FINDER),
        "straight on": (simulation._replace(view=None), baselines.STRAIGHT_ON),
    }
    batch = {"drive": jnp.arange(config.laps), MASK: jnp.ones(config.laps)}
    found = {}
    for name, (settings, one) in others.items():
        drive = partial(closed_loop.evaluate, settings, one)
        found[name] = {k: float(a / b) for k, (a, b) in jax.jit(drive)(batch).items()}
    return found


def play(config: Config) -> dict[str, float]:
    """Draws test drive config.play of the first seed: what the camera saw and where it looked.

    Writes workdir/predictions/drive_N.gif; returns the drive's scores.
    """
    number = config.play
    config, _ = session.saved(config)
    simulation, model = settings_of(config), network(config)
    run, step = session.restore(config, make(config), place("none"))
    trained = jax.tree.map(lambda x: x[0], run.states.network)
    drive = partial(closed_loop.drive, simulation, driver(config, trained))
    driven, frames = jax.device_get(jax.jit(drive)(jnp.int32(number)))
    end = int(driven.driving.sum())
    maps = feature_maps(model, trained.variables(), frames[:end])
    looked = np.asarray(masks(maps, model.layers, frames.shape[1:3]))
    path = Path(config.workdir) / "predictions" / f"drive_{number}.gif"
    plots.driving.film(frames[:end], looked, driven.steer, driven.lateral, simulation.dt, path)
    scores = {k: float(x) for k, x in closed_loop.scores(simulation, driven).items()}
    print(
        f"test drive {number}, checkpoint of step {step}: {scores['completed']:.0%} of "
        f"{driven.route[0]:.0f} m before the first intervention, "
        f"{scores['lateral_mean']:.2f} m from the centre on average; {path}"
    )
    return scores


class Trained(NamedTuple):
    """The trained driver in a workdir. states: of its seeds, without optimiser; step: of the
    checkpoint."""

    simulation: environment.Settings
    target: Target
    model: Network
    states: State
    step: int

    @property
    def framing(self) -> Framing:
        """The size of pictures, of which nothing is cut off."""
        return Framing(0.0, 0.0, self.simulation.view.height, self.simulation.view.width)

    @property
    def recalls(self) -> tuple[int, ...]:
        """The shape (S, units) of what the seeds recall of a drive; () without memory."""
        units = networks.start(self.model, len(jax.tree.leaves(self.states)[0]))
        return units.shape if isinstance(units, jax.Array) else ()

    def answers(
        self, states: State, memory: Any, pictures: jax.Array
    ) -> tuple[Any, dict[str, jax.Array]]:
        """The memories [B, S, units] after uint8 pictures [B, T, H, W, 3] of drives, and the seeds'
        mean answers [B, T]: degrees of the front wheels, with a pedal metres_per_second too.

        memory: () where networks have none.
        """
        x = pictures.astype(jnp.float32) / 255

        def of_seed(state: State, memory: Any) -> tuple[Any, jax.Array]:
            memory, outputs = networks.follow(self.model, state.variables(), memory, x)
            answers = drivers.answered(self.simulation, self.target, outputs)
            return memory, jnp.clip(answers, -1, 1)

        memory, answers = jax.vmap(of_seed, (0, 1), (1, 0))(states, memory)
        mean = answers.mean(0)
        found = {"degrees": np.rad2deg(self.simulation.vehicle.max_steer) * mean[..., 0]}
        if self.simulation.pedal:
            found["metres_per_second"] = self.simulation.speed * mean[..., 1]
        return memory, found


def load(config: Config) -> Trained:
    """The trained driver in config.workdir."""
    config, _ = session.saved(config)
    run, step = session.restore(config, make(config), place("none"))
    states = jax.vmap(lambda state: state.without_optimiser())(run.states.network)
    return Trained(settings_of(config), target_of(config), network(config), states, step)


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers a picture of its camera's size with: to export.

    A network with a memory takes it and returns the next one.
    """
    found = load(config)
    size = (found.framing.height, found.framing.width, 3)
    inputs = {"image": Field(size, "uint8", about="what the camera sees")}
    outputs = {"degrees": Field((), about="steering of the front wheels, positive to the left")}
    if found.simulation.pedal:
        outputs["metres_per_second"] = Field((), about="how fast to drive")
    if found.recalls:
        inputs["memory"] = Field(found.recalls, about="zeros at the beginning of a drive")
        outputs["memory"] = Field(found.recalls, about="for the next picture")

    def answer(states: State, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        memory, answers = found.answers(states, inputs.get("memory", ()), inputs["image"][:, None])
        answers = {name: x[:, 0] for name, x in answers.items()}
        return answers | ({"memory": memory} if found.recalls else {})

    return Serving(
        answer, found.states, inputs, outputs, {"step": found.step, "positive": POSITIVE}
    )


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Steers at a picture, resized to the camera's size, or each of a folder.

    To a network with a memory the pictures of a folder are one drive, in the order of their names.
    Writes predictions.csv and pictures to workdir/predictions/. Returns the rows: file, degrees of
    the front wheels, steering as a share of the most, -1 to 1, perhaps metres_per_second.
    """
    found = load(config)
    answers = jax.jit(found.answers)
    memory = jnp.zeros((1, *found.recalls)) if found.recalls else ()

    def answer(pictures: np.ndarray) -> dict[str, jax.Array]:
        nonlocal memory
        memory, answered = answers(found.states, memory, pictures[None])
        return {name: x[0] for name, x in answered.items()}

    return prediction.predict(
        path,
        answer,
        found.framing,
        float(np.rad2deg(found.simulation.vehicle.max_steer)),
        POSITIVE,
        Path(config.workdir),
        config.plots,
        found.step,
    )
