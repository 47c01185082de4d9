"""Image classification with a convolutional network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.apps import image_goals, image_prediction, training_loss
from dljax.apps.configs.image_classification import Config
from dljax.apps.image_goals import Goal
from dljax.cnn.classification import classifier, inspection, targets
from dljax.cnn.classification.targets import Target
from dljax.data import augment, feed
from dljax.data.appearance import Appearance, appearance
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.images import EVALUATION_BATCH, in_memory_images, streamed_images
from dljax.data.sources import Columns, Levels, load_images
from dljax.data.sources.dataset import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    align_classes,
    select_classes,
)
from dljax.data.sources.image import written_levels
from dljax.nn import allconv, fastnet, lenet, mobilenet, resnet
from dljax.nn.fastnet import whitening_kernel
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train import temperature
from dljax.train.export import Serving
from dljax.train.loop import Run, Sums, Task
from dljax.train.parallel import place
from dljax.train.supervised import State


def network(
    config: Config, classes: int, image_shape: tuple[int, ...], whitening: Array | None = None
) -> nn.Module:
    """The Flax module that --model and --widths name."""
    settings: dict[str, Any] = {"classes": classes, "dtype": jnp.dtype(config.dtype)}
    if config.widths:
        settings["widths"] = config.widths
    if config.model == "lenet":
        return lenet.LeNet(**settings, padding="VALID" if min(image_shape[:2]) >= 12 else "SAME")
    if config.model == "allconv":
        return allconv.AllConv(**{"widths": (32, 64)} | settings)
    if config.model == "fastnet":
        if min(image_shape[:2]) < 9:
            raise ValueError("fastnet needs images of 9x9 pixels or more: set --image_size")
        return fastnet.FastNet(**settings, whitening=whitening)
    if config.model == "mobilenet":
        widths = settings.pop("widths", (64, 128, 128, 256, 256))
        blocks = [
            (b, 2 if b > a else 1) for a, b in zip((widths[0], *widths), widths, strict=False)
        ]
        return mobilenet.MobileNet(**settings, blocks=blocks, small_images=max(image_shape) <= 64)
    if config.model in ("resnet50", "resnet101"):
        settings["small_images"] = max(image_shape[:2]) <= 64
    return getattr(resnet, config.model)(**settings)


def make_task(
    config: Config, model: nn.Module, normalize: Normalize, target: Target, image_shape: tuple
) -> Task:
    """The Task of a Config: its optimiser and augmentation around `model` and its target."""
    parts = []
    if config.crop:
        parts.append(augment.random_crop(config.crop))
    if config.flip:
        parts.append(augment.flip())
    if config.rotation or config.zoom or config.shear:
        scale = (1 - config.zoom, 1 + config.zoom)
        parts.append(augment.affine(config.rotation, scale=scale, shear=config.shear))
    if config.jitter:
        parts.append(augment.color_jitter(config.jitter, config.jitter, config.jitter))
    if config.cutout:
        parts.append(augment.cutout(config.cutout, fill=0.5))
    mix = None
    if config.mixup or config.cutmix:
        mix = (
            partial(augment.mixup, alpha=config.mixup)
            if config.mixup
            else partial(augment.cutmix, alpha=config.cutmix)
        )
    return classifier.image_task(
        model,
        optimizer.transformation(config),
        target,
        image_shape=tuple(image_shape),
        normalize=normalize,
        augmentation=augment.chain(*parts) if parts else None,
        mix=mix,
        views=classifier.Views(config.flip, config.shift_views),
    )


class Trained(NamedTuple):
    """A trained network, the States of its seeds, what it tells, and what its images must be.

    config: of its run. goal: what it tells. states: a supervised State [seeds, ...]. step: of the
    checkpoint. temperatures: of the seeds, () where none was fitted. levels: of grey levels of more
    than 8 bits, the range that is scaled to 0..255. borders: the brightness of its training images'
    borders, where the run has kept it.
    """

    config: Config
    model: nn.Module
    task: Task
    states: State
    normalize: Normalize
    goal: Goal
    image_shape: tuple[int, int, int]
    step: int
    temperatures: tuple[float, ...]
    levels: Levels | None = None
    borders: Appearance | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes or labels, or of its number."""
        return self.goal.classes

    @property
    def views(self) -> classifier.Views:
        """The versions of an image that its answers are averaged over."""
        return classifier.Views(self.config.flip, self.config.shift_views)


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    size = (config.image_size, config.image_size) if config.image_size else None
    settings = {"validation": config.validation, "multiple": placement.batch_multiple}
    full = None
    if config.streaming:
        data = streamed_images(
            config.dataset, config.data_dir, config.batch_size, size=size, **settings
        )
    else:
        columns = Columns(config.file_column, config.label_column, config.images, config.problem)
        full = load_images(
            config.dataset, config.data_dir, size=size, quiet=config.quiet, columns=columns
        )
        full = select_classes(full, config.classes) if config.classes else full
        image_goals.check(config, full)
        balanced = config.balanced_sampling
        data = in_memory_images(full, config.batch_size, balanced=balanced, **settings)
    images, goal = data.train_images["image"], image_goals.goal_of(data)
    shape = images.shape[1:]
    normalize = normalization(images)
    whitening = None
    if config.model == "fastnet":
        whitening = np.asarray(whitening_kernel(normalize(images[:5000].astype(np.float32) / 255)))
    model = network(config, len(goal.classes), shape, whitening)
    views = classifier.Views(config.flip, config.shift_views)
    smoothing = 0 if goal.problem == REGRESSION else config.label_smoothing

    def make(config: Config) -> Task:
        target = image_goals.target_of(config, goal, data.train_images["label"])
        return make_task(config, model, normalize, target, shape)

    def draw(run: Run, sums: Sums, folder: Path) -> None:
        inspection.draw_examples(folder, data.train_images, goal.classes)
        if goal.problem == CLASSIFICATION:
            image = data.test_images["image"][0]
            inspection.draw(folder, run, sums, model, normalize, image, goal.classes)
            return
        function = inspection.answer(model, normalize, views, goal.target().answer)
        weights = temperature.with_temperatures(run.states)
        found = inspection.answers(function, weights, data.test_images["image"])
        if goal.problem == MULTI_LABEL:
            inspection.draw_labels(folder, found, data.test_images, goal.classes)
        else:
            inspection.draw_numbers(folder, found, data.test_images, goal.classes[0])
        inspection.draw_network(folder, run, model, normalize, data.test_images["image"][0])

    def analyze(run: Run, scores: Mapping[str, np.ndarray], simple: dict[str, Any]) -> Analysis:
        del simple
        found = temperature.choose(scores)
        used = found.temperatures if config.calibrate else ()

        def draw_most_wrong(folder: Path) -> None:
            weights = temperature.with_temperatures(run.states, used)
            test = data.test_images
            p = inspection.probabilities(model, weights, test["image"], normalize, views)
            inspection.draw_most_wrong(folder, p, test, goal.classes)

        metadata = {"temperatures": found.temperatures}
        return Analysis({}, (found.line,), metadata, draw_most_wrong, found.metrics)

    return Experiment(
        name=config.name,
        dataset=data.name,
        task=make,
        feed=data.train,
        placement=placement,
        headline=goal.headline,
        data=data.record.deriving(mean=normalize.mean, std=normalize.std),
        validation=data.validation,
        choose_by=goal.choose_by,
        test=data.test,
        summarise=targets.summarise,
        tables=partial(targets.tables, classes=goal.classes),
        metadata={
            "problem": goal.problem,
            "classes": goal.classes,
            "scale": goal.scale,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
            "levels": data.levels,
            "borders": appearance(images),
        },
        notes=(
            *data.notes,
            *training_loss.note(smoothing, config.mixup, config.cutmix),
        ),
        baselines=partial(goal.baselines, full.train, full.test)
        if full and config.baselines
        else None,
        draw=draw,
        analyze=analyze if goal.problem == CLASSIFICATION else None,
    )


