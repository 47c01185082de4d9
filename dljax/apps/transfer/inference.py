"""Predictions, scores and features by a run of transfer_learning, or by its source as it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.apps.configs.transfer_learning import Config
from dljax.apps.transfer import source as sources
from dljax.apps.transfer.methods import EVALUATION_BATCH, HEADLINE, make_task, network
from dljax.apps.transfer.source import Source
from dljax.apps.transfer.target import WEIGHTS, checksum, features, fitted
from dljax.cnn.classification import inspection, targets
from dljax.data import feed
from dljax.data.image_scaling import Normalize, in_floats
from dljax.data.sources import Levels, load_images, read_images
from dljax.data.sources.dataset import align_classes
from dljax.data.sources.image import written_levels
from dljax.nn.penultimate import penultimate
from dljax.run import session
from dljax.train import temperature
from dljax.train.export import Serving
from dljax.train.loop import Array, Task
from dljax.train.parallel import place
from dljax.train.supervised import State
from dljax.transfer import linear_probe
from dljax.transfer.lora import Adapted


class Trained(NamedTuple):
    """A run of one method and one number of shots.

    config: of the run. scale: what a probe divides the features by; 1 for other methods.
    levels: as of `Dataset`.
    """

    config: Config
    source: Source
    task: Task
    normalize: Normalize
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    scale: float
    levels: Levels | None

    @property
    def method(self) -> str:
        """The method of the run."""
        (method,) = self.config.method
        return method


def load(config: Config) -> Trained:
    """The run in config.workdir, without its weights.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    workdir = Path(config.workdir)
    compared = sorted(path.parent.name for path in workdir.glob("*-*/config.json"))
    if compared and not (workdir / "config.json").exists():
        raise ValueError(
            f"{workdir} compares several runs ({', '.join(compared)}): name the folder of one of "
            "them as --workdir"
        )
    config, metadata = session.saved(config)
    classes, shape = tuple(metadata["classes"]), tuple(metadata["image_shape"])
    loaded = sources.load(config)
    weights = metadata.get("data", {}).get("derived", {}).get(WEIGHTS)
    if config.method == ("probe",) and weights not in (None, checksum(loaded)):
        raise ValueError(
            f"{config.source} holds other weights than those that {workdir} was trained on"
        )
    source = fitted(loaded, config)
    scale, width = metadata["scale"], metadata["features"]
    task = make_task(config, source, len(classes), (width,) if width else shape, scale)
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    levels = written_levels(metadata)
    return Trained(config, source, task, normalize, classes, shape, scale, levels)


def fitted_source(config: Config, head: bool = False) -> Source:
    """The source of a Config, for images of its size and channels, perhaps without its head."""
    source = fitted(sources.load(config, head), config)
    for note in source.notes:
        print(note)
    return source


def serving(config: Config) -> Serving:
    """The classifier that the run in config.workdir trained, the mean over its seeds.

    Adapters are merged into the network; a probe includes the source's network before it.
    """
    trained = load(config)
    run, step = session.restore(trained.config, trained.task, place("none"))
    states, classes = run.states.without_optimiser(), len(trained.classes)
    if trained.method == "probe":
        function = _probe(trained.source, trained.normalize, trained.scale, classes)
        weights = {"network": trained.source.variables, "heads": states.params}
    else:
        model = network(trained.config, trained.source, classes)
        if isinstance(model, Adapted):
            states = jax.vmap(lambda state: _state(model.merged(state.variables())))(states)
            model = model.model
        function = inspection.answer(model, trained.normalize)
        weights = temperature.with_temperatures(states)
    metadata = {"step": step, "seeds": trained.config.num_seeds, "levels": trained.levels}
    return inspection.serving(function, weights, trained.image_shape, trained.classes, metadata)


def source_serving(config: Config) -> Serving:
    """The source of a Config as a classifier."""
    source = fitted_source(config, head=True)
    states = jax.tree.map(lambda x: np.asarray(x)[None], _state(source.variables))
    weights = temperature.with_temperatures(states)
    function = inspection.answer(source.model, source.normalize)
    metadata = {"source": source.name}
    return inspection.serving(function, weights, source.image_shape, source.classes, metadata)


def cut(config: Config) -> Callable[[np.ndarray], np.ndarray] | None:
    """Brings a picture to the shape of a source that is used as it is; None: it is resized."""
    if config.method != ("none",) or config.image_size or config.channels:
        return None
    return sources.load(config).cut


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the labelled images of another data set.

    The images of its test part are scored, with the run's classes; see `session.evaluate`. Raises
    ValueError for a class that the run does not know.
    """
    trained = load(config)
    height, width, channels = trained.image_shape
    data = load_images(
        dataset,
        config.data_dir,
        size=(height, width),
        channels=channels,
        levels=trained.levels,
    )
    test = align_classes(data, trained.classes).test
    if trained.method == "probe":
        test = test | {"image": features(trained.source, test["image"])}
    return session.evaluate(
        trained.config,
        trained.task,
        feed.examples(test, EVALUATION_BATCH),
        data=f"{data.name} ({len(test['label'])} images)",
        headline=HEADLINE,
        summarise=targets.summarise,
        tables=partial(targets.tables, classes=trained.classes),
    )


def write_features(config: Config) -> Path:
    """Writes the source's features of the data set's images, or of those of --predict, as .npz.

    Arrays: "train" and "test" [N, D] with "train_labels" and "test_labels" [N] and "classes"; or
    "features" [N, D] with "files" [N].
    """
    source = fitted_source(config)
    height, width, channels = source.image_shape
    if config.predict:
        images = read_images(config.predict, size=(height, width), channels=channels)
        arrays = {"features": features(source, images.images), "files": np.array(images.names)}
    else:
        data = load_images(
            config.dataset,
            config.data_dir,
            size=(height, width),
            channels=channels,
            quiet=config.quiet,
        )
        arrays = {"classes": np.array(data.classes)}
        for name, part in {"train": data.train, "test": data.test}.items():
            arrays |= {name: features(source, part["image"]), f"{name}_labels": part["label"]}
    path = Path(config.features)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    for name, array in arrays.items():
        if array.dtype == np.float32:
            print(f"{name}: {array.shape[0]} images, {array.shape[1]} features")
    print(path)
    return path


def _state(variables: dict[str, Any]) -> State:
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    return State(variables["params"], rest, ())


def _probe(
    source: Source, normalize: Normalize, scale: float, classes: int
) -> Callable[[dict[str, Any], dict[str, Array]], dict[str, Array]]:
    """The pure function of a linear probe: the network's features, then the heads of all seeds."""
    head = linear_probe.Linear(classes)

    def function(weights: dict[str, Any], inputs: dict[str, Array]) -> dict[str, Array]:
        x = normalize(in_floats(inputs["image"]))
        x = penultimate(source.model, weights["network"], x)[0] / scale

        def of_seed(params):
            return jax.nn.softmax(head.apply({"params": params}, x))

        return {"probability": jax.lax.map(of_seed, weights["heads"]).mean(0)}

    return function
