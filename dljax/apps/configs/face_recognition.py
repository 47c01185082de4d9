"""The flags of face_recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of face recognition; the defaults are tuned for the ORL faces."""

    name: ClassVar[str] = "face_recognition"
    not_served: ClassVar[tuple[str, ...]] = ("data_dir",)

    dataset = override(
        "orl", help="orl, a folder of images per person, LFW's with pairs.txt, or a .csv"
    )
    steps = override(300)
    convolution = override("native")
    batch_size = override(64)
    learning_rate = override(3e-4)
    num_seeds = override(3)

    protocol: str = field(
        "open",
        "open: people never seen in training; closed: who of the enrolled people; pairs: pairs.txt",
        choices=("open", "closed", "pairs"),
    )
    split_seed: int = field(
        0, "which random split, whatever the seed of training", minimum=0, maximum=2**31 - 1
    )
    folds: int = field(4, "open: parts into which people are divided", minimum=2)
    fold: int = field(0, "open: the part that is tested on, from 0", minimum=0)
    validation: float = field(
        0.2,
        "open, pairs: share of the training people held out for threshold and probability; 0: none",
        minimum=0,
        maximum=0.8,
    )
    enrolled: int = field(5, "images that a person is enrolled with", minimum=1)
    split: str = field("random", "closed: which images are enrolled", choices=("random", "first"))
    fmr: float = field(
        0.01,
        "false match rate on validation that sets the threshold",
        minimum=0,
        maximum=0.5,
        resume=False,
    )
    pairs: str = field("", "file of LFW's form; none: pairs.txt of the folder", path=True)

    image_size: tuple[int, ...] = field((112, 92), "height,width of faces", minimum=16)
    crop: float = field(
        1.0, "share of an image's sides kept about its centre (LFW: 0.6)", minimum=0.1, maximum=1
    )
    model: str = field(
        "efficientnet_lite0",
        "efficientnet_lite0: frozen ImageNet features; cnn: all from scratch",
        choices=("efficientnet_lite0", "cnn"),
    )
    widths: tuple[int, ...] = field((16, 32, 64), "cnn: channels of its stages", minimum=1)
    features: int = field(
        256, "length of an embedding, at most one less than training images", minimum=2
    )
    dropout: float = field(0.3, "dropout before the embedding", minimum=0, maximum=0.9)
    loss: str = field("arcface", "loss", choices=("softmax", "cosface", "arcface", "triplet"))
    margin: float = field(0.3, "its margin; softmax has none", minimum=0, maximum=2)
    margin_warmup: float = field(
        0.3, "share of the steps over which the margin grows from 0", minimum=0, maximum=1
    )
    scale: float = field(12.0, "what cosines are multiplied by in the loss", minimum=1)
    images_each: int = field(
        0, "images of each person in a batch; 0: random images, 4 for triplets", minimum=0
    )

    views: int = field(
        8, "efficientnet_lite0: augmented copies of each image, made once", minimum=0
    )
    flip: bool = field(True, "random mirror images; both views at evaluation")
    shift: float = field(0.05, "random shift, share of the sides", minimum=0, maximum=0.5)
    rotation: float = field(10.0, "random rotation, degrees", minimum=0)
    zoom: float = field(0.12, "random magnification, 1 - zoom to 1 + zoom", minimum=0, maximum=0.9)
    light: float = field(0.3, "random brightness and contrast", minimum=0, maximum=1)
    blur: float = field(0.0, "random blur, largest deviation in pixels", minimum=0, maximum=5)
    baselines: bool = field(True, "score the simple methods too", resume=False)

    enroll: str = field(
        "", "folder of images per person to add to the gallery", path=True, resume=False,
        group="use",
    )  # fmt: skip
    identify: str = field(
        "", "image or folder: who of the gallery is it", path=True, resume=False, group="use"
    )
    verify: tuple[str, ...] = field(
        (), "IMAGE,IMAGE: do two images show one person", path=True, resume=False, group="use"
    )
    remove: str = field("", "person to remove from the gallery", resume=False, group="use")
    evaluate: str = field(
        "", "other data to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.fold >= self.folds:
            raise ValueError(
                f"fold is 0 to {self.folds - 1} of {self.folds} folds, not {self.fold}"
            )
        if len(self.image_size) != 2:
            raise ValueError(f"image_size is height,width, not {self.image_size}")
        if self.verify and (len(self.verify) != 2 or not all(self.verify)):
            raise ValueError("verify is two images with a comma between: --verify=A.png,B.png")
        each = self.each()
        if each and self.batch_size % each:
            raise ValueError(
                f"batch_size={self.batch_size} must be a multiple of images_each={each}"
            )
        if self.loss == "triplet" and each == 1:
            raise ValueError("triplets need images_each of 2 or more")
        if self.protocol == "closed" and self.loss == "triplet" and self.enrolled < 2:
            raise ValueError("triplets need two images of a person: enrolled of 2 or more")

    def each(self) -> int:
        """Images of each person in a batch; 0 where they are drawn at random."""
        return self.images_each or (4 if self.loss == "triplet" else 0)

    def subject(self) -> str:
        """The data set's name and the protocol, which says who is trained on."""
        return super().subject() + ("" if self.protocol == "open" else f"-{self.protocol}")
