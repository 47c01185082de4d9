"""The flags of gan_augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.image_classification import MODELS
from dljax.run.config import DataConfig, field, override


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig):
    """The flags of the comparison; the defaults are for digits."""

    name: ClassVar[str] = "gan_augmentation"
    # It is a comparison of many runs, each evaluated at its end alone.
    not_served: ClassVar[tuple[str, ...]] = (
        "sweep", "eval_every", "choose_by", "patience", "checkpoint_every", "keep", "keep_every",
        "on_nan",
    )  # fmt: skip

    workdir = override(None, help="folder of all the runs; none: runs/gan_augmentation-DATA")
    dataset = override("digits", help="digits, letters, tfds:NAME, a folder, or a MedMNIST .npz")
    num_seeds = override(5)
    steps = override(400, help="training steps of each classifier")
    convolution = override("native")
    batch_size = override(64, help="images in a step")
    learning_rate = override(3e-3, help="highest learning rate of the classifiers")

    labels: tuple[int, ...] = field((5, 20, 100), "labelled images of each class", minimum=1)
    model: str = field("lenet", "classifier", choices=MODELS)
    crop: int = field(0, "standard augmentation: pixels of padding of a random crop", minimum=0)
    rotation: float = field(10.0, "standard augmentation: rotation, degrees", minimum=0)
    zoom: float = field(
        0.1,
        "standard augmentation: magnification by 1 - zoom to 1 + zoom",
        minimum=0,
        maximum=0.9,
    )
    gan_steps: int = field(1500, "training steps of each GAN", minimum=1)
    gan_width: int = field(16, "channels of the GAN's largest layer", minimum=1)
    gan_hidden: int = field(
        0, "units of a dense layer before its discriminator's logit; 0: none", minimum=0
    )
    gan_augment: tuple[str, ...] = field(
        ("translation", "affine"),
        "DiffAugment of its discriminator's images",
        choices=("colour", "translation", "cutout", "flip", "affine"),
    )
    samples: int = field(2000, "generated images of each seed", minimum=1)
    shares: tuple[float, ...] = field(
        (0.25, 0.5), "shares of samples in a batch to choose from", minimum=0, maximum=1
    )
    validation: float = field(
        0.1, "share of train to choose by, if the set has no such part", minimum=0.01, maximum=0.9
    )
    confidence: float = field(
        0.95, "confidence of the intervals over seeds", minimum=0.5, maximum=0.999, resume=False
    )

    def __post_init__(self):
        super().__post_init__()
        if not (self.labels and self.shares):
            raise ValueError("labels and shares need a value each, or several")
