"""Autonomous driving: imitation in the simulator, or learning from recorded drives."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dljax.apps.configs.autonomous_driving import Config, Kind, kind_of, resolved
from dljax.apps.driving import recordings, simulation
from dljax.run import session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Serving

APPS: dict[Kind, ModuleType] = {"simulation": simulation, "recordings": recordings}


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config that is `resolved`, for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for what can't be used.
    """
    return APPS[kind_of(config)].build(config)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    config = resolved(config)
    return session.train(config, build)


def trained(config: Config) -> ModuleType:
    """The application of the run in config.workdir."""
    saved, _ = session.saved(config)
    return APPS[kind_of(saved)]


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers a batch with: for --predict, and to export."""
    return trained(config).serving(config)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Steers at a picture or each of a folder with the run in config.workdir."""
    return trained(config).predict(config, path)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on other recordings."""
    if trained(config) is not recordings:
        raise ValueError("--evaluate scores on recordings: this run learned in the simulator")
    return recordings.evaluate(config, dataset)


def play(config: Config) -> dict[str, float]:
    """Draws test drive config.play of the run in config.workdir."""
    if trained(config) is not simulation:
        raise ValueError("--play drives in the simulator: this run learned from recordings")
    return simulation.play(config)


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    elif config.play >= 0:
        play(config)
    else:
        train(config)
