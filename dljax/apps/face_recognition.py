"""Face recognition: embeddings, scored by protocols that are kept apart; a gallery of people."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn

from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces import analysis, gallery, yardsticks
from dljax.apps.faces import data as face_data
from dljax.apps.faces import front as fronts
from dljax.apps.faces.embedding import serving as serve
from dljax.apps.faces.front import Front
from dljax.apps.faces.training import embedding_size, make_task, network, start
from dljax.cnn.faces import recogniser
from dljax.data.image_scaling import Normalize
from dljax.data.sources.image import written_levels
from dljax.run import session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train.export import Serving
from dljax.train.loop import Run
from dljax.train.parallel import place


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    data = face_data.load(config, placement.batch_multiple)
    people = len(data.faces.people)
    features = embedding_size(config, data.train.inputs)
    model = network(config, len(data.trained), features)

    def analyze(run: Run, metrics: dict, baselines: dict) -> Analysis:
        del metrics, baselines
        return analysis.analyze(config, model, data, run)

    return Experiment(
        name=config.name,
        dataset=_described(config, data),
        task=lambda config: make_task(config, model, data.front, people),
        feed=data.feed,
        placement=placement,
        headline=_headline(config),
        data=data.record.deriving(mean=data.normalize.mean, std=data.normalize.std),
        init_args=start(config, data.train.inputs, features, len(session.seeds(config))),
        validation=data.validation_examples,
        test=data.test_examples,
        summarise=recogniser.summarise,
        metadata={
            "trained": [data.faces.people[i] for i in data.trained],
            "people": people,
            "features": features,
            "image_shape": data.train.images.shape[1:],
            "mean": data.normalize.mean,
            "std": data.normalize.std,
            "levels": data.faces.levels,
        },
        notes=data.notes,
        baselines=partial(yardsticks.baselines, config, data) if config.baselines else None,
        analyze=analyze,
    )


def _headline(config: Config) -> tuple[str, ...]:
    if config.protocol == "closed":
        return ("error", "separation")
    return ("accuracy" if config.protocol == "pairs" else "eer", "tar_far_1e-2", "separation")


def _described(config: Config, data: face_data.FaceData) -> str:
    held = f", {len(data.validation.rows)} validation" if data.validation else ""
    return (
        f"{data.faces.name}, {config.protocol} ({len(data.train.rows)} training{held}, "
        f"{len(data.test.rows)} test images)"
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


class Trained(NamedTuple):
    """A trained run: its network and front end, and the States of its seeds [seeds, ...].

    config: of its run. metadata: what it wrote beside its checkpoint. step: of that.
    """

    config: Config
    model: nn.Module
    front: Front
    states: recogniser.State
    metadata: dict[str, Any]
    step: int


def load(workdir: str) -> Trained:
    """The trained run in a workdir: its newest checkpoint.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    config, metadata = session.saved(Config(workdir=workdir))
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    front = fronts.front(config, tuple(metadata["image_shape"]), normalize)
    model = network(config, len(metadata["trained"]), metadata["features"])
    task = make_task(config, model, front, metadata["people"])
    run, step = session.restore(config, task, place("none"))
    return Trained(config, model, front, run.states, metadata, step)


def serving(config: Config) -> Serving:
    """What the run in config.workdir makes of an image, for its uses and to export."""
    found = load(config.workdir)
    metadata = {"step": found.step, "levels": written_levels(found.metadata)}
    shape = tuple(found.metadata["image_shape"])
    return serve(found.model, found.states, found.front, found.config.flip, shape, metadata)


def opened(config: Config) -> gallery.Model:
    """The run in config.workdir for the uses of a gallery."""
    written, metadata = session.saved(Config(workdir=config.workdir))
    frame = face_data.frame_of(written)
    return gallery.model(serving(config), frame, metadata.get("decision"), config.workdir)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on other people; see `yardsticks.evaluate`."""
    return yardsticks.evaluate(opened(config), dataset, config)


def run(config: Config) -> None:
    """What the command line does."""
    if config.enroll:
        gallery.enroll(opened(config), config.enroll)
    elif config.identify:
        gallery.identify(opened(config), config.identify)
    elif config.verify:
        gallery.verify(opened(config), *config.verify)
    elif config.remove:
        gallery.remove(config.workdir, config.remove)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
