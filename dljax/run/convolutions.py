"""What computes a run's convolutions on a CPU: XLA, or the C++ of dljax.nn.native."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import jax

from dljax.data.sources.cache import user_cache
from dljax.run import workdirs
from dljax.run.config import Config
from dljax.run.experiment import Experiment
from dljax.train import native
from dljax.train.parallel import Placement


def choose(config: Config, placement: Placement, workdir: Path) -> tuple[str | None, str]:
    """For `native.library` of dljax.nn, and a line with the reason where C++ is not used.

    A run goes on with the convolutions that it began with, where it can. Where DLJAX_NATIVE is 0 in
    the environment, none uses C++.
    """
    if config.convolution == "xla":
        return None, ""
    began = ""
    if workdirs.goes_on(workdir, config):
        with contextlib.suppress(OSError, ValueError):  # damaged: it is refused in one line later
            began = workdirs.written(workdir)[1].get("convolution", "")
    if began == "xla":
        return None, "convolutions by XLA, not native: so the run began"
    try:
        if os.environ.get("DLJAX_NATIVE") == "0":
            raise native.BuildError("DLJAX_NATIVE=0 switches them off")
        if placement.platform != "cpu":
            raise native.BuildError(f"they are for a CPU, this is a {placement.platform}")
        if (placement.axis == "data" and placement.size > 1) or jax.process_count() > 1:
            raise native.BuildError("they do not divide a batch among devices or processes")
        return native.library(user_cache("native")), ""
    except native.BuildError as error:
        line = f"convolutions by XLA, not native: {error}"
        changes = "; the run began with native ones, its numbers go on up to rounding"
        return None, line + (changes if began == "native" else "")


def recorded(experiment: Experiment, library: str | None, line: str) -> Experiment:
    """The experiment with what computes its convolutions in its metadata, and the line, if any."""
    metadata = {**experiment.metadata, "convolution": "native" if library else "xla"}
    notes = (*experiment.notes, line) if line else experiment.notes
    return experiment._replace(metadata=metadata, notes=notes)
