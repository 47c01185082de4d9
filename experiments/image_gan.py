"""Generative adversarial networks of images, scored and looked at.

    python -m experiments.image_gan                                 # digits, a minute on two cores
    python -m experiments.image_gan --dataset=tfds:mnist --data_dir=DIR --model=dcgan
    python -m experiments.image_gan --dataset=FOLDER --image_size=32 --conditional
    python -m experiments.image_gan --sample=64                     # PNGs of the trained generator

--dataset takes what image_classification does; a folder without classes is read, too, but then
only scored with --extractor. Scores are those of a classifier's features (the run of
image_classification that --extractor names, else one trained here once), beside those of real
images and of noise. Results of each command: README.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import base, sweep

if TYPE_CHECKING:
    from experiments.session import Conclusion, Experiment, Outcome

# What each model trains with unless a flag says otherwise.
OWN: dict[str, dict[str, Any]] = {
    "dcgan": {
        "width": 48, "hidden": 256, "loss": "non_saturating", "spectral": "off",
        "learning_rate": 1e-3, "beta1": 0.5, "beta2": 0.99,
        "r1": 0.5, "r2": 0.0, "penalty_every": 4,
    },
    "resnet": {
        "width": 16, "hidden": 0, "loss": "hinge", "spectral": "on",
        "learning_rate": 4e-4, "beta1": 0.0, "beta2": 0.9,
        "r1": 0.0, "r2": 0.0, "penalty_every": 1,
    },
    "modern": {
        "width": 32, "hidden": 256, "loss": "relativistic", "spectral": "off",
        "learning_rate": 1e-3, "beta1": 0.0, "beta2": 0.99,
        "r1": 1.0, "r2": 1.0, "penalty_every": 8,
    },
}  # fmt: skip
SCORED = 2**20  # number of the first sample that is scored; those shown begin at 0
LOSSES = ("non_saturating", "hinge", "least_squares", "wasserstein", "relativistic")
OWN_HELP = "; none: the model's own"


@dataclass(frozen=True, kw_only=True)
class Config(base.Config):
    """The flags of image GANs; the defaults are tuned for digits, those of a model in OWN."""

    workdir: str = base.field("runs/image_gan", "folder of the run", path=True, resume=False)
    dataset: str = base.field(
        "digits", "digits, letters, tfds:NAME, a folder, or a MedMNIST .npz", path=True
    )
    steps: int = base.field(4000, "training steps: updates of the generator", minimum=1)
    batch_size: int = base.field(64, "images in an update", minimum=1)
    learning_rate: float | None = base.field(None, "the discriminator's" + OWN_HELP, minimum=0)

    model: str = base.field("dcgan", "networks", choices=tuple(OWN))
    width: int | None = base.field(None, "channels of the largest layer" + OWN_HELP, minimum=1)
    hidden: int | None = base.field(
        None,
        "numbers in a dense layer before the discriminator's logit, and (modern) behind the latent"
        + OWN_HELP,
        minimum=0,
    )
    latent: int = base.field(64, "numbers in a latent", minimum=1)
    conditional: bool = base.field(False, "generate by class")
    loss: str | None = base.field(None, "adversarial loss" + OWN_HELP, choices=LOSSES)
    generator_learning_rate: float | None = base.field(
        None, "the generator's; none: as the discriminator's", minimum=0
    )
    schedule: str = base.field(
        "linear", "of the learning rates", choices=("constant", "linear", "cosine")
    )
    updates: int = base.field(1, "of the discriminator in a step", minimum=1)
    spectral: str | None = base.field(
        None, "spectral normalisation of the discriminator" + OWN_HELP, choices=("on", "off")
    )
    r1: float | None = base.field(None, "gamma of R1" + OWN_HELP, minimum=0)
    r2: float | None = base.field(None, "gamma of R2" + OWN_HELP, minimum=0)
    gradient_penalty: float = base.field(0.0, "weight of WGAN-GP's penalty (10 there)", minimum=0)
    penalty_every: int | None = base.field(
        None, "updates from one penalty to the next" + OWN_HELP, minimum=1
    )
    beta1: float | None = base.field(None, "Adam's" + OWN_HELP, minimum=0, maximum=0.9999)
    beta2: float | None = base.field(None, "Adam's" + OWN_HELP, minimum=0, maximum=0.9999)
    ema: float = base.field(0.998, "decay of the generator's average", minimum=0, maximum=0.99999)
    augment: tuple[str, ...] = base.field(
        (),
        "what is changed in the images that the discriminator sees",
        choices=("colour", "translation", "cutout", "flip", "affine"),
    )
    augment_p: float = base.field(1.0, "probability of each change", minimum=0, maximum=1)
    ada: float = base.field(
        0.0, "adapt that probability to this E[sign D(real)] (0.6); 0: not", minimum=0, maximum=1
    )

    image_size: int = base.field(
        0, "resize images to this height and width; 0: as they are", minimum=0
    )
    validation: float = base.field(
        0.1, "share of train held out to watch", minimum=0.01, maximum=0.9
    )
    extractor: str = base.field(
        "",
        "run of image_classification whose features score; none: one is trained",
        path=True,
        resume=False,
    )
    score_images: int = base.field(10_000, "images that are scored, at most", minimum=10)
    sample: int = base.field(
        0, "write so many samples of the trained generator", minimum=0, resume=False
    )

    def __post_init__(self):
        super().__post_init__()
        if self.ada and not self.augment:
            raise ValueError("ada adapts the augmentation: say which one with augment")

    def own(self) -> Config:
        """This Config with the model's own values where a flag says nothing."""
        values = {k: v for k, v in OWN[self.model].items() if getattr(self, k) is None}
        return dataclasses.replace(self, **values)


