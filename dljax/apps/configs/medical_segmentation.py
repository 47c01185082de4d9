"""The flags that segmentation of medical images adds to those of medical_imaging."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config


@dataclass(frozen=True, kw_only=True)
class SegmentationFlags(Config):
    """What only a segmentation of images or volumes uses."""
