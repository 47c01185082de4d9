"""The flags of object_detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

MODELS = ("small", "resnet18", "efficientnet_lite0")
FITS = ("letterbox", "pad", "stretch")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of object detection; the defaults are tuned for scenes."""

    name: ClassVar[str] = "object_detection"

    dataset = override(
        "scenes", help="scenes, tfds:NAME, or Pascal VOC, COCO or YOLO (docs/data_formats.md)"
    )
    steps = override(4000)
    convolution = override("native")
    batch_size = override(8)
    optimizer = override("muon")
    learning_rate = override(1e-2)
    ema = override(0.99)
    clip_norm = override(10.0)

    model: str = field("small", "backbone: a small ResNet, or a published one", choices=MODELS)
    widths: tuple[int, ...] = field(
        (24, 48, 96, 128), "channels of the stages of small, from stride 2 on", minimum=1
    )
    pretrained: bool = field(
        True, "start efficientnet_lite0 from its ImageNet weights (a package; no network)"
    )
    backbone_rate: float = field(
        0.2, "learning rate of a pretrained backbone, as a share of the others'", minimum=0
    )
    finest: int = field(
        0,
        "stride of the largest map that is searched, 4 for small objects; 0: 4 of small, else 8",
        choices=(0, 4, 8, 16),
    )
    width: int = field(48, "channels of pyramid and head", minimum=4)
    depth: int = field(1, "convolutions of the head", minimum=0)

    image_size: tuple[int, ...] = field(
        (), "height,width that images are fitted to, or one number; none: 96 for scenes, else 320",
        minimum=32,
    )  # fmt: skip
    fit: str = field(
        "letterbox", "keep the aspect (pad: and never enlarge) or stretch", choices=FITS
    )
    flip: bool = field(False, "random mirror images, left and right; both views at evaluation")
    flip_down: bool = field(False, "random mirror images, top and bottom")
    scale: tuple[float, ...] = field(
        (),
        "smallest and largest random magnification; none: 1,1 for scenes, else 0.8,1.25",
        minimum=0.1,
        maximum=10,
    )
    aspect: float = field(
        1.0, "random stretch of width against height, by up to so much", minimum=1, maximum=4
    )
    mosaic: float = field(
        0.0, "share of a batch that is joined from four images", minimum=0, maximum=1
    )
    jitter: float = field(0.0, "random brightness, contrast, saturation", minimum=0, maximum=1)

    nms: tuple[float, ...] = field(
        (0.45, 0.55, 0.65),
        "overlaps above which duplicates are dropped; validation chooses one of them",
        minimum=0.05,
        maximum=1,
        resume=False,
    )
    score: float = field(
        0.0,
        "least score of detections in pictures and tables; 0: that of the best F1 in validation",
        minimum=0,
        maximum=1,
        resume=False,
    )
    validation: float = field(
        0.1,
        "share of train held out to choose by, if the set has no such part; 0: none",
        minimum=0,
        maximum=0.9,
    )
    streaming: bool = field(False, "read images while training (sets larger than memory)")

    predict: str = field(
        "", "image, film or folder to detect objects in with the trained model", path=True,
        resume=False, group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "annotated images to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if len(self.image_size) > 2:
            raise ValueError(f"image_size is height,width or one number, not {self.image_size}")
        if self.scale and (len(self.scale) != 2 or self.scale[0] > self.scale[1]):
            raise ValueError(f"scale is the smallest and the largest, not {self.scale}")
        if not self.nms:
            raise ValueError("nms needs one number or more")
        if self.model == "small" and not (self.finest or 4) <= 2 ** len(self.widths) <= 64:
            raise ValueError(f"widths {self.widths} have no map of stride {self.finest or 4}")

    def size(self) -> tuple[int, int]:
        """Height and width of the fitted images."""
        default = (96,) if self.dataset == "scenes" else (320,)
        given = self.image_size or default
        return (given[0], given[-1])

    def magnification(self) -> tuple[float, ...]:
        """The smallest and the largest of training images."""
        return self.scale or ((1.0, 1.0) if self.dataset == "scenes" else (0.8, 1.25))
