"""The features that samples are scored by: those of a classifier of the same data.

found = extractor.load(data)                  # a small one, trained once, kept in the cache
found = extractor.load(data, "runs/image_classification")         # or one of your own
bounds = assessment.bounds(found.extract, data.train["image"], data.test["image"])
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps import image_classification
from dljax.apps.image_classification import Config
from dljax.cnn.classification import classifier
from dljax.data.images import in_memory_images
from dljax.data.sources.cache import crc, user_cache
from dljax.data.sources.dataset import Dataset
from dljax.gan.scores import Features
from dljax.nn import penultimate
from dljax.run import session
from dljax.train.parallel import place

BATCH = 250  # images at once; the last batch is filled up, so that all are computed alike
STEPS = 1500  # of training the LeNet


class Extractor(NamedTuple):
    """A classifier that scores images.

    features: images [B, H, W, C] in 0..1, of any size -> features [B, D], logits [B, classes];
    can be traced. extract: the same of uint8 images on the host, whatever their number.
    accuracy: on the test images. source: the workdir it comes from.
    """

    penultimate: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    extract: Callable[[np.ndarray], Features]
    classes: tuple[str, ...]
    accuracy: float
    source: str


def load(data: Dataset, workdir: str = "", quiet: bool = False) -> Extractor:
    """The classifier in `workdir`, a run of image_classification; without one, a LeNet of `data`.

    That LeNet is trained at the first call (half a minute for MNIST on two cores) and kept in the
    user's cache for the next. Images of another size or number of channels than the classifier's
    are brought to its own.
    Raises FileNotFoundError for a workdir without a run, ValueError for data of one class.
    """
    if workdir:
        config, facts = session.saved(Config(workdir=workdir, plots=False))
        summary = Path(workdir) / "summary.json"
        if not summary.exists():
            raise ValueError(f"the run in {workdir} has not come to its end: finish it first")
    else:
        config = _train(data, quiet)
        facts = session.saved(config)[1]
        summary = Path(config.workdir) / "summary.json"
    classes, shape = tuple(facts["classes"]), tuple(facts["image_shape"])
    normalize = Normalize(tuple(facts["mean"]), tuple(facts["std"]))
    whitening = np.zeros((2, 2, shape[-1], 8 * shape[-1]), np.float32)  # in the checkpoint
    model = image_classification.network(config, len(classes), shape, whitening)
    task = image_classification.make_task(config, model, normalize, len(classes), shape)
    run, _ = session.restore(config, task, place("none"))
    variables = jax.tree.map(lambda x: x[0], run.states).variables()

    def of(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        return penultimate.penultimate(model, variables, normalize(_fitted(images, shape)))

    metrics = json.loads(summary.read_text())["metrics"]
    return Extractor(
        of, partial(extract, jax.jit(of)), classes, metrics["accuracy"]["mean"], config.workdir
    )


def extract(of: Callable, images: np.ndarray) -> Features:
    """Features of uint8 images [N, ...] by a compiled function of BATCH images in 0..1."""
    found = []
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        full = np.zeros((BATCH, *images.shape[1:]), np.float32)
        full[: len(part)] = part / np.float32(255)
        found.append([np.asarray(x)[: len(part)] for x in of(full)])
    return Features(*map(np.concatenate, zip(*found, strict=True)))


def _fitted(images: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """Images [B, H, W, C] with the size and channels of `shape`."""
    if images.shape[-1] != shape[-1]:
        images = jnp.repeat(images.mean(-1, keepdims=True), shape[-1], -1)
    if images.shape[1:3] != shape[:2]:
        images = jax.image.resize(images, (len(images), *shape), "bilinear")
    return images


def _train(data: Dataset, quiet: bool) -> Config:
    """A LeNet of the data, in the user's cache; the Config of its run."""
    if len(data.classes) < 2:
        raise ValueError(
            f"{data.name} has one class only, so no classifier of it can score samples: "
            "give a run of image_classification with --extractor"
        )
    config = Config(
        dataset=data.name, model="lenet", widths=(16, 32), num_seeds=1, steps=STEPS,
        validation=0.0, batch_size=min(64, len(data.train["label"])),
        label_smoothing=0.0, parallel="none", quiet=quiet, plots=False,
    )  # fmt: skip
    train = data.train["image"]
    sums = f"{crc(train):08x}-{crc(data.train['label']):08x}"
    kind = f"{'x'.join(map(str, train.shape))}-{sums}-{STEPS}"
    config = dataclasses.replace(config, workdir=str(user_cache("extractors") / kind))
    if not (Path(config.workdir) / "summary.json").exists():
        session.train(config, _experiment(config, data))
    return config


def _experiment(config: Config, data: Dataset) -> session.Experiment:
    images = in_memory_images(data, config.batch_size, validation=config.validation)
    normalize = normalization(images.train_images["image"])
    shape = images.train_images["image"].shape[1:]
    model = image_classification.network(config, len(data.classes), shape)

    def task(config: Config) -> Any:
        return image_classification.make_task(config, model, normalize, len(data.classes), shape)

    return session.Experiment(
        name="extractor",
        dataset=images.name,
        task=task,
        feed=images.train,
        placement=place("none", batch_size=config.batch_size, num_seeds=1),
        test=images.test,
        summarise=classifier.summarise,
        facts={
            "classes": data.classes,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
        },
    )