def _scored(config: Config, dataset: str, folder: str, problem: str) -> Columns:
    """What is scored of a `.csv` with its images in `folder`, or of another set."""
    if not dataset.lower().endswith((".csv", ".tsv")):
        return Columns(folder=folder, problem=problem)
    return Columns(config.file_column, config.label_column, folder, problem, scored=True)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def load(workdir: str) -> Trained:
    """The trained classifier of a run: its best checkpoint, the newest if none was scored.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    config, metadata = session.saved(Config(workdir=workdir))
    goal, shape = image_goals.saved(metadata), tuple(metadata["image_shape"])
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    # The checkpoint holds the true whitening of a FastNet.
    whitening = np.zeros((2, 2, shape[-1], 8 * shape[-1]), np.float32)
    model = network(config, len(goal.classes), shape, whitening)
    task = make_task(config, model, normalize, goal.target(), shape)
    run, step = session.restore(config, task, place("none"))
    temperatures = tuple(metadata.get("temperatures", ()))
    levels, borders = written_levels(metadata), metadata.get("borders")
    borders = borders and Appearance(*borders)
    return Trained(
        config, model, task, run.states, normalize, goal, shape, step, temperatures, levels, borders
    )


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with: for --predict, and to export.

    By the best checkpoint (the newest if none was scored), the mean over its seeds.
    """
    found = load(config.workdir)
    meaning, goal = found.goal.target().answer, found.goal
    function = inspection.answer(found.model, found.normalize, found.views, meaning)
    temperatures = found.temperatures if config.calibrate else ()
    weights = temperature.with_temperatures(found.states.without_optimiser(), temperatures)
    metadata = {
        "step": found.step,
        "seeds": len(weights[1]),
        "levels": found.levels,
        "borders": found.borders,
        "multi_label": goal.problem == MULTI_LABEL,
    }
    value = goal.classes[0] if goal.problem == REGRESSION else ""
    return inspection.serving(function, weights, found.image_shape, goal.classes, metadata, value)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images with the run in config.workdir.

    Writes predictions.csv and, for the first images, pictures to workdir/predictions/. Returns a
    dict an image: file, label, probability; of several labels the probability of each; of a number
    its value.
    """
    return image_prediction.predict(
        serving(config), path, Path(config.workdir), config.plots, invert=config.invert
    )


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the labelled images of another data set.

    Its test part counts (of a `.csv` without one all images), with the classes of the run; see
    `session.evaluate`. Raises ValueError for a class that the run does not know.
    """
    found = load(config.workdir)
    data = load_images(
        dataset,
        config.data_dir,
        size=found.image_shape[:2],
        channels=found.image_shape[2],
        levels=found.levels,
        columns=_scored(found.config, dataset, config.images, found.goal.problem),
    )
    for note in data.notes:
        print(note)
    test = align_classes(data, found.classes).test
    return session.evaluate(
        found.config,
        found.task,
        feed.examples(test, EVALUATION_BATCH),
        data=dataset,
        headline=found.goal.headline,
        summarise=partial(temperature.at_those, found.temperatures, targets.summarise),
        tables=partial(targets.tables, classes=found.classes),
    )


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
