"""Generative adversarial networks of images, scored and looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.image_gan import Config
from dljax.data import feed
from dljax.data.sources import load_images, plain_folder, split
from dljax.gan import (
    adversarial,
    assessment,
    dcgan,
    diffaugment,
    image_plots,
    r3gan,
    sampling,
    sngan,
)
from dljax.gan.eval_metrics import summarise
from dljax.gan.losses import LOSSES
from dljax.plots import samples
from dljax.run import session, sweep
from dljax.run.session import Conclusion, Experiment, Outcome
from dljax.train import metrics, optim
from dljax.train.parallel import place

SCORED = 2**20  # number of the first sample that is scored; those shown begin at 0


def networks(config: Config, shape: tuple[int, int, int], classes: int) -> tuple[Any, Any]:
    """The generator and the discriminator of a Config for images [H, W, C]."""
    settings = {
        "size": shape[0],
        "width": config.own().width,
        "classes": classes if config.conditional else 0,
        "dtype": jnp.dtype(config.dtype),
    }
    generator, discriminator = {
        "dcgan": (dcgan.DCGANGenerator, dcgan.DCGANDiscriminator),
        "resnet": (sngan.SNGANGenerator, sngan.SNGANDiscriminator),
        "modern": (r3gan.R3GANGenerator, r3gan.R3GANDiscriminator),
    }[config.model]
    hidden, own = config.own().hidden, {}
    if config.model == "modern":
        settings["halved"] = shape[0] >= 24
        own["hidden"] = hidden
    return (
        generator(channels=shape[2], **settings, **own),
        discriminator(hidden=hidden, **settings),
    )


def make_task(
    config: Config, shape: tuple[int, int, int], classes: int, features: Any = None
) -> Any:
    """The Task of a Config. features: streams the scores of evaluations (adversarial.task)."""
    config = config.own()

    def adam(rate: float, updates: int, ema: float | None = None) -> Any:
        schedule = optim.schedule(config.schedule, rate, config.steps * updates)
        return adversarial.adam(schedule, config.beta1, config.beta2, ema)

    rate = config.generator_learning_rate
    return adversarial.task(
        *dcgan(config, shape, classes),
        adam(config.learning_rate if rate is None else rate, 1, config.ema),
        adam(config.learning_rate, config.updates),
        LOSSES[config.loss],
        latent=config.latent,
        image_shape=tuple(shape),
        updates=config.updates,
        regularization=adversarial.Regularization(
            spectral=config.spectral == "on",
            r1=config.r1,
            r2=config.r2,
            interpolated=config.gradient_penalty,
            every=config.penalty_every,
            augmentation=diffaugment.chain(config.augment) if config.augment else None,
            p=0.0 if config.ada else config.augment_p,
            target=config.ada or None,
        ),
        features=features,
    )


def build(config: Config) -> Experiment:
    """The data, the networks and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    if config.predict:
        raise ValueError("a GAN predicts nothing: --sample=N writes images")
    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        vectorize_seeds=config.vectorize_seeds,
    )
    size = (config.image_size, config.image_size) if config.image_size else None
    data = plain_folder(config.dataset, size)
    data = data or load_images(config.dataset, config.data_dir, size=size, quiet=config.quiet)
    shape = data.train["image"].shape[1:]
    if shape[0] != shape[1]:
        raise ValueError(f"images of {shape[0]}x{shape[1]} are no squares: set --image_size")
    classifier, limits = None, None
    if len(data.classes) > 1 or config.extractor:
        classifier = extractor.load(data, config.extractor, config.quiet)
        limits = assessment.bounds(
            classifier.extract, data.train["image"], data.test["image"], config.score_images
        )
    train, held_out = data.train, data.validation
    if held_out is None:
        train, held_out = split(train, config.validation)

    def examples(arrays: dict) -> Any:
        most = min(len(arrays["label"]), config.score_images)
        numbered = {"index": np.arange(most, dtype=np.int32)}
        return feed.examples(
            {k: x[:most] for k, x in arrays.items()} | numbered, 250, placement.batch_multiple
        )

    return Experiment(
        name="image_gan",
        dataset=f"{data.name} ({len(train['label'])} images {shape[0]}x{shape[1]}x{shape[2]})",
        task=lambda config: make_task(
            config, shape, len(data.classes), classifier and classifier.features
        ),
        feed=feed.in_memory(train, config.batch_size * config.updates),
        placement=placement,
        validation=examples(held_out),
        test=examples(data.test),
        summarise=partial(summarise, limits and limits.reference),
        facts={"classes": data.classes, "image_shape": shape},
        notes=_notes(data.notes, classifier, limits),
        conclude=partial(_conclude, config, data, classifier, limits),
        watch=image_plots.keep,
    )


