"""The flags of image_segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

CHANNELS = {  # of each model
    "small": (96, 96),
    "unet": (16, 32, 64, 128),
    "efficientnet_lite0": (48, 96, 128),
    "resnet18": (64, 128, 256),
}
MODELS = tuple(CHANNELS)
LOSSES = ("cross_entropy", "focal", "dice", "cross_entropy_dice")
WEIGHTS = ("none", "enet", "median")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of image segmentation; the defaults are tuned for scenes."""

    name: ClassVar[str] = "image_segmentation"

    dataset = override(
        "scenes", help="scenes, tfds:NAME, or a folder of images with masks (docs/data_formats.md)"
    )
    steps = override(2000)
    convolution = override("native")
    batch_size = override(8)
    optimizer = override("muon")
    learning_rate = override(2e-2)
    ema = override(0.99)
    eval_every = override(0, help="steps between evaluations; 0: a tenth of all")

    classes: tuple[str, ...] = field(
        (),
        "names of the classes of masks that have no list of them, by level: of 0, then of 255",
    )
    model: str = field(
        "small",
        "network: a U-Net, or a decoder on a backbone, a small one or a published one",
        choices=MODELS,
    )
    widths: tuple[int, ...] = field(
        (),
        "channels from the largest map down: of the U-Net, or of the decoder on a backbone, whose "
        "largest maps are left out if they are fewer; none: those of the model",
        minimum=1,
    )
    aspp: tuple[int, ...] = field(
        (), "dilations of a pyramid pooling on the backbone's smallest map; none: none", minimum=1
    )
    pretrained: bool = field(
        True, "start efficientnet_lite0 from its ImageNet weights (a package; no network)"
    )
    backbone_rate: float = field(
        0.2, "learning rate of a pretrained backbone, as a share of the others'", minimum=0
    )

    loss: str = field("cross_entropy_dice", "what is minimised", choices=LOSSES)
    class_weights: str = field(
        "none", "of the classes in the loss, from their frequencies", choices=WEIGHTS
    )
    label_smoothing: float = field(0.0, "share of the target that is uniform", minimum=0, maximum=1)
    image_size: tuple[int, ...] = field(
        (), "height,width that images and masks are resized to; none: as they are", minimum=8
    )
    crop: tuple[int, ...] = field(
        (), "height,width of the random windows that are trained on; none: whole images", minimum=8
    )
    scale: tuple[float, ...] = field(
        (),
        "smallest and largest random magnification; none: 1,1 for scenes, else 0.8,1.25",
        minimum=0.1,
        maximum=10,
    )
    flip: bool = field(False, "random mirror images; both views at evaluation")
    dihedral: bool = field(False, "random turns and mirror images of squares")
    jitter: float = field(0.0, "random brightness, contrast, saturation", minimum=0, maximum=1)
    window: tuple[int, ...] = field(
        (),
        "height,width of overlapping windows at evaluation; none: the whole image",
        minimum=8,
        resume=False,
    )
    overlap: int = field(32, "overlap of these windows, pixels", minimum=0, resume=False)
    validation: float = field(
        0.1,
        "share of train held out to choose by, if the set has no such part; 0: none",
        minimum=0,
        maximum=0.9,
    )
    streaming: bool = field(False, "read images while training (sets larger than memory)")
    baselines: bool = field(
        True, "score the commonest class too, and of two classes a threshold", resume=False
    )

    predict: str = field(
        "", "image, film or folder to segment with the trained model", path=True, resume=False,
        group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "images with masks to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        for name in ("image_size", "crop", "window", "scale"):
            value = getattr(self, name)
            if len(value) not in (0, 2):
                raise ValueError(f"{name} is two numbers with a comma between, not {value}")
        if len(self.scale) == 2 and self.scale[0] > self.scale[1]:
            raise ValueError(f"scale names the smallest magnification first, not {self.scale}")
        window = f"--window={','.join(map(str, self.window))}"
        if self.window and self.overlap >= min(self.window):
            raise ValueError(f"--overlap={self.overlap} must be below the sides of {window}")
        if self.model == "unet" and any(side % self.halved() for side in self.window):
            raise ValueError(f"{window}: the sides must be multiples of {self.halved()} for unet")
        without = {
            "class_weights": self.class_weights != "none" and self.loss == "dice",
            "label_smoothing": self.label_smoothing > 0 and self.loss in ("dice", "focal"),
        }
        for name in (name for name, wrong in without.items() if wrong):
            raise ValueError(f"--{name} has no effect with --loss={self.loss}: leave it out")
        if self.aspp and self.model == "unet":
            raise ValueError("--aspp stands on a backbone: it does not go with --model=unet")

    def channels(self) -> tuple[int, ...]:
        """The widths of the U-Net or the decoder."""
        return self.widths or CHANNELS[self.model]

    def halved(self) -> int:
        """Of what the sides of a U-Net's images are multiples."""
        return 2 ** (len(self.channels()) - 1)

    def magnification(self) -> tuple[float, ...]:
        """The smallest and the largest of training images."""
        return self.scale or ((1.0, 1.0) if self.dataset == "scenes" else (0.8, 1.25))
