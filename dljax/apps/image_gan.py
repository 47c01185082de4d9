"""Image GANs: training, scores and samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from dljax import plots
from dljax.apps.configs.image_gan import Config
from dljax.apps.gan import feature_extractor
from dljax.apps.gan.feature_extractor import Extractor
from dljax.data import feed
from dljax.data.feed import Examples
from dljax.data.images import EVALUATION_BATCH
from dljax.data.record_kinds import images_record
from dljax.data.sources import Dataset, load_images, plain_folder, split
from dljax.data.sources.dataset import Arrays
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
from dljax.gan.adversarial import FeatureFunction
from dljax.gan.assessment import Bounds
from dljax.gan.eval_metrics import summarise
from dljax.gan.losses import LOSSES
from dljax.run import session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train import metrics, optim
from dljax.train.loop import Run, Task
from dljax.train.parallel import place

HEADLINE = ("fid", "loss", "generator_loss")
SCORED = 2**20  # number of the first sample that is scored; pictures show those from 0 on
UNSCORED = 1000  # samples that are drawn where none is scored


def networks(
    config: Config, shape: tuple[int, int, int], classes: int
) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of a Config for images [H, W, C]."""
    own = config.own()
    settings: dict[str, Any] = {
        "size": shape[0],
        "width": own.width,
        "classes": classes if config.conditional else 0,
        "dtype": jnp.dtype(config.dtype),
    }
    if config.model == "dcgan":
        generator = dcgan.DCGANGenerator(channels=shape[2], **settings)
        return generator, dcgan.DCGANDiscriminator(hidden=own.hidden, **settings)
    if config.model == "sngan":
        generator = sngan.SNGANGenerator(channels=shape[2], **settings)
        return generator, sngan.SNGANDiscriminator(hidden=own.hidden, **settings)
    settings |= {"hidden": own.hidden, "halved": shape[0] >= 24}
    generator = r3gan.R3GANGenerator(channels=shape[2], **settings)
    return generator, r3gan.R3GANDiscriminator(**settings)


