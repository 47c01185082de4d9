"""What computes a run's convolutions on a CPU: XLA, or the C++ of dljax.nn.native."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import jax

from dljax.data.sources.cache import user_cache
from dljax.run import workdirs
from dljax.run.config import Config
from dljax.run.experiment import Experiment
from dljax.train import native
from dljax.train.parallel import Placement


class Choice(NamedTuple):
    """What computes a run's convolutions from now on.

    library: for `native.library` of dljax.nn. began: the form of the run's first start, native or
    xla. line: why it is not what the Config says, where it is not.
    """

    library: str | None
    began: str
    line: str


def choose(config: Config, placement: Placement, workdir: Path) -> Choice:
    """What computes convolutions: as the Config says, or as the run in the workdir began.

    A run goes on with the convolutions that it began with, where it can. A GPU or TPU has its own,
    and where DLJAX_NATIVE is 0 in the environment, none uses C++.
    """
    began = _began(config, workdir)
    form = began or config.convolution
    kept = "" if form == config.convolution else "so the run began"
    if form == "xla":
        return Choice(None, form, kept and f"convolutions by XLA, not native: {kept}")
    unwanted = placement.platform != "cpu" or os.environ.get("DLJAX_NATIVE") == "0"
    if unwanted and not began:
        return Choice(None, "xla", "")
    try:
        if unwanted:
            why = "are switched off" if placement.platform == "cpu" else "are for a CPU"
            raise native.BuildError(f"they {why}")
        if (placement.axis == "data" and placement.size > 1) or jax.process_count() > 1:
            raise native.BuildError("they do not divide a batch among devices or processes")
        library = native.library(user_cache("native"))
    except native.BuildError as error:
        line = f"convolutions by XLA, not native: {error}"
        changes = "; the run began with native ones, its numbers go on up to rounding"
        return Choice(None, began or "xla", line + (changes if began else ""))
    return Choice(library, form, kept and f"convolutions native, not by XLA: {kept}")


def _began(config: Config, workdir: Path) -> str:
    """With what the run began that a start continues: native or xla; '' where there is none."""
    if workdirs.goes_on(workdir, config):
        with contextlib.suppress(OSError, ValueError):  # damaged: it is refused in one line later
            return workdirs.written(workdir)[1].get("convolution", "xla")
    return ""


def recorded(experiment: Experiment, choice: Choice) -> Experiment:
    """The experiment with what its run began with in its metadata, and the line, if any."""
    metadata = {**experiment.metadata, "convolution": choice.began}
    notes = (*experiment.notes, choice.line) if choice.line else experiment.notes
    return experiment._replace(metadata=metadata, notes=notes)
