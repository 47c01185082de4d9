"""The flags of devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import field, validate


@dataclass(frozen=True, kw_only=True)
class Config:
    """Nothing is run, so it is not a `run.config.Config`."""

    name: ClassVar[str] = "devices"
    not_served: ClassVar[tuple[str, ...]] = ()

    workdir: str = field("runs", "folder that all processes are to share", path=True, group="run")

    def __post_init__(self):
        validate(self)
