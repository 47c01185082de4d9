"""The flags of medical_imaging: the data decides whether images are classified or segmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.medical_classification import ClassificationFlags
from dljax.apps.configs.medical_segmentation import SegmentationFlags
from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Config(ClassificationFlags, SegmentationFlags, DataConfig, OptimizerConfig):
    """The flags of medical imaging; what both kinds of task share stands here."""

    name: ClassVar[str] = "medical_imaging"

    dataset = override(
        "brain",
        help="brain, a MedMNIST .npz, a folder per class of images, or a folder of volumes or "
        "images with labels (docs/medical_imaging.md)",
    )

    steps = override(800)
    batch_size = override(2)
    learning_rate = override(5e-3)

    predict: str = field(
        "", "image, volume or folder to analyse with the trained model", path=True, resume=False,
        group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "labelled data to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip
