"""Medical image analysis: classification or segmentation, as the data asks for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dljax.apps.configs.medical_imaging import Config, Kind, resolved
from dljax.apps.medical import classification, segmentation
from dljax.data.sources.medical import is_classification
from dljax.run import session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Serving

APPS: dict[Kind, ModuleType] = {
    "classification": classification,
    "segmentation": segmentation,
}


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config that is `tuned`, for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    return APPS[kind_of(config)].build(config)


def kind_of(config: Config) -> Kind:
    """What a data set is for."""
    return "classification" if is_classification(config.dataset) else "segmentation"


def tuned(config: Config) -> Config:
    """The Config with the flags that are none as they are tuned for its data."""
    return resolved(config, kind_of(config))


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    config = tuned(config)
    return session.train(config, build)


def trained(config: Config) -> ModuleType:
    """The application of the run in config.workdir, which its metadata names ("kind")."""
    _, metadata = session.saved(config)
    return APPS[metadata["kind"]]


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers a batch with: for --predict, and to export."""
    return trained(config).serving(config)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Analyses an image, a volume or a folder with the run in config.workdir."""
    return trained(config).predict(config, path)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on other labelled data."""
    return trained(config).evaluate(config, dataset)


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
