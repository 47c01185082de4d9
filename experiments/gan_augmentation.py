"""Do samples of a GAN help a classifier that has few labelled images?

    python -m experiments.gan_augmentation                       # digits, 5 seeds in one program
    python -m experiments.gan_augmentation --dataset=tfds:mnist --data_dir=DIR --num_seeds=3

Of each class, --labels images are labelled. A classifier is trained on them alone, with standard
augmentation, with samples of a conditional GAN that was trained on the same images and no others,
and with both: each for the same number of steps, on the same number of images. Every seed has
labelled images of its own. The share of samples in a batch is chosen on the validation images; the
test images are scored once, at the end. Each training is a run below the workdir, which --predict
and --sample of image_classification and image_gan take. Results: README.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments import base
from experiments.image_classification import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from dljax.data.feed import Feed
    from dljax.data.sources import Dataset
    from dljax.data.sources.dataset import Arrays
    from experiments.session import Outcome

ARMS = ("alone", "standard", "samples", "both")
STANDARD, SAMPLES = ("standard", "both"), ("samples", "both")


@dataclass(frozen=True, kw_only=True)
class Config(base.Config):
    """The flags of the comparison; the defaults are for digits."""

    workdir: str = base.field(
        "runs/gan_augmentation", "folder of all the runs", path=True, resume=False
    )
    dataset: str = base.field(
        "digits", "digits, letters, tfds:NAME, a folder, or a MedMNIST .npz", path=True
    )
    num_seeds: int = base.field(5, "seeds trained in one program", minimum=1)
    steps: int = base.field(400, "training steps of each classifier", minimum=1)
    batch_size: int = base.field(64, "images in a step", minimum=1)
    learning_rate: float = base.field(3e-3, "the classifiers' highest one", minimum=0)

    labels: tuple[int, ...] = base.field((5, 20, 100), "labelled images of each class", minimum=1)
    model: str = base.field("lenet", "the classifier", choices=MODELS)
    crop: int = base.field(0, "standard augmentation: pixels of padding to crop from", minimum=0)
    rotation: float = base.field(10.0, "standard augmentation: degrees", minimum=0)
    zoom: float = base.field(0.1, "standard augmentation: 1 - zoom to 1 + zoom", minimum=0,
                             maximum=0.9)  # fmt: skip
    gan_steps: int = base.field(1500, "training steps of each GAN", minimum=1)
    gan_width: int = base.field(16, "channels of its largest layer", minimum=1)
    gan_hidden: int = base.field(
        0, "numbers in a dense layer before its discriminator's logit; 0: none", minimum=0
    )
    gan_augment: tuple[str, ...] = base.field(
        ("translation", "affine"),
        "what is changed in the images that its discriminator sees",
        choices=("colour", "translation", "cutout", "flip", "affine"),
    )
    samples: int = base.field(2000, "generated images of each seed", minimum=1)
    shares: tuple[float, ...] = base.field(
        (0.25, 0.5), "shares of samples in a batch to choose from", minimum=0, maximum=1
    )
    validation: float = base.field(
        0.1, "share of train to choose by, if the set has no such part", minimum=0.01, maximum=0.9
    )
    confidence: float = base.field(
        0.95, "of the intervals over seeds", minimum=0.5, maximum=0.999, resume=False
    )

    def __post_init__(self):
        super().__post_init__()
        if self.sweep:
            raise ValueError("sweep is not offered here: start the command once for each value")
        if not (self.labels and self.shares):
            raise ValueError("labels and shares need a value each, or several")


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
    from dljax.data.sources import load_images, split
    from dljax.data.sources.dataset import few

    data = load_images(config.dataset, config.data_dir, quiet=config.quiet)
    height, width, _ = data.train["image"].shape[1:]
    if height != width:
        raise ValueError(f"images of {height}x{width} are no squares, which the GAN wants")
    if data.validation is None:
        train, held_out = split(data.train, config.validation)
        data = data._replace(train=train, validation=held_out)
    few(data.train["label"], max(config.labels), config.seed)  # are there so many?
    return data


def generated(
    config: Config, data: Dataset, labels: int
) -> tuple[dict[int, Arrays], dict[str, Any]]:
    """Trains a GAN on each seed's labelled images; seed -> its samples, and the run's summary.

    The samples are of the classes in turn.
    """
    import numpy as np

    from dljax.data import feed
    from dljax.gan import sampling
    from experiments import image_gan, session

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
    from dljax.cnn import classification
    from dljax.data import feed
    from dljax.gan.augmentation import mixed
    from experiments import image_classification

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
    normalize = classification.Normalize((0.5,) * shape[-1], (0.5,) * shape[-1])
    model = image_classification.network(flags, classes, shape)
    task = image_classification.make_task(flags, model, normalize, classes, shape)
    facts = {"mean": normalize.mean, "std": normalize.std}
    outcome, placement = _train(flags, data, "image_classification", task, batches, facts)
    return Trained(arm, labels, share, task, placement, outcome)


def _pick(data: Dataset, labels: int) -> Callable[[int], np.ndarray]:
    """seed -> indices of the training images that are labelled for it."""
    from dljax.data.sources.dataset import few

    return lambda seed: few(data.train["label"], labels, seed)


def _common(config: Config, folder: str, steps: int) -> dict[str, Any]:
    """The flags of the run in a folder below the workdir."""
    names = ("dataset", "data_dir", "seed", "num_seeds", "batch_size", "steps_per_call", "parallel",
             "seeds_by", "dtype", "overwrite")  # fmt: skip
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
    from dljax.data import feed
    from dljax.train.parallel import place
    from experiments import session

    placement = place(
        flags.parallel,
        batch_size=flags.batch_size,
        num_seeds=flags.num_seeds,
        seeds_by=flags.seeds_by,
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
    from experiments import augmentation_report

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


if __name__ == "__main__":
    base.main(run, Config, __doc__)
