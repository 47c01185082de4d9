"""The features that samples are scored by: those of a classifier of the same data.

extractor = feature_extractor.load(data)      # a small one, trained once, kept in the cache
extractor = feature_extractor.load(data, "runs/image_classification-digits")     # one of your own
bounds = assessment.bounds(extractor.extract, data.train["image"], data.test["image"])
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.apps import image_classification
from dljax.apps.configs.image_classification import Config
from dljax.cnn.classification import targets
from dljax.data.image_scaling import normalization
from dljax.data.images import in_memory_images
from dljax.data.sources.cache import crc, user_cache
from dljax.data.sources.dataset import CLASSIFICATION, Dataset
from dljax.gan.adversarial import FeatureFunction
from dljax.gan.scores import Features
from dljax.nn.penultimate import penultimate
from dljax.run import session
from dljax.run.experiment import Experiment
from dljax.train.loop import Task

BATCH = 250  # images at once; the last batch is padded, so that all are computed alike
STEPS = 1500  # training steps of the LeNet


class Extractor(NamedTuple):
    """A classifier whose features score images.

    features: images [B, H, W, C] in 0..1, of any size -> features [B, D], logits [B, classes];
    can be traced. extract: the same of any number of uint8 images, on the host. accuracy: on the
    test images. source: the workdir of the classifier.
    """

    features: FeatureFunction
    extract: Callable[[np.ndarray], Features]
    classes: tuple[str, ...]
    accuracy: float
    source: str


def load(data: Dataset, workdir: str = "", quiet: bool = False) -> Extractor:
    """The classifier in `workdir`, a run of image_classification; without one, a LeNet of `data`.

    That LeNet is trained at the first call (half a minute for MNIST on two cores) and kept in the
    user's cache. Images of another size or number of channels than the classifier's are resized.
    Raises FileNotFoundError for a workdir without a run, ValueError for data of one class.
    """
    workdir = workdir or _train(data, quiet)
    found = image_classification.load(workdir)
    if found.goal.problem != CLASSIFICATION:
        raise ValueError(f"the run in {workdir} tells no classes: --extractor takes a classifier")
    summary = Path(workdir) / "summary.json"
    if not summary.exists():
        raise ValueError(f"the run in {workdir} is not finished: train it to its end first")
    variables = jax.tree.map(lambda x: x[0], found.states).variables()

    def features(images: Array) -> tuple[Array, Array]:
        resized = _resized(images, found.image_shape)
        return penultimate(found.model, variables, found.normalize(resized))

    accuracy = json.loads(summary.read_text())["metrics"]["accuracy"]["mean"]
    compiled = partial(extract, jax.jit(features))
    return Extractor(features, compiled, found.classes, accuracy, workdir)


def extract(function: FeatureFunction, images: np.ndarray) -> Features:
    """Features of uint8 images [N, ...] by a compiled function of BATCH images in 0..1."""
    found = []
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        padded = np.zeros((BATCH, *images.shape[1:]), np.float32)
        padded[: len(part)] = part / np.float32(255)
        found.append([np.asarray(x)[: len(part)] for x in function(padded)])
    return Features(*map(np.concatenate, zip(*found, strict=True)))


def _resized(images: Array, shape: tuple[int, int, int]) -> Array:
    """Images [B, H, W, C] with the size and channels of `shape`."""
    if images.shape[-1] != shape[-1]:
        images = jnp.repeat(images.mean(-1, keepdims=True), shape[-1], -1)
    if images.shape[1:3] != shape[:2]:
        images = jax.image.resize(images, (len(images), *shape), "bilinear")
    return images


def _train(data: Dataset, quiet: bool) -> str:
    """Trains a LeNet of the data, unless the user's cache holds it; its workdir."""
    if len(data.classes) < 2:
        raise ValueError(
            f"{data.name} has one class only, so no classifier of it can score samples: "
            "give a run of image_classification with --extractor"
        )
    train = data.train["image"]
    sums = f"{crc(train):08x}-{crc(data.train['label']):08x}"
    kind = f"{'x'.join(map(str, train.shape))}-{sums}-{STEPS}"
    config = Config(
        workdir=str(user_cache("feature_extractors") / kind), dataset=data.name, model="lenet",
        widths=(16, 32), num_seeds=1, steps=STEPS, validation=0.0,
        batch_size=min(64, len(data.train["label"])), label_smoothing=0.0, parallel="none",
        quiet=quiet, plots=False,
    )  # fmt: skip
    if not (Path(config.workdir) / "summary.json").exists():
        session.train(config, _experiment(config, data))
    return config.workdir


def _experiment(config: Config, data: Dataset) -> Experiment:
    images = in_memory_images(data, config.batch_size, validation=config.validation)
    normalize = normalization(images.train_images["image"])
    shape = images.train_images["image"].shape[1:]
    model = image_classification.network(config, len(data.classes), shape)

    def task(config: Config) -> Task:
        target = targets.one_class(len(data.classes), config.label_smoothing)
        return image_classification.make_task(config, model, normalize, target, shape)

    return Experiment(
        name=config.name,
        dataset=images.name,
        task=task,
        feed=images.train,
        placement=session.placement(config),
        headline=("accuracy", "loss"),
        data=images.record,
        test=images.test,
        summarise=targets.summarise,
        metadata={
            "classes": data.classes,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
        },
    )
