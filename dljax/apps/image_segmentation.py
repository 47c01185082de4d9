"""Semantic segmentation of images."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from dljax import plots
from dljax.apps.configs.image_segmentation import Config
from dljax.apps.segmentation import analysis, prediction
from dljax.apps.segmentation.training import backbone_of, make_task, network, views_of
from dljax.cnn.segmentation import inspection, losses
from dljax.data import annotated
from dljax.data.annotated import MASK_FIELDS
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.sources.image import Levels, written_levels
from dljax.data.sources.vision import Scoring, load_masks
from dljax.run import session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Serving
from dljax.train.loop import Run, Task
from dljax.train.parallel import place


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    images = load_masks(
        config.dataset,
        config.image_size or None,
        classes=config.classes,
        data_dir=config.data_dir,
    )
    data = annotated.load(
        images,
        config.batch_size,
        streaming=config.streaming,
        validation=config.validation,
        multiple=placement.batch_multiple,
        quiet=config.quiet,
    )
    sample = annotated.training_sample(data)
    shape, classes = sample["image"].shape[1:], data.classes
    if config.crop and (config.crop[0] > 4 * shape[0] or config.crop[1] > 4 * shape[1]):
        raise ValueError(f"crop={config.crop} is far larger than the images of {shape[:2]}")
    backbone = backbone_of(config)
    if backbone and backbone.normalize and shape[2] != 3:
        raise ValueError(f"{config.model} is pretrained on colour images, these have one channel")
    normalize = (backbone and backbone.normalize) or normalization(sample["image"])
    model = network(config, len(classes), backbone)
    frequencies = losses.frequencies(sample["mask"], len(classes))
    pretrained = bool(backbone and backbone.variables)
    trained = analysis.Network(model, normalize, views_of(config))
    colours = (
        plots.masks.palette(len(classes)) if images.palette is None else np.array(images.palette)
    )

    return Experiment(
        name=config.name,
        dataset=data.name,
        task=lambda config: make_task(
            config, model, normalize, len(classes), shape, frequencies, pretrained
        ),
        feed=data.train,
        placement=placement,
        headline=analysis.headline(classes),
        data=data.record.deriving(
            mean=normalize.mean, std=normalize.std, **(backbone.derived() if backbone else {})
        ),
        init_args=backbone.start(config.num_seeds) if backbone else (),
        validation=data.validation,
        choose_by="max:miou",
        use_best=True,
        test=data.test,
        summarise=lambda sums: analysis.summarise(sums, classes),
        metadata={
            "classes": classes,
            "palette": colours.tolist(),
            "ids": images.ids,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
            "levels": getattr(data.sources["train"], "levels", None),
        },
        notes=data.notes,
        baselines=(lambda: analysis.simple(data, sample)) if config.baselines else None,
        draw=lambda run, sums, folder: inspection.draw(folder, sums, classes),
        analyze=lambda run, scores, simple: analysis.analyze(trained, run, scores, data),
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


class Trained(NamedTuple):
    """A trained network: its Config, its Run, and what its images must be.

    run: States [seeds, ...]. palette: of the classes. ids: of the classes in the masks that are
    written. threshold: of V_rand, of two classes. step: of the checkpoint. levels: as of
    image_classification.
    """

    config: Config
    network: analysis.Network
    task: Task
    run: Run
    classes: tuple[str, ...]
    palette: np.ndarray
    ids: tuple[int, ...]
    image_shape: tuple[int, int, int]
    threshold: float
    step: int
    levels: Levels | None


def load(workdir: str) -> Trained:
    """The trained network of a run: its best checkpoint, the newest if none was scored."""
    config, metadata = session.saved(Config(workdir=workdir))
    classes, shape = tuple(metadata["classes"]), tuple(metadata["image_shape"])
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    backbone = backbone_of(config)
    model = network(config, len(classes), backbone)
    task = make_task(
        config, model, normalize, len(classes), shape, rates=bool(backbone and backbone.variables)
    )
    run, step = session.restore(config, task, place("none"))
    palette = np.array(metadata["palette"], np.uint8)
    trained = analysis.Network(model, normalize, views_of(config))
    threshold, levels = metadata.get("threshold", 0.5), written_levels(metadata)
    ids = prediction.writable(metadata.get("ids", ()), len(classes))
    return Trained(
        config, trained, task, run, classes, palette, ids, shape, threshold, step, levels
    )


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with: for --predict, and to export."""
    return _serving(load(config.workdir))


def _serving(found: Trained) -> Serving:
    model, normalize, views = found.network
    states = found.run.states.without_optimiser()
    metadata = {"step": found.step, "seeds": len(jax.tree.leaves(states)[0])}
    function = inspection.answer(model, normalize, views)
    return inspection.serving(function, states, found.image_shape, found.classes, metadata)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Segments an image, a film, or all images and films of a folder by the run in config.workdir.

    Writes a palette PNG of the ids of the training masks for each, predictions.csv with the share
    of each class, and pictures, to workdir/predictions/. Returns the rows of the table.
    """
    found = load(config.workdir)
    return prediction.predict(
        _serving(found),
        path,
        config.workdir,
        palette=found.palette,
        ids=found.ids,
        levels=found.levels,
        draw=config.plots,
    )


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the test part of another data set with masks, or on all.

    Its classes must be the run's, in their order, or have no names; grey levels are scaled as the
    run's. See `Scoring` and `session.evaluate`.
    """
    found = load(config.workdir)
    height, width, channels = found.image_shape
    data = load_masks(
        dataset,
        (height, width),
        channels=channels,
        classes=found.classes,
        data_dir=config.data_dir or found.config.data_dir,
        scoring=Scoring(found.levels),
    )
    print("\n".join([*data.notes, f"{dataset}: {len(data.test)} images are scored"]))
    streaming = config.streaming or found.config.streaming
    examples = annotated.evaluation_examples(data.test, MASK_FIELDS, streaming)

    def measure(run: Run) -> dict[str, np.ndarray]:
        if len(found.classes) != 2:
            return {}
        return analysis.measure(found.network, run, examples, data.test, found.threshold)

    return session.evaluate(
        found.config,
        found.task,
        examples,
        data=dataset,
        headline=analysis.headline(found.classes),
        summarise=lambda sums: analysis.summarise(sums, found.classes),
        measure=measure,
    )


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
