"""Exports the trained model of a run, of whichever application, to one file."""

from __future__ import annotations

import importlib
from pathlib import Path

from dljax.apps.configs.export import Config
from dljax.run import serving as files
from dljax.run import session
from dljax.train.export import Serving

ACTS = "its policy acts in an environment, which no function of a batch of examples describes"
SAMPLES = "its generator draws samples at random, which no function of given inputs describes"
# Experiments whose result is no fixed function from inputs to outputs.
NO_FUNCTION = {
    **dict.fromkeys(("a2c", "dqn", "ppo", "pqn", "reinforce", "sac"), ACTS),
    **dict.fromkeys(("image_gan", "video_gan"), SAMPLES),
    "anomaly_detection": "its detectors go on learning from each value that they score",
}


def serving(workdir: str) -> Serving:
    """The function of the run in a workdir, as its application describes it.

    Raises FileNotFoundError where there is no run; ValueError, in one line, for one that can't be
    exported.
    """
    name = session.experiment_name(workdir)
    if name in NO_FUNCTION:
        raise ValueError(f"a run of {name} can't be exported: {NO_FUNCTION[name]}")
    module = f"dljax.apps.{name}"
    try:
        app = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"{workdir} holds a run of {name}, but there is no {module}") from None
    if not hasattr(app, "serving"):
        raise ValueError(
            f"a run of {name} can't be exported yet: {module} has no function serving(config) -> "
            "dljax.train.export.Serving; image_classification has one"
        )
    found = app.serving(app.Config(workdir=workdir))
    return found._replace(metadata={"experiment": name, **found.metadata})


def export(config: Config) -> Path:
    """Writes the file, reads it back and compares; returns its path."""
    path = Path(config.output or f"{config.workdir}/model.zip")
    files.export(path, serving(config.workdir), config.platforms)
    return path


def run(config: Config) -> None:
    """What the command line does."""
    export(config)
