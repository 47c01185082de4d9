"""The trainings of the comparison: a GAN and classifiers for each number of labelled images.

Each is a run of image_gan or image_classification in a folder of its own below the workdir.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.apps import image_classification, image_gan
from dljax.apps.configs import gan_augmentation
from dljax.apps.configs.image_classification import Config as ClassifierConfig
from dljax.apps.configs.image_gan import Config as GanConfig
from dljax.cnn.classification import targets
from dljax.data import feed
from dljax.data.feed import Feed
from dljax.data.image_scaling import Normalize
from dljax.data.images import EVALUATION_BATCH
from dljax.data.record_kinds import images_record
from dljax.data.sources import Dataset, load_images, split
from dljax.data.sources.dataset import Arrays, subsample_per_class
from dljax.gan import sampling
from dljax.gan.synthetic_data import mixed
from dljax.run import session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.loop import Task
from dljax.train.parallel import Placement

# The arms of the comparison, and those with standard augmentation and with samples.
ARMS = ("alone", "standard", "samples", "both")
STANDARD, SAMPLES = ("standard", "both"), ("samples", "both")

# Flags of the comparison that all its runs have.
COMMON = (
    "dataset", "data_dir", "seed", "num_seeds", "batch_size", "steps_per_call", "parallel",
    "vectorize_seeds", "dtype", "convolution", "overwrite",
)  # fmt: skip

Config = gan_augmentation.Config


class Trained(NamedTuple):
    """A classifier of each seed: its arm, labelled images of a class, share of samples, run."""

    arm: str
    labels: int
    share: float
    task: Task
    placement: Placement
    outcome: Outcome

    def validation(self) -> float:
        """Mean accuracy on the validation images."""
        return self.outcome.summary["metrics"]["accuracy"]["mean"]


def prepare(config: Config) -> Dataset:
    """All images of a Config, with a validation part.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    data = load_images(config.dataset, config.data_dir, quiet=config.quiet)
    height, width, _ = data.train["image"].shape[1:]
    if height != width:
        raise ValueError(f"images of {height}x{width} are not square, as the GAN needs them")
    if data.validation is None:
        train, held_out = split(data.train, config.validation)
        data = data._replace(train=train, validation=held_out)
    subsample_per_class(data.train["label"], max(config.labels), config.seed)  # raises for too few
    return data


def generated(
    config: Config, data: Dataset, labels: int
) -> tuple[dict[int, Arrays], dict[str, Any]]:
    """Trains a GAN on each seed's labelled images; seed -> its samples, and the run's summary.

    The samples are of the classes in turn.
    """
    shape, classes = data.train["image"].shape[1:], len(data.classes)
    flags = GanConfig(
        **_common(config, f"{labels}/gan", config.gan_steps), conditional=True,
        width=config.gan_width, hidden=config.gan_hidden, augment=config.gan_augment,
    )  # fmt: skip
    batches = feed.in_memory(data.train, flags.batch_size, labelled_by_seed(data, labels))
    task = image_gan.make_task(flags, shape, classes)
    outcome, _ = _train(flags, data, labels, task, batches)
    sampler = sampling.sampler(image_gan.networks(flags, shape, classes)[0], flags.latent)
    label = np.arange(config.samples, dtype=np.int32) % classes
    samples = {
        seed: {"image": sampling.samples(sampler, state, label), "label": label}
        for seed, state in zip(session.seeds(flags), sampling.seeds(outcome.run), strict=True)
    }
    return samples, outcome.summary


def trained(
    config: Config,
    data: Dataset,
    arm: str,
    labels: int,
    share: float = 0.0,
    samples: dict[int, Arrays] | None = None,
) -> Trained:
    """Trains a classifier on the labelled images of each seed, and on samples where there are."""
    shape, classes = data.train["image"].shape[1:], len(data.classes)
    changes = dict.fromkeys(("crop", "rotation", "zoom", "shear"), 0)
    if arm in STANDARD:
        changes |= {name: getattr(config, name) for name in ("crop", "rotation", "zoom")}
    folder = f"{labels}/{arm}-{share:g}" if samples else f"{labels}/{arm}"
    flags = ClassifierConfig(
        **_common(config, folder, config.steps), learning_rate=config.learning_rate,
        model=config.model, **changes,
    )  # fmt: skip
    pick, size = labelled_by_seed(data, labels), flags.batch_size
    batches = feed.in_memory(data.train, size, pick)
    if samples:
        batches = mixed(data.train, samples, share, size, pick)
    # Fixed numbers, since most of the images count as unknown.
    normalize = Normalize((0.5,) * shape[-1], (0.5,) * shape[-1])
    model = image_classification.network(flags, classes, shape)
    target = targets.one_class(classes, flags.label_smoothing)
    task = image_classification.make_task(flags, model, normalize, target, shape)
    outcome, placement = _train(flags, data, labels, task, batches, normalize)
    return Trained(arm, labels, share, task, placement, outcome)


def labelled_by_seed(data: Dataset, labels: int) -> Callable[[int], np.ndarray]:
    """seed -> indices of the training images that are labelled for it."""
    return lambda seed: subsample_per_class(data.train["label"], labels, seed)


def _common(config: Config, folder: str, steps: int) -> dict[str, Any]:
    """The flags of the run in a folder below the workdir."""
    return {name: getattr(config, name) for name in COMMON} | {
        "workdir": str(Path(config.workdir) / folder),
        "steps": steps,
        "eval_every": steps,
        "quiet": True,
        "plots": False,
    }


def _train(
    flags: GanConfig | ClassifierConfig,
    data: Dataset,
    labels: int,
    task: Task,
    batches: Feed,
    normalize: Normalize | None = None,
) -> tuple[Outcome, Placement]:
    """One training and its placement; a classifier, with `normalize`, is validated."""
    placement = session.placement(flags)
    metadata: Mapping[str, Any] = {
        "classes": data.classes,
        "image_shape": data.train["image"].shape[1:],
    }
    validation = None
    if normalize:
        metadata = {**metadata, "mean": normalize.mean, "std": normalize.std}
        validation = feed.examples(data.validation, EVALUATION_BATCH, placement.batch_multiple)
    parts = {"train": data.train, "validation": data.validation}
    record = images_record(parts, data.classes, data.left_out)
    experiment = Experiment(
        name=flags.name,
        dataset=data.name,
        task=lambda config: task,
        feed=batches,
        placement=placement,
        data=record.deriving(**{"labelled images of a class": labels}),
        validation=validation,
        metadata=metadata,
    )
    return session.train(flags, experiment), placement