def _notes(notes: tuple[str, ...], classifier: Any, limits: Any) -> tuple[str, ...]:
    if classifier is None:
        return (*notes, "one class and no --extractor: samples are not scored")
    return (
        *notes,
        f"features of {classifier.source} (test accuracy {classifier.accuracy:.4f}); FID of "
        f"{limits.images} real test images {limits.real['fid']:.4g}, "
        f"of noise {limits.noise['fid']:.4g}",
    )


def _conclude(
    config: Config, data: Any, classifier: Any, limits: Any, run: Any, *_: Any
) -> Conclusion:
    """Scores samples of every seed and draws the first."""
    generator, _ = dcgan(config, data.train["image"].shape[1:], len(data.classes))
    sampler = sampling.sampler(generator, config.latent)
    count = limits.images if limits else 1000
    labels = np.random.default_rng(0).permutation(data.train["label"])[:count]
    labels = np.resize(labels, count)
    states = list(sampling.seeds(run))
    drawn = [sampling.samples(sampler, state, labels, SCORED) for state in states]
    findings, lines, seen = {}, [], labels
    if limits:
        found = [limits.score(images) for images in drawn]
        findings["scores"] = {
            "images": limits.images,
            "seed": limits.seed,
            "features": classifier.source,
            "samples": {k: metrics.describe([x[k] for x in found]) for k in found[0]},
            "real": limits.real,
            "noise": limits.noise,
        }
        lines += assessment.table(limits, found)
        for number, scores in enumerate(found):
            fallen = assessment.collapse(scores, limits.real)
            lines += [f"seed number {number}: {line}" for line in fallen]
        if not config.conditional:
            seen = classifier.extract(drawn[0]).logits.argmax(1)

    def draw(folder: Path) -> None:
        image_plots.draw(
            folder, sampler, states[0], drawn[0], seen, data.classes, config.conditional,
            data.train["image"], data.test["image"],
        )  # fmt: skip

    return Conclusion(findings, tuple(lines), draw=draw)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def sample(config: Config, count: int) -> Any:
    """Draws from the generator in config.workdir, of its first seed: uint8 [count, H, W, C].

    Writes workdir/samples/NUMBER.png (with the class in the name if it is conditional; classes in
    turn) and sheet.png.
    """
    config, facts = session.saved(config)
    shape, classes = tuple(facts["image_shape"]), facts["classes"]
    task = make_task(config, shape, len(classes))
    run, step = session.restore(config, task, place("none"), best=False)
    generator, _ = dcgan(config, shape, len(classes))
    labels = np.arange(count, dtype=np.int32) % len(classes)
    state = next(sampling.seeds(run))
    images = sampling.samples(sampling.sampler(generator, config.latent), state, labels)
    folder = Path(config.workdir) / "samples"
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = f"{number:05d}_{classes[label]}" if config.conditional else f"{number:05d}"
        samples.sheet(image[None], folder / f"{name.replace('/', '-')}.png", enlarge=False)
    columns = len(classes) if config.conditional and len(classes) <= 20 else 10
    samples.sheet(images, folder / "sheet.png", columns)
    print(f"checkpoint of step {step}; {count} samples in {folder}/, all on {folder}/sheet.png")
    return images


def run(config: Config) -> None:
    """What the command line does."""
    if config.sample:
        sample(config, config.sample)
    else:
        train(config)
