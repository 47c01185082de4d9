"""Image classification with a convolutional network.

    python -m experiments.image_classification                      # digits, 4 seeds in one program
    python -m experiments.image_classification --dataset=tfds:mnist --data_dir=DIR
    python -m experiments.image_classification --dataset=FOLDER     # a folder of images per class
    python -m experiments.image_classification --predict=IMAGE      # by the trained model

--dataset takes 'digits' (1797 scans of 8x8, embedded), 'tfds:NAME', a folder with a folder per
class (or train/ and test/ with those), or a .npz file in MedMNIST's layout. Results of each
command: README.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import base, optimization, sweep

if TYPE_CHECKING:
    from dljax.cnn.classification import Normalize
    from dljax.train.export import Serving
    from experiments.session import Experiment, Outcome

MODELS = (
    "lenet", "allconv", "fastnet", "mobilenet",
    "resnet20", "resnet32", "resnet56", "resnet18", "resnet34", "resnet50", "resnet101",
)  # fmt: skip
PICTURES = 20  # of predictions drawn, at most


@dataclass(frozen=True, kw_only=True)
class Config(optimization.Config):
    """The flags of image classification; the defaults are tuned for digits."""

    workdir: str = base.field(
        "runs/image_classification", "folder of the run", path=True, resume=False
    )
    dataset: str = base.field(
        "digits", "digits, letters, tfds:NAME, a folder, or a MedMNIST .npz", path=True
    )
    steps: int = base.field(1200, "training steps", minimum=1)
    batch_size: int = base.field(64, "examples in a step", minimum=1)
    learning_rate: float = base.field(3e-3, "highest learning rate of the schedule", minimum=0)
    num_seeds: int = base.field(4, "seeds trained in one program", minimum=1)

    classes: tuple[str, ...] = base.field((), "names of the classes to tell apart; none: all")
    model: str = base.field("allconv", "network", choices=MODELS)
    widths: tuple[int, ...] = base.field((), "channels of its stages; none: its own", minimum=1)
    label_smoothing: float = base.field(
        0.1, "share of the target that is uniform", minimum=0, maximum=1
    )
    crop: int = base.field(1, "random crop: pixels of padding", minimum=0)
    flip: bool = base.field(False, "random mirror images; both views at evaluation")
    rotation: float = base.field(10.0, "random rotation, degrees", minimum=0)
    zoom: float = base.field(
        0.1, "random magnification by 1 - zoom to 1 + zoom", minimum=0, maximum=0.9
    )
    shear: float = base.field(5.0, "random shear, degrees", minimum=0, maximum=60)
    jitter: float = base.field(0.0, "random brightness, contrast, saturation", minimum=0, maximum=1)
    cutout: int = base.field(0, "side of a random grey square, pixels", minimum=0)
    mixup: float = base.field(0.0, "alpha of mixup; 0: none", minimum=0)
    cutmix: float = base.field(0.0, "alpha of cutmix; 0: none", minimum=0)

    shift_views: int = base.field(
        0, "evaluate shifted copies too, by so many pixels; 0: not", minimum=0, resume=False
    )
    validation: float = base.field(
        0.1,
        "share of train held out to choose by, if the set has no such part; 0: none",
        minimum=0,
        maximum=0.9,
    )
    image_size: int = base.field(
        0, "resize images to this height and width; 0: as they are", minimum=0
    )
    streaming: bool = base.field(False, "read images while training (sets larger than memory)")
    baselines: bool = base.field(True, "score scikit-learn's simple methods too", resume=False)

    def __post_init__(self):
        super().__post_init__()
        if self.mixup and self.cutmix:
            raise ValueError("mixup and cutmix exclude each other: set one of them to 0")
        if self.classes and self.streaming:
            raise ValueError("classes are chosen of a set in memory: leave out --streaming")


def network(
    config: Config, classes: int, image_shape: tuple[int, ...], whitening: Any = None
) -> Any:
    """The Flax module that --model and --widths name."""
    import jax.numpy as jnp

    from dljax.nn import allconv, fastnet, lenet, mobilenet, resnet

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
    config: Config, model: Any, normalize: Normalize, classes: int, image_shape: tuple
) -> Any:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
    from dljax.cnn import classification
    from dljax.data import augment

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
    return classification.task(
        model,
        optimization.transformation(config),
        image_shape=tuple(image_shape),
        classes=classes,
        normalize=normalize,
        augmentation=augment.chain(*parts) if parts else None,
        mix=mix,
        label_smoothing=config.label_smoothing,
        views=classification.Views(config.flip, config.shift_views),
    )


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    import numpy as np

    from dljax.cnn import baselines, classification, inspection
    from dljax.data.images import in_memory_images, streamed_images
    from dljax.data.sources import load_images
    from dljax.data.sources.dataset import only
    from dljax.nn.fastnet import whitening_kernel
    from dljax.train.parallel import place
    from experiments.session import Experiment

    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        seeds_by=config.seeds_by,
    )
    size = (config.image_size, config.image_size) if config.image_size else None
    settings = {"validation": config.validation, "multiple": placement.batch_multiple}
    full = None
    if config.streaming:
        data = streamed_images(
            config.dataset, config.data_dir, config.batch_size, size=size, **settings
        )
    else:
        full = load_images(config.dataset, config.data_dir, size=size, quiet=config.quiet)
        full = only(full, config.classes) if config.classes else full
        data = in_memory_images(full, config.batch_size, **settings)
    images, classes = data.seen["image"], data.classes
    shape = images.shape[1:]
    normalize = classification.normalization(images)
    whitening = None
    if config.model == "fastnet":
        whitening = np.asarray(whitening_kernel(normalize(images[:5000].astype(np.float32) / 255)))
    model = network(config, len(classes), shape, whitening)

    views = classification.Views(config.flip, config.shift_views)

    def draw(run: Any, sums: Any, folder: Path) -> None:
        inspection.draw(folder, run, sums, model, normalize, data.shown, classes, views)

    return Experiment(
        name="image_classification",
        dataset=data.name,
        task=lambda config: make_task(config, model, normalize, len(classes), shape),
        feed=data.train,
        placement=placement,
        validation=data.validation,
        test=data.test,
        summarise=classification.summarise,
        score=lambda values: float(np.nanmean(values["accuracy"])),
        facts={
            "classes": classes,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
        },
        notes=data.notes,
        baselines=partial(baselines.image_baselines, full.train, full.test)
        if full and config.baselines
        else None,
        draw=draw,
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    from experiments import session

    return session.train(config, build(config))


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with: for --predict, and to export.

    By the best checkpoint (the newest if none was scored), the mean over its seeds.
    """
    import jax
    import numpy as np

    from dljax.cnn import inspection
    from dljax.cnn.classification import Normalize, Views
    from dljax.train.export import Field, Serving
    from dljax.train.parallel import place
    from experiments import session

    config, facts = session.saved(config)
    classes, shape = tuple(facts["classes"]), tuple(facts["image_shape"])
    normalize = Normalize(tuple(facts["mean"]), tuple(facts["std"]))
    whitening = np.zeros(
        (2, 2, shape[-1], 8 * shape[-1]), np.float32
    )  # the checkpoint holds the true one
    model = network(config, len(classes), shape, whitening)
    task = make_task(config, model, normalize, len(classes), shape)
    run, step = session.restore(config, task, place("none"))
    states = run.states.without_optimiser()
    color = "grey" if shape[-1] == 1 else "RGB"
    return Serving(
        inspection.answer(model, normalize, Views(config.flip, config.shift_views)),
        states,
        {"image": Field(shape, "uint8", 0, 255, about=f"{color} pixels, rows from the top")},
        {"probability": Field((len(classes),), names=classes, about="of each class")},
        {"step": step, "seeds": len(jax.tree.leaves(states)[0])},
    )


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images with the run in config.workdir.

    Writes predictions.csv and, for the first images, pictures to workdir/predictions/. Returns a
    dict an image: file, label, probability.
    """
    from dljax import plots
    from dljax.data.sources import read_images
    from dljax.train import export

    model = serving(config)
    height, width, channels = model.inputs["image"].shape
    classes = model.outputs["probability"].names
    images = read_images(path, size=(height, width), channels=channels)
    for skipped in images.skipped:
        print(f"skipped: {skipped}")
    p = export.answers(model, {"image": images.images})["probability"]
    rows = [
        {"file": name, "label": classes[i], "probability": round(float(q[i]), 6)}
        for name, q, i in zip(images.names, p, p.argmax(-1), strict=True)
    ]
    folder = Path(config.workdir) / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for number, (row, image, q) in enumerate(zip(rows, images.images, p, strict=True)):
        print(f"{row['file']}: {row['label']} ({row['probability']:.3f})")
        if config.plots and number < PICTURES:
            picture = folder / f"{number:02d}_{Path(row['file']).stem}.png"
            plots.prediction(image, classes, q, picture)
    print(f"checkpoint of step {model.facts['step']}; {folder}/predictions.csv")
    return rows


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    else:
        train(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
