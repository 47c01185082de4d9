"""The flags that classification of medical images adds to those of medical_imaging."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config, field


@dataclass(frozen=True, kw_only=True)
class ClassificationFlags(Config):
    """What only a classifier of images or volumes uses."""

    model: str = field(
        "pooled",
        "classifier; efficientnet_lite0 starts from its ImageNet weights (a package; no network)",
        choices=("pooled", "allconv", "resnet20", "resnet18", "efficientnet_lite0"),
    )
    backbone_rate: float = field(
        0.0,
        "learning rate of a pretrained backbone, as a share of the others'; 0: it is frozen",
        minimum=0,
    )
    image_size: int = field(0, "resize a folder's images to this height and width", minimum=0)
    positive: str = field("", "the class that sensitivity is about; none: the last one")
    sensitivity: float = field(
        0.0, "that the threshold keeps on validation; 0: Youden's index", minimum=0, maximum=1
    )
    ordinal: float = field(
        0.0, "classes are grades: decay of soft targets by squared distance; 0: no", minimum=0
    )
    balance: float = field(
        0.0, "power of the inverse class frequency in the loss", minimum=0, maximum=1
    )
    label_smoothing: float = field(0.1, "share of the target that is uniform", minimum=0, maximum=1)
    shift: int = field(2, "random shift, pixels", minimum=0)
    flip: tuple[str, ...] = field(
        ("x",), "axes of random mirror images, averaged at evaluation", choices=("x", "y", "z")
    )
    rotation: float = field(10.0, "random rotation, degrees", minimum=0)
    zoom: float = field(0.1, "random magnification by 1 - zoom to 1 + zoom", minimum=0, maximum=0.9)
    dropout: float = field(
        0.2, "share of features dropped before the classifier", minimum=0, maximum=0.9
    )
    standardize: bool = field(
        False, "each image to mean 0 and deviation 1 of its own, whatever the scanner"
    )
    cutout: int = field(0, "side of a random grey square, pixels", minimum=0)
    mixup: float = field(0.0, "alpha of mixup; 0: none", minimum=0)