def make_task(
    config: Config,
    shape: tuple[int, int, int],
    classes: int,
    features: FeatureFunction | None = None,
) -> Task:
    """The Task of a Config. features: for scores of evaluations, see `adversarial.task`."""
    config = config.own()

    def adam(rate: float, updates: int, ema: float | None = None) -> optax.GradientTransformation:
        schedule = optim.schedule(config.schedule, rate, config.steps * updates)
        return adversarial.adam(schedule, config.beta1, config.beta2, ema)

    rate = config.generator_learning_rate
    return adversarial.task(
        *networks(config, shape, classes),
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
    placement = session.placement(config)
    size = (config.image_size, config.image_size) if config.image_size else None
    data = plain_folder(config.dataset, size)
    data = data or load_images(config.dataset, config.data_dir, size=size, quiet=config.quiet)
    shape = data.train["image"].shape[1:]
    if shape[0] != shape[1]:
        raise ValueError(f"images of {shape[0]}x{shape[1]} are not square: set --image_size")
    extractor, bounds = None, None
    if len(data.classes) > 1 or config.extractor:
        extractor = feature_extractor.load(data, config.extractor, config.quiet)
        bounds = assessment.bounds(
            extractor.extract, data.train["image"], data.test["image"], config.score_images
        )
    train, held_out = data.train, data.validation
    if held_out is None:
        train, held_out = split(train, config.validation)

    scored = [
        {name: x[: config.score_images] for name, x in part.items()}
        for part in (held_out, data.test)
    ]
    batch = feed.common_batch(EVALUATION_BATCH, *(len(part["label"]) for part in scored))

    def examples(part: Arrays) -> Examples:
        numbered = {**part, "index": np.arange(len(part["label"]), dtype=np.int32)}
        return feed.examples(numbered, batch, placement.batch_multiple)

    return Experiment(
        name=config.name,
        dataset=f"{data.name} ({len(train['label'])} images {shape[0]}x{shape[1]}x{shape[2]})",
        task=lambda config: make_task(
            config, shape, len(data.classes), extractor and extractor.features
        ),
        feed=feed.in_memory(train, config.batch_size * config.updates),
        placement=placement,
        headline=HEADLINE,
        data=images_record(
            {"train": train, "validation": held_out, "test": data.test},
            data.classes,
            data.left_out,
        ),
        validation=examples(scored[0]),
        test=examples(scored[1]),
        summarise=partial(summarise, bounds and bounds.reference),
        metadata={"classes": data.classes, "image_shape": shape},
        notes=(*data.notes, _note(extractor, bounds)),
        analyze=partial(_analyze, config, data, extractor, bounds),
        eval_callback=image_plots.save_snapshot,
    )


def _note(extractor: Extractor | None, bounds: Bounds | None) -> str:
    """What the samples are scored by."""
    if extractor is None:
        return "one class and no --extractor: samples are not scored"
    return (
        f"features of {extractor.source} (test accuracy {extractor.accuracy:.4f}); FID of "
        f"{bounds.images} real test images {bounds.real['fid']:.4g}, "
        f"of noise {bounds.noise['fid']:.4g}"
    )


def _analyze(
    config: Config,
    data: Dataset,
    extractor: Extractor | None,
    bounds: Bounds | None,
    run: Run,
    scores: dict,
    baselines: dict,
) -> Analysis:
    """Scores samples of every seed and draws the first seed's."""
    del baselines
    generator, _ = networks(config, data.train["image"].shape[1:], len(data.classes))
    sampler = sampling.sampler(generator, config.latent)
    count = bounds.images if bounds else UNSCORED
    labels = np.random.default_rng(0).permutation(data.train["label"])[:count]
    labels = np.resize(labels, count)
    states = list(sampling.seeds(run))
    generated = [sampling.samples(sampler, state, labels, SCORED) for state in states]
    findings, lines, predicted, values = {}, [], labels, {}
    if bounds:
        found = [bounds.score(images) for images in generated]
        # One number of a name: those of the samples below, not of others drawn with the test part.
        values = {k: np.array([x[k] for x in found]) for k in found[0] if k in scores}
        findings["scores"] = {
            "images": bounds.images,
            "seed": bounds.seed,
            "features": extractor.source,
            "samples": {k: metrics.describe([x[k] for x in found]) for k in found[0]},
            "real": bounds.real,
            "noise": bounds.noise,
        }
        lines += assessment.table(bounds, found)
        for number, one in enumerate(found):
            signs = assessment.collapse(one, bounds.real)
            lines += [f"seed number {number}: {line}" for line in signs]
        if not config.conditional:
            predicted = extractor.extract(generated[0]).logits.argmax(1)

    def draw(folder: Path) -> None:
        image_plots.draw(
            folder, sampler, states[0], generated[0], predicted, data.classes, config.conditional,
            data.train["image"], data.test["image"],
        )  # fmt: skip

    return Analysis(findings, tuple(lines), draw=draw, metrics=values)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def sample(config: Config, count: int) -> np.ndarray:
    """Samples of the generator in config.workdir, of its first seed: uint8 [count, H, W, C].

    Writes workdir/samples/NUMBER.png (conditional: NUMBER_CLASS.png, the classes in turn) and
    sheet.png.
    """
    config, metadata = session.saved(config)
    shape, classes = tuple(metadata["image_shape"]), metadata["classes"]
    task = make_task(config, shape, len(classes))
    run, step = session.restore(config, task, place("none"), best=False)
    generator, _ = networks(config, shape, len(classes))
    labels = np.arange(count, dtype=np.int32) % len(classes)
    state = next(sampling.seeds(run))
    images = sampling.samples(sampling.sampler(generator, config.latent), state, labels)
    folder = Path(config.workdir) / "samples"
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = f"{number:05d}_{classes[label]}" if config.conditional else f"{number:05d}"
        plots.samples.sheet(image[None], folder / f"{name.replace('/', '-')}.png", enlarge=False)
    columns = len(classes) if config.conditional and len(classes) <= 20 else 10
    plots.samples.sheet(images, folder / "sheet.png", columns)
    print(f"checkpoint of step {step}; {count} samples in {folder}/, all on {folder}/sheet.png")
    return images


def run(config: Config) -> None:
    """What the command line does."""
    if config.sample:
        sample(config, config.sample)
    else:
        train(config)
