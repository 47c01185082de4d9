"""The flags of transfer_learning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

METHODS = ("scratch", "probe", "full", "llrd", "lora")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of transfer learning; the defaults compare three methods on digits."""

    name: ClassVar[str] = "transfer_learning"
    not_served: ClassVar[tuple[str, ...]] = ("sweep",)

    dataset = override(
        "digits",
        help="digits, letters, tfds:NAME, a folder or .zip of images, a .csv that names images and "
        "their labels, or a MedMNIST .npz",
    )
    steps = override(100)
    num_seeds = override(5)
    convolution = override("native")
    batch_size = override(32, help="examples in a step; at most all labelled ones")
    learning_rate = override(
        0.0, help="highest learning rate of the schedule; 0: the method's own default"
    )

    source: str = field(
        "letters",
        "pretrained network: a workdir of image_classification, a name as efficientnet_lite0, a "
        "file of weights, hf:REPOSITORY; or one that is trained first: on printed letters "
        "(letters), or on the first half of the target's classes, to be adapted to the others "
        "(first_half)",
        path=True,
    )
    architecture: str = field(
        "", "of the source, where a file of weights does not name it (resnet18, ...)"
    )
    network: str = field(
        "", "of the source, where a file holds several: its name there (model, ema, teacher, ...)"
    )
    method: tuple[str, ...] = field(
        ("scratch", "probe", "full"),
        "scratch: from random weights; probe: linear layer on frozen features; full: fine-tuning; "
        "llrd: fine-tuning with layer-wise learning-rate decay; lora: low-rank adapters; none: "
        "no training, use the source as it is",
        choices=(*METHODS, "none"),
        former_values={"lwlr": "llrd"},
    )
    shots: tuple[int, ...] = field((1, 2, 5, 10, 20), "labelled images of each class", minimum=1)

    image_size: int = field(0, "height and width of the images; 0: as in pretraining", minimum=0)
    channels: int = field(
        0, "of the images (1 or 3), the first layer is adapted; 0: as in pretraining",
        choices=(0, 1, 3),
    )  # fmt: skip
    batch_norm: str = field(
        "auto",
        "statistics of pretrained BatchNorms in training; auto: trained for the sources letters "
        "and first_half, frozen for others",
        choices=("auto", "frozen", "trained"),
    )
    head: str = field(
        "auto", "initial weights of the new last layer: a linear probe, or random; auto: random "
        "for the sources letters and first_half, a probe for others",
        choices=("auto", "probe", "random"),
    )  # fmt: skip
    layer_decay: float = field(
        0.7, "llrd: learning rate of a layer over that of the next", minimum=0, maximum=1
    )
    unfreeze: int = field(
        0,
        "gradual unfreezing: steps until the next layer is trained too, the last one first; 0: all "
        "layers from the start",
        minimum=0,
    )
    l2_sp: float = field(
        0.0, "strength of L2-SP (decay to the pretrained weights), in place of weight decay",
        minimum=0,
    )  # fmt: skip
    rank: int = field(4, "lora: of the adapters", minimum=1)
    crop: int = field(0, "random crop: pixels of padding", minimum=0)
    flip: bool = field(False, "random mirror images")
    label_smoothing: float = field(0.0, "share of the target that is uniform", minimum=0, maximum=1)
    validation: int = field(
        0, "validation images of each class, labelled too, to choose a checkpoint by; 0: none",
        minimum=0,
    )  # fmt: skip
    test_images: int = field(0, "test images, a fixed random choice; 0: all", minimum=0)
    baselines: bool = field(True, "score scikit-learn's simple methods too", resume=False)

    predict: str = field(
        "", "image or folder to classify with the trained model", path=True, resume=False,
        group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "labelled images to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip
    features: str = field(
        "", "file.npz to write the source's features to, of the data set or of --predict",
        path=True, resume=False, group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if not self.method or not self.shots:
            raise ValueError("method and shots need a value each, or several")
        if "none" in self.method and not (self.predict or self.features):
            raise ValueError("method=none trains nothing: it goes with --predict or --features")

    def subject(self) -> str:
        """The data set, and the source unless it is the default."""
        source = os.path.basename(self.source.rstrip("/"))
        return super().subject() + (f"-from-{source}" if self.source != "letters" else "")
