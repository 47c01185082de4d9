"""The flags of gan_augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field

ARMS = ("alone", "standard", "samples", "both")


STANDARD, SAMPLES = ("standard", "both"), ("samples", "both")


@dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    """The flags of the comparison; the defaults are for digits."""

    workdir: str = field("runs/gan_augmentation", "folder of all the runs", path=True, resume=False)
    dataset: str = field(
        "digits", "digits, letters, tfds:NAME, a folder, or a MedMNIST .npz", path=True
    )
    num_seeds: int = field(5, "seeds trained in one program", minimum=1)
    steps: int = field(400, "training steps of each classifier", minimum=1)
    batch_size: int = field(64, "images in a step", minimum=1)
    learning_rate: float = field(3e-3, "the classifiers' highest one", minimum=0)

    labels: tuple[int, ...] = field((5, 20, 100), "labelled images of each class", minimum=1)
    model: str = field("lenet", "the classifier", choices=MODELS)
    crop: int = field(0, "standard augmentation: pixels of padding to crop from", minimum=0)
    rotation: float = field(10.0, "standard augmentation: degrees", minimum=0)
    zoom: float = field(0.1, "standard augmentation: 1 - zoom to 1 + zoom", minimum=0,
                             maximum=0.9)  # fmt: skip
    gan_steps: int = field(1500, "training steps of each GAN", minimum=1)
    gan_width: int = field(16, "channels of its largest layer", minimum=1)
    gan_hidden: int = field(
        0, "numbers in a dense layer before its discriminator's logit; 0: none", minimum=0
    )
    gan_augment: tuple[str, ...] = field(
        ("translation", "affine"),
        "what is changed in the images that its discriminator sees",
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
        0.95, "of the intervals over seeds", minimum=0.5, maximum=0.999, resume=False
    )

    def __post_init__(self):
        super().__post_init__()
        if self.sweep:
            raise ValueError("sweep is not offered here: start the command once for each value")
        if not (self.labels and self.shares):
            raise ValueError("labels and shares need a value each, or several")