def networks(config: Config, shape: tuple[int, int, int], classes: int) -> tuple[Any, Any]:
    """The generator and the discriminator of a Config for images [H, W, C]."""
    import jax.numpy as jnp

    from dljax.gan import modern, networks, residual

    settings = {
        "size": shape[0],
        "width": config.own().width,
        "classes": classes if config.conditional else 0,
        "dtype": jnp.dtype(config.dtype),
    }
    generator, discriminator = {
        "dcgan": (networks.DCGANGenerator, networks.DCGANDiscriminator),
        "resnet": (residual.ResNetGenerator, residual.ResNetDiscriminator),
        "modern": (modern.ModernGenerator, modern.ModernDiscriminator),
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
    from dljax.gan import adversarial, augment
    from dljax.gan.losses import LOSSES
    from dljax.train import optim

    config = config.own()

    def adam(rate: float, updates: int, ema: float | None = None) -> Any:
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
        discipline=adversarial.Discipline(
            spectral=config.spectral == "on",
            r1=config.r1,
            r2=config.r2,
            interpolated=config.gradient_penalty,
            every=config.penalty_every,
            augmentation=augment.chain(config.augment) if config.augment else None,
            p=0.0 if config.ada else config.augment_p,
            target=config.ada or None,
        ),
        features=features,
    )


def build(config: Config) -> Experiment:
    """The data, the networks and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    import numpy as np

    from dljax.data import feed
    from dljax.data.sources import load_images, plain_folder, split
    from dljax.gan import assessment, pictures
    from dljax.gan.watching import summarise
    from dljax.train.parallel import place
    from experiments import extractor
    from experiments.session import Experiment

    if config.predict:
        raise ValueError("a GAN predicts nothing: --sample=N writes images")
    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        seeds_by=config.seeds_by,
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
        watch=pictures.keep,
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
    import numpy as np

    from dljax.gan import assessment, pictures, sampling
    from dljax.train import metrics
    from experiments.session import Conclusion

    generator, _ = networks(config, data.train["image"].shape[1:], len(data.classes))
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
        pictures.draw(
            folder, sampler, states[0], drawn[0], seen, data.classes, config.conditional,
            data.train["image"], data.test["image"],
        )  # fmt: skip

    return Conclusion(findings, tuple(lines), draw=draw)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    from experiments import session

    return session.train(config, build(config))


def sample(config: Config, count: int) -> Any:
    """Draws from the generator in config.workdir, of its first seed: uint8 [count, H, W, C].

    Writes workdir/samples/NUMBER.png (with the class in the name if it is conditional; classes in
    turn) and sheet.png.
    """
    import numpy as np

    from dljax.gan import sampling
    from dljax.plots import samples
    from dljax.train.parallel import place
    from experiments import session

    config, facts = session.saved(config)
    shape, classes = tuple(facts["image_shape"]), facts["classes"]
    task = make_task(config, shape, len(classes))
    run, step = session.restore(config, task, place("none"), best=False)
    generator, _ = networks(config, shape, len(classes))
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


if __name__ == "__main__":
    base.main(run, Config, __doc__)
