"""The flags of image_classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

MODELS = (
    "lenet", "allconv", "fastnet", "mobilenet",
    "resnet20", "resnet32", "resnet56", "resnet18", "resnet34", "resnet50", "resnet101",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of image classification; the defaults are tuned for digits."""

    name: ClassVar[str] = "image_classification"

    dataset = override(
        "digits",
        help="digits, letters, tfds:NAME, a folder or .zip of images, a .csv that names images and "
        "their labels, or a MedMNIST .npz",
    )
    steps = override(1200)
    num_seeds = override(4)
    convolution = override("native")
    batch_size = override(64)
    learning_rate = override(3e-3)

    classes: tuple[str, ...] = field((), "names of the classes to tell apart; none: all")
    file_column: str = field("", "of a .csv: the column of image files; none: by its usual names")
    label_column: tuple[str, ...] = field(
        (),
        "of a .csv: the column of labels, or several columns of 0 and 1; none: by its usual names",
    )
    images: str = field(
        "",
        "folder of the images that a .csv names; none: that of the .csv",
        path=True,
        resume=False,
    )
    problem: str = field(
        "auto",
        "what is told of an image: one class, several labels (multi_label), or a number "
        "(regression); auto: several labels where there are several columns, or | in a column",
        choices=("auto", "classification", "multi_label", "regression"),
    )
    balance: float = field(
        0.0, "class weights in the loss: power of the inverse class frequency", minimum=0, maximum=1
    )
    balanced_sampling: float = field(
        0.0,
        "draw rare classes more often: power of the inverse class frequency; 1: each alike",
        minimum=0,
        maximum=1,
    )
    model: str = field("allconv", "network", choices=MODELS)
    widths: tuple[int, ...] = field((), "channels of its stages; none: its own", minimum=1)
    label_smoothing: float = field(0.1, "share of the target that is uniform", minimum=0, maximum=1)
    crop: int = field(1, "random crop: pixels of padding", minimum=0)
    flip: bool = field(False, "random mirror images; both views at evaluation")
    rotation: float = field(10.0, "random rotation, degrees", minimum=0)
    zoom: float = field(0.1, "random magnification by 1 - zoom to 1 + zoom", minimum=0, maximum=0.9)
    shear: float = field(5.0, "random shear, degrees", minimum=0, maximum=60)
    jitter: float = field(0.0, "random brightness, contrast, saturation", minimum=0, maximum=1)
    cutout: int = field(0, "side of a random grey square, pixels", minimum=0)
    mixup: float = field(0.0, "alpha of mixup; 0: none", minimum=0)
    cutmix: float = field(0.0, "alpha of cutmix; 0: none", minimum=0)

    shift_views: int = field(
        0, "evaluate shifted copies too, by so many pixels; 0: not", minimum=0, resume=False
    )
    validation: float = field(
        0.1,
        "share of train held out to choose by, if the set has no such part; 0: none",
        minimum=0,
        maximum=0.9,
    )
    image_size: int = field(0, "resize images to this height and width; 0: as they are", minimum=0)
    streaming: bool = field(False, "read images while training (sets larger than memory)")
    baselines: bool = field(True, "score scikit-learn's simple methods too", resume=False)

    predict: str = field(
        "", "image or folder to apply the trained model to", path=True, resume=False,
        group="use",
    )  # fmt: skip
    calibrate: bool = field(
        True,
        "divide logits by the temperature that fits the validation part best",
        resume=False,
        group="use",
    )
    invert: bool = field(
        False, "turn dark and bright of the pictures of --predict round", resume=False, group="use"
    )
    evaluate: str = field(
        "", "labelled images to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.mixup and self.cutmix:
            raise ValueError("mixup and cutmix exclude each other: set one of them to 0")
        if self.streaming:
            for name in ("classes", "balance", "balanced_sampling"):
                if getattr(self, name):
                    raise ValueError(f"{name} is for a set in memory: leave out --streaming")
        if self.balance and self.balanced_sampling:
            raise ValueError("balance and balanced_sampling do the same: set one of them to 0")
