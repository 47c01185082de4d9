"""Image classification with a convolutional network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.apps import image_prediction, training_loss
from dljax.apps.configs.image_classification import Config
from dljax.cnn.classification import baselines, classifier, inspection
from dljax.data import augment, feed
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.images import EVALUATION_BATCH, in_memory_images, streamed_images
from dljax.data.sources import Levels, load_images
from dljax.data.sources.dataset import align_classes, select_classes
from dljax.data.sources.image import written_levels
from dljax.nn import allconv, fastnet, lenet, mobilenet, resnet
from dljax.nn.fastnet import whitening_kernel
from dljax.run import optimizer, session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Serving
from dljax.train.loop import Run, Sums, Task
from dljax.train.parallel import place
from dljax.train.supervised import State

HEADLINE = ("accuracy", "loss")


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
    config: Config, model: nn.Module, normalize: Normalize, classes: int, image_shape: tuple
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
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
    return classifier.task(
        model,
        optimizer.transformation(config),
        image_shape=tuple(image_shape),
        classes=classes,
        normalize=normalize,
        augmentation=augment.chain(*parts) if parts else None,
        mix=mix,
        label_smoothing=config.label_smoothing,
        views=classifier.Views(config.flip, config.shift_views),
    )


class Trained(NamedTuple):
    """A trained classifier: its network, the States of its seeds, and what its images must be.

    config: of its run. states: a supervised State [seeds, ...]. step: of the checkpoint. levels: of
    grey levels of more than 8 bits, the range that is scaled to 0..255.
    """

    config: Config
    model: nn.Module
    task: Task
    states: State
    normalize: Normalize
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    step: int
    levels: Levels | None = None


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
        full = load_images(config.dataset, config.data_dir, size=size, quiet=config.quiet)
        full = select_classes(full, config.classes) if config.classes else full
        data = in_memory_images(full, config.batch_size, **settings)
    images, classes = data.train_images["image"], data.classes
    shape = images.shape[1:]
    normalize = normalization(images)
    whitening = None
    if config.model == "fastnet":
        whitening = np.asarray(whitening_kernel(normalize(images[:5000].astype(np.float32) / 255)))
    model = network(config, len(classes), shape, whitening)
    views = classifier.Views(config.flip, config.shift_views)

    def draw(run: Run, sums: Sums, folder: Path) -> None:
        inspection.draw(folder, run, sums, model, normalize, data.test_images, classes, views)

    return Experiment(
        name=config.name,
        dataset=data.name,
        task=lambda config: make_task(config, model, normalize, len(classes), shape),
        feed=data.train,
        placement=placement,
        headline=HEADLINE,
        data=data.record.deriving(mean=normalize.mean, std=normalize.std),
        validation=data.validation,
        choose_by="max:accuracy",
        test=data.test,
        summarise=classifier.summarise,
        metadata={
            "classes": classes,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
            "levels": data.levels,
        },
        notes=(
            *data.notes,
            *training_loss.note(config.label_smoothing, config.mixup, config.cutmix),
        ),
        baselines=partial(baselines.image_baselines, full.train, full.test)
        if full and config.baselines
        else None,
        draw=draw,
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def load(workdir: str) -> Trained:
    """The trained classifier of a run: its best checkpoint, the newest if none was scored.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    config, metadata = session.saved(Config(workdir=workdir))
    classes, shape = tuple(metadata["classes"]), tuple(metadata["image_shape"])
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    # The checkpoint holds the true whitening of a FastNet.
    whitening = np.zeros((2, 2, shape[-1], 8 * shape[-1]), np.float32)
    model = network(config, len(classes), shape, whitening)
    task = make_task(config, model, normalize, len(classes), shape)
    run, step = session.restore(config, task, place("none"))
    levels = written_levels(metadata)
    return Trained(config, model, task, run.states, normalize, classes, shape, step, levels)


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with: for --predict, and to export.

    By the best checkpoint (the newest if none was scored), the mean over its seeds.
    """
    found = load(config.workdir)
    views = classifier.Views(found.config.flip, found.config.shift_views)
    function = inspection.answer(found.model, found.normalize, views)
    states = found.states.without_optimiser()
    metadata = {
        "step": found.step,
        "seeds": len(jax.tree.leaves(states)[0]),
        "levels": found.levels,
    }
    return inspection.serving(function, states, found.image_shape, found.classes, metadata)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images with the run in config.workdir.

    Writes predictions.csv and, for the first images, pictures to workdir/predictions/. Returns a
    dict an image: file, label, probability.
    """
    return image_prediction.predict(serving(config), path, Path(config.workdir), config.plots)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the labelled images of another data set.

    Its test part counts, with the classes of the run; see `session.evaluate`. Raises ValueError for
    a class that the run does not know.
    """
    found = load(config.workdir)
    data = load_images(
        dataset,
        config.data_dir,
        size=found.image_shape[:2],
        channels=found.image_shape[2],
        levels=found.levels,
    )
    test = align_classes(data, found.classes).test
    return session.evaluate(
        found.config,
        found.task,
        feed.examples(test, EVALUATION_BATCH),
        data=dataset,
        headline=HEADLINE,
        summarise=classifier.summarise,
    )


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
