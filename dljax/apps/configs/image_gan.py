"""The flags of image_gan."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override

# What each model trains with unless a flag says otherwise.
OWN: dict[str, dict[str, int | float | str]] = {
    "dcgan": {
        "width": 48, "hidden": 256, "loss": "non_saturating", "spectral": "off",
        "learning_rate": 1e-3, "beta1": 0.5, "beta2": 0.99,
        "r1": 0.5, "r2": 0.0, "penalty_every": 4,
    },
    "sngan": {
        "width": 16, "hidden": 0, "loss": "hinge", "spectral": "on",
        "learning_rate": 4e-4, "beta1": 0.0, "beta2": 0.9,
        "r1": 0.0, "r2": 0.0, "penalty_every": 1,
    },
    "r3gan": {
        "width": 32, "hidden": 256, "loss": "relativistic", "spectral": "off",
        "learning_rate": 1e-3, "beta1": 0.0, "beta2": 0.99,
        "r1": 1.0, "r2": 1.0, "penalty_every": 8,
    },
}  # fmt: skip

LOSSES = ("non_saturating", "hinge", "least_squares", "wasserstein", "relativistic")
OWN_HELP = "; none: the model's own"


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig):
    """The flags of image GANs; the defaults are tuned for digits, those of a model in OWN."""

    name: ClassVar[str] = "image_gan"
    not_served: ClassVar[tuple[str, ...]] = ("choose_by", "patience")  # no score chooses

    dataset = override("digits", help="digits, letters, tfds:NAME, a folder, or a MedMNIST .npz")
    steps = override(4000, help="training steps: updates of the generator")
    convolution = override("native")
    batch_size = override(64, help="images in an update")
    learning_rate: float | None = field(
        None, "learning rate of the discriminator" + OWN_HELP, minimum=0, group="optimizer"
    )

    model: str = field(
        "dcgan",
        "networks",
        choices=tuple(OWN),
        former_values={"resnet": "sngan", "modern": "r3gan"},
    )
    width: int | None = field(None, "channels of the largest layer" + OWN_HELP, minimum=1)
    hidden: int | None = field(
        None,
        "units of a dense layer before the discriminator's logit and, of r3gan, after the latent"
        + OWN_HELP,
        minimum=0,
    )
    latent: int = field(64, "dimension of the latent", minimum=1)
    conditional: bool = field(False, "generate by class")
    loss: str | None = field(None, "adversarial loss" + OWN_HELP, choices=LOSSES)
    updates: int = field(1, "updates of the discriminator in a step", minimum=1)
    spectral: str | None = field(
        None, "spectral normalisation of the discriminator" + OWN_HELP, choices=("on", "off")
    )
    r1: float | None = field(None, "gamma of R1" + OWN_HELP, minimum=0)
    r2: float | None = field(None, "gamma of R2" + OWN_HELP, minimum=0)
    gradient_penalty: float = field(0.0, "weight of WGAN-GP's penalty (10 there)", minimum=0)
    penalty_every: int | None = field(
        None, "updates from one penalty to the next" + OWN_HELP, minimum=1
    )
    augment: tuple[str, ...] = field(
        (),
        "DiffAugment of the discriminator's images",
        choices=("colour", "translation", "cutout", "flip", "affine"),
    )
    augment_p: float = field(1.0, "probability of each augmentation", minimum=0, maximum=1)
    ada: float = field(
        0.0, "adapt that probability to this E[sign D(real)] (0.6); 0: not", minimum=0, maximum=1
    )

    image_size: int = field(0, "resize images to this height and width; 0: as they are", minimum=0)
    validation: float = field(
        0.1, "share of train held out for evaluation while training", minimum=0.01, maximum=0.9
    )
    extractor: str = field(
        "",
        "run of image_classification whose features score the samples; none: one is trained",
        path=True,
        resume=False,
    )
    score_images: int = field(10_000, "images that are scored, at most", minimum=10)

    generator_learning_rate: float | None = field(
        None,
        "learning rate of the generator; none: as the discriminator's",
        minimum=0,
        group="optimizer",
    )
    schedule: str = field(
        "linear",
        "schedule of the learning rates",
        choices=("constant", "linear", "cosine"),
        group="optimizer",
    )
    beta1: float | None = field(
        None, "beta1 of Adam" + OWN_HELP, minimum=0, maximum=0.9999, group="optimizer"
    )
    beta2: float | None = field(
        None, "beta2 of Adam" + OWN_HELP, minimum=0, maximum=0.9999, group="optimizer"
    )
    ema: float = field(
        0.998,
        "decay of the averaged generator",
        minimum=0,
        maximum=0.99999,
        group="optimizer",
    )

    sample: int = field(
        0,
        "write this many images by the trained generator",
        minimum=0,
        resume=False,
        group="use",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.ada and not self.augment:
            raise ValueError("ada adapts the augmentation: say which one with augment")

    def own(self) -> Config:
        """This Config with the model's own values for the flags that were not given."""
        values = {k: v for k, v in OWN[self.model].items() if getattr(self, k) is None}
        return dataclasses.replace(self, **values)
