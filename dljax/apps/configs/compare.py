"""The flags of compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import field, validate


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to compare, and where to write it: no run of its own, so not a `run.config.Config`."""

    name: ClassVar[str] = "compare"
    not_served: ClassVar[tuple[str, ...]] = ()

    runs: tuple[str, ...] = field(
        (), "workdirs, or folders that hold some", path=True, positional=True
    )
    output: str = field(
        "runs/comparison.html",
        "page to write; the table is written beside it as .csv",
        path=True,
        group="run",
    )
    metrics: tuple[str, ...] = field(
        (), "test metrics to show; none: the main ones of each experiment", group="run"
    )
    axis: str = field(
        "step",
        "what the curves are drawn over; seconds are those of training",
        choices=("step", "seconds"),
        group="run",
    )
    max_megabytes: float = field(
        20.0, "size of all pictures in the page; what goes beyond is left out", minimum=0,
        group="run",
    )  # fmt: skip

    def __post_init__(self):
        validate(self)
        if not self.output.endswith(".html"):
            raise ValueError(f"output must end in .html, not {self.output!r}")
