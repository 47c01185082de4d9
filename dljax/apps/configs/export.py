"""The flags of export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import field, validate


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to export, and where to: no run of its own, so not a `run.config.Config`."""

    name: ClassVar[str] = "export"
    not_served: ClassVar[tuple[str, ...]] = ()

    workdir: str = field("", "folder of the run to export", path=True, group="run")
    output: str = field("", "file to write; none: model.zip in the workdir", path=True, group="run")
    platforms: tuple[str, ...] = field(
        ("cpu", "cuda", "tpu"),
        "platforms that the program runs on",
        choices=("cpu", "cuda", "rocm", "tpu"),
        group="run",
    )

    def __post_init__(self):
        validate(self)
        if not self.workdir:
            raise ValueError(
                "workdir must be the folder of a run: --workdir=runs/image_classification-digits"
            )
        if not self.platforms:
            raise ValueError("platforms must name at least one")
