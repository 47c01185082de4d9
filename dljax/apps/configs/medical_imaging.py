"""The flags of medical_imaging: the data decides whether images are classified or segmented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dljax.apps.configs.medical_classification import ClassificationFlags
from dljax.apps.configs.medical_segmentation import SegmentationFlags
from dljax.run.config import DataConfig, field, of_kind, override
from dljax.run.optimizer_flags import OPTIMIZERS, OptimizerConfig

Kind = Literal["classification", "segmentation"]

FLAGS = {"classification": ClassificationFlags, "segmentation": SegmentationFlags}


@dataclass(frozen=True, kw_only=True)
class Config(ClassificationFlags, SegmentationFlags, DataConfig, OptimizerConfig):
    """The flags of medical imaging; what both kinds of task share stands here.

    tuned: of each kind, the values of flags that are left none.
    """

    name: ClassVar[str] = "medical_imaging"
    tuned: ClassVar[Mapping[Kind, Mapping[str, Any]]] = {
        "classification": {
            "steps": 1500, "batch_size": 32, "optimizer": "adamw", "learning_rate": 2e-3,
        },
        "segmentation": {
            "steps": 700, "batch_size": 2, "optimizer": "muon", "learning_rate": 2e-2,
        },
    }  # fmt: skip

    dataset = override(
        "brain",
        help="brain, a MedMNIST .npz, a folder per class of images, or a folder of volumes or "
        "images with labels (docs/medical_imaging.md)",
    )
    steps = override(0, help="training steps; 0: as tuned", minimum=0)
    convolution = override("native")
    batch_size: int | None = field(
        None, "images or patches in a step; none: as tuned", minimum=1, group="optimizer"
    )
    optimizer: str | None = field(
        None, "optimiser; none: as tuned", choices=OPTIMIZERS, group="optimizer"
    )
    learning_rate: float | None = field(
        None, "highest learning rate of the schedule; none: as tuned", minimum=0, group="optimizer"
    )

    ema = override(0.99)

    widths: tuple[int, ...] = field((), "channels of the network's stages", minimum=1)
    class_names: tuple[str, ...] = field(
        (), "names of the labels 0, 1, ... of a .npz file, or of the levels of masks"
    )
    patients: str = field("", "CSV (file, patient) that names patients", path=True)
    patient_pattern: str = field("", "regular expression whose group is a file's patient")
    jitter: float = field(0.2, "random brightness and contrast", minimum=0, maximum=1)
    validation: float = field(
        0.15, "share of train held out, if the set has no such part", minimum=0, maximum=0.9
    )
    baselines: bool = field(True, "score simple methods too", resume=False)

    predict: str = field(
        "", "image, volume or folder to analyse with the trained model", path=True, resume=False,
        group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "labelled data to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip


def resolved(config: Config, kind: Kind) -> Config:
    """The Config with the flags that are none as they are tuned.

    Raises ValueError for a flag of the other kind, which would have no effect.
    """
    return of_kind(config, kind, FLAGS, config.tuned[kind])
