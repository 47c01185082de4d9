"""What an application fills in for `session.train`, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.feed import Examples, Feed
from dljax.data.record import DataRecord
from dljax.train import loop, metrics
from dljax.train.class_tables import Rows
from dljax.train.parallel import Placement


class Analysis(NamedTuple):
    """What an experiment finds out about its trained run, beyond the metrics.

    findings: goes into summary.json. lines: what they mean, in words for the user. draw: plots
    folder -> None, the pictures of them. metadata: added to the experiment's. metrics: name ->
    [seeds], beside those of the test part, for what is no sum over examples.
    """

    findings: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}
    draw: Callable[[Path], None] | None = None
    metrics: Mapping[str, np.ndarray] = {}


class Experiment(NamedTuple):
    """All that `session.train` needs besides the Config.

    name: the script's. dataset: one line about the data. task: Config -> Task, of this Config or of
    one that differs in swept hyper-parameters. feed, placement: for the loop.
    headline: the two or three metrics that progress lines show; the others go to the logs.
    data: what was read; a run is continued on the same data only. None: there is none.
    init_args: what the Task's init takes besides a key, arrays [seeds, ...].
    validation: evaluated at intervals. choose_by: the metric of it that chooses the best
    checkpoint, "max:NAME" or "min:NAME"; "": none does. use_best: test, draw and analyze from that
    checkpoint rather than from the last step.
    test: evaluated once, at the end. summarise: Sums -> metrics [seeds]. tables: test Sums of the
    seeds that were not dropped -> name -> rows, each a NAME.csv in the workdir.
    metadata: what the trained model needs to be used again without its data (metadata.json).
    notes: lines for the user. baselines: () -> name -> metrics of simple methods on the same split.
    draw: (Run, test Sums, plots folder) -> None, beside the learning curves.
    analyze: (Run, metrics, baselines) -> Analysis, of the seeds that were not dropped; the metrics
    [seeds] are those of the test part, and as validation/NAME those of the validation part.
    eval_callback: (step, Sums, snapshots folder) -> None, called after each evaluation.
    """

    name: str
    dataset: str
    task: Callable[[Any], loop.Task]
    feed: Feed
    placement: Placement
    headline: tuple[str, ...] = ("loss",)
    data: DataRecord | None = None
    init_args: tuple = ()
    validation: Examples | None = None
    choose_by: str = ""
    use_best: bool = False
    test: Examples | None = None
    summarise: Callable[[loop.Sums], dict[str, np.ndarray]] = metrics.scalars
    tables: Callable[[loop.Sums], Mapping[str, Rows]] | None = None
    metadata: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()
    baselines: Callable[[], dict[str, Any]] | None = None
    draw: Callable[[loop.Run, loop.Sums, Path], None] | None = None
    analyze: Callable[[loop.Run, dict, dict], Analysis] | None = None
    eval_callback: Callable[[int, loop.Sums, Path], None] | None = None


class Outcome(NamedTuple):
    """The trained run, its Sums on the test examples, and the content of summary.json.

    Of a comparison of several runs, each with a workdir of its own, run is None and sums are empty.
    """

    run: loop.Run | None
    sums: loop.Sums
    summary: dict[str, Any]
