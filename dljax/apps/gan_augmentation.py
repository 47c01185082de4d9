"""Do samples of a GAN help a classifier that has few labelled images?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.apps import image_classification, image_gan
from dljax.apps.configs.gan_augmentation import Config
from dljax.cnn.classification import classifier
from dljax.data import feed
from dljax.data.feed import Feed
from dljax.data.sources import Dataset, load_images, split
from dljax.data.sources.dataset import Arrays, subsample_per_class
from dljax.gan import sampling
from dljax.gan.synthetic_data import mixed
from dljax.run import session
from dljax.run.session import Outcome
from dljax.train.parallel import place


class Trained(NamedTuple):
    """A classifier of each seed: its arm, labelled images a class, share of samples, training."""

    arm: str
    labels: int
    share: float
    task: Any
    placement: Any
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
        raise ValueError(f"images of {height}x{width} are no squares, which the GAN wants")
    if data.validation is None:
        train, held_out = split(data.train, config.validation)
        data = data._replace(train=train, validation=held_out)
    subsample_per_class(data.train["label"], max(config.labels), config.seed)  # are there so many?
    return data


def generated(
    config: Config, data: Dataset, labels: int
) -> tuple[dict[int, Arrays], dict[str, Any]]:
    """Trains a GAN on each seed's labelled images; seed -> its samples, and the run's summary.

    The samples are of the classes in turn.
    """
    shape, classes = data.train["image"].shape[1:], len(data.classes)
    flags = image_gan.Config(
        **_common(config, f"{labels}/gan", config.gan_steps), conditional=True,
        width=config.gan_width, hidden=config.gan_hidden, augment=config.gan_augment,
    )  # fmt: skip
    batches = feed.in_memory(data.train, flags.batch_size, _pick(data, labels))
    task = image_gan.make_task(flags, shape, classes)
    outcome, _ = _train(flags, data, "image_gan", task, batches)
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
    flags = image_classification.Config(
        **_common(config, folder, config.steps), learning_rate=config.learning_rate,
        model=config.model, **changes,
    )  # fmt: skip
    pick, size = _pick(data, labels), flags.batch_size
    batches = feed.in_memory(data.train, size, pick)
    if samples:
        batches = mixed(data.train, samples, share, size, pick)
    # Fixed numbers, since most of the images are taken for unknown.
    normalize = Normalize((0.5,) * shape[-1], (0.5,) * shape[-1])
    model = image_classification.network(flags, classes, shape)
    task = image_classification.make_task(flags, model, normalize, classes, shape)
    facts = {"mean": normalize.mean, "std": normalize.std}
    outcome, placement = _train(flags, data, "image_classification", task, batches, facts)
    return Trained(arm, labels, share, task, placement, outcome)


def _pick(data: Dataset, labels: int) -> Callable[[int], np.ndarray]:
    """seed -> indices of the training images that are labelled for it."""
    return lambda seed: subsample_per_class(data.train["label"], labels, seed)


def _common(config: Config, folder: str, steps: int) -> dict[str, Any]:
    """The flags of the run in a folder below the workdir."""
    names = ("dataset", "data_dir", "seed", "num_seeds", "batch_size", "steps_per_call", "parallel",
             "vectorize_seeds", "dtype", "overwrite")  # fmt: skip
    return {name: getattr(config, name) for name in names} | {
        "workdir": str(Path(config.workdir) / folder),
        "steps": steps,
        "eval_every": steps,
        "quiet": True,
        "plots": False,
    }


def _train(
    flags: Any, data: Dataset, name: str, task: Any, batches: Feed, facts: Any = None
) -> tuple[Outcome, Any]:
    """One training and its placement; with facts, of what the validation images are for."""
    placement = place(
        flags.parallel,
        batch_size=flags.batch_size,
        num_seeds=flags.num_seeds,
        vectorize_seeds=flags.vectorize_seeds,
    )
    about = {"classes": data.classes, "image_shape": data.train["image"].shape[1:]}
    held_out = feed.examples(data.validation, 250, placement.batch_multiple)
    experiment = session.Experiment(
        name=name,
        dataset=data.name,
        task=lambda config: task,
        feed=batches,
        placement=placement,
        validation=held_out if facts else None,
        facts=about | (facts or {}),
    )
    return session.train(flags, experiment), placement


def compare(config: Config) -> dict[str, Any]:
    """Trains all arms, scores them, draws them; the content of summary.json."""
    if config.predict:
        raise ValueError(
            "predict with one of the classifiers: python -m experiments.image_classification "
            f"--workdir={config.workdir}/{config.labels[0]}/standard --predict={config.predict}"
        )
    data, chosen, drawn, summaries = prepare(config), [], {}, []

    def tell(line: str) -> None:
        if not config.quiet:
            print(line, flush=True)

    for labels in config.labels:
        drawn[labels], summary = generated(config, data, labels)
        summaries.append(summary)
        tell(f"{labels} labels: a GAN for each of {config.num_seeds} seeds")
        for arm in ARMS:
            mixed = arm in SAMPLES
            tried = [
                trained(config, data, arm, labels, share, drawn[labels] if mixed else None)
                for share in (config.shares if mixed else (0.0,))
            ]
            summaries += [one.outcome.summary for one in tried]
            found = (
                f"{x.validation():.4f}" + f" with {x.share:.0%} samples" * mixed for x in tried
            )
            tell(f"{labels} labels, {arm}: validation accuracy {', '.join(found)}")
            chosen.append(max(tried, key=Trained.validation))
    accuracy = augmentation_report.tested(data, chosen)
    shares = {f"{x.arm}_{x.labels}": x.share for x in chosen if x.share}
    return augmentation_report.write(config, data, accuracy, shares, drawn, summaries, tell)


def run(config: Config) -> None:
    """What the command line does."""
    compare(config)
