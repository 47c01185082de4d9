"""The flags that classification of medical images adds to those of medical_imaging."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config


@dataclass(frozen=True, kw_only=True)
class ClassificationFlags(Config):
    """What only a classifier of images or volumes uses."""
