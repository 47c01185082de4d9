"""What computes a run's convolutions on a CPU: XLA, or the C++ of dljax.nn.native."""

from __future__ import annotations

from pathlib import Path

import jax

from dljax.data.sources.cache import user_cache
from dljax.run import workdirs
from dljax.run.config import Config
from dljax.run.experiment import Experiment
from dljax.train import native
from dljax.train.parallel import Placement


def choose(config: Config, placement: Placement) -> tuple[str | None, str]:
    """For `native.library` of dljax.nn, and a line with the reason where C++ cannot be used."""
    if config.convolution == "xla":
        return None, ""
    try:
        if placement.platform != "cpu":
            raise native.BuildError(f"they are for a CPU, this is a {placement.platform}")
        if (placement.axis == "data" and placement.size > 1) or jax.process_count() > 1:
            raise native.BuildError("they do not divide a batch among devices or processes")
        return native.library(user_cache("native")), ""
    except native.BuildError as error:
        return None, f"convolutions by XLA, not native: {error}"


def recorded(experiment: Experiment, library: str | None) -> Experiment:
    """The experiment with what computes its convolutions in its metadata."""
    name = "native" if library else "xla"
    return experiment._replace(metadata={**experiment.metadata, "convolution": name})


def as_begun(workdir: Path, library: str | None, line: str) -> tuple[str | None, str]:
    """What `choose` returned, changed so that a run goes on with the convolutions it began with."""
    began = workdirs.written(workdir)[1].get("convolution")
    if library and began == "xla":
        return None, "convolutions by XLA, not native: so the run began"
    if not library and began == "native":
        return None, f"{line}; the run began with native ones, its numbers go on up to rounding"
    return library, line
