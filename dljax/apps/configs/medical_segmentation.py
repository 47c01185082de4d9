"""The flags that segmentation of medical images adds to those of medical_imaging."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config, field

STRENGTHS = ("none", "mild", "medium", "strong")


@dataclass(frozen=True, kw_only=True)
class SegmentationFlags(Config):
    """What only a segmentation of images or volumes uses."""

    strength: str = field("medium", "how much the brain is degraded", choices=STRENGTHS)
    spacing: tuple[float, ...] = field(
        (), "mm along each axis that volumes are resampled to; none: as they are", minimum=1e-3
    )
    window: tuple[float, ...] = field(
        (), "lowest,highest grey level (of CT); none: each image by its own levels"
    )
    patch: tuple[int, ...] = field(
        (), "voxels along each axis of a patch; none: 32,32,32, of images 128,128", minimum=4
    )
    foreground: float = field(
        0.33, "share of the patches that lie around a structure", minimum=0, maximum=1
    )
    mirror: tuple[str, ...] = field(
        (), "axes of random mirror images, averaged at evaluation", choices=("0", "1", "2")
    )
    overlap: float = field(
        0.5, "of neighbouring windows at evaluation", minimum=0, maximum=0.9, resume=False
    )

    def __post_init__(self):
        super().__post_init__()
        if len(self.window) not in (0, 2) or (self.window and self.window[0] >= self.window[1]):
            raise ValueError(f"window is two numbers, the lower one first, not {self.window}")
        if len(self.patch) not in (0, 2, 3):
            raise ValueError(f"patch is two numbers, or three of volumes, not {self.patch}")
        if len(self.spacing) not in (0, 3):
            raise ValueError(f"spacing is three numbers, not {self.spacing}")
