"""A trained run, and what is told of it: summary.json, and the last lines for the user."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.run import process
from dljax.run.command_line import command
from dljax.run.config import Config, to_json
from dljax.run.experiment import Analysis, Experiment
from dljax.run.sweep import Chosen
from dljax.train import driver, loop, report


class Trained(NamedTuple):
    """A trained run while it is scored: of a sweep, once that is done, its chosen members alone.

    result: of the loop, its metrics those of the validation part. sums, scores: of the test part.
    best: step of the best checkpoint; scored: of the one that is in result; chosen: of a sweep.
    """

    result: driver.Result
    best: int | None
    scored: int
    sums: loop.Sums
    scores: dict[str, np.ndarray]
    chosen: Chosen | None = None


def summarise(
    config: Config,
    experiment: Experiment,
    trained: Trained,
    analysis: Analysis,
    baselines: dict[str, Any],
    seconds: dict[str, float],
    dropped: list[int],
    first: bool,
) -> dict[str, Any]:
    """The content of summary.json, written by the first process. dropped: the seeds that were."""
    result, chosen = trained.result, trained.chosen
    findings = {"sweep": chosen.table, "chosen": chosen.point} if chosen else {}
    read = experiment.data
    return report.summary(
        Path(config.workdir) if first else None,
        experiment=experiment.name,
        command=command(config, f"-m experiments.{experiment.name}"),
        commit=report.git_commit(),
        config=to_json(config),
        dataset=experiment.dataset,
        data=read.report() if read else {},
        steps=result.steps,
        seconds=seconds,
        steps_per_second=result.steps_per_second,
        metrics=trained.scores,
        baselines=baselines,
        parameters=_parameters(result.run),
        steps_per_call=result.steps_per_call,
        seconds_to_first_step=_to_first_step(result, Path(config.workdir)),
        headline=[name for name in experiment.headline if name in trained.scores],
        best_step=trained.best,
        checkpoint={
            "step": trained.scored,
            "best": trained.scored == trained.best,
            "last": trained.scored == result.steps,
        },
        dropped_seeds=dropped,
        notes=[*experiment.notes, *analysis.lines],
        **findings,
        **analysis.findings,
    )


def _to_first_step(result: driver.Result, workdir: Path) -> dict[str, float] | None:
    """Seconds from the beginning of the process: imports and data, then compiling and a dispatch.

    Of a start that makes no step, those of the start before it; None where the system does not tell
    when the process began.
    """
    age, path = process.age(), workdir / "summary.json"
    if age is not None and result.first_step is not None:
        called, done = result.first_step
        return {
            "imports_and_data": called - time.monotonic() + age,
            "compile_and_step": done - called,
        }
    return json.loads(path.read_text()).get("seconds_to_first_step") if path.exists() else None


def _parameters(run: loop.Run) -> int | None:
    params = getattr(run.states, "params", None)
    return params and sum(int(np.prod(x.shape[1:])) for x in jax.tree.leaves(params))


def text(described: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> str:
    """Some metrics as 'accuracy 0.9861 ± 0.0051, loss 0.6'; all where none is among them."""
    names = tuple(name for name in names if name in described) or tuple(described)
    return ", ".join(
        f"{name} {described[name]['mean']:.4f}"
        + (f" ± {described[name]['std']:.4f}" if len(described[name]["per_seed"]) > 1 else "")
        for name in names
        if described[name]["mean"] is not None
    )


def _named(checkpoint: Mapping[str, Any], best_step: int | None) -> str:
    """What is scored, as 'last checkpoint, step 300 (best by validation: step 240)'."""
    kind = " and ".join(name for name in ("last", "best") if checkpoint[name])
    better = f" (best by validation: step {best_step})"
    other = best_step is not None and not checkpoint["best"]
    return f"{kind} checkpoint, step {checkpoint['step']}{better if other else ''}"


def closing(summary: dict[str, Any], headline: tuple[str, ...], workdir: Path) -> str:
    """What a reader wants to know at the end, a few lines."""
    shown = text(summary["metrics"], headline)
    lines = [f"test: {shown}; {_named(summary['checkpoint'], summary['best_step'])}"]
    for name, values in summary["baselines"].items():
        known = {n: v for n, v in values.items() if v is not None}
        shown = [n for n in headline if n in known] or list(known)
        lines.append(f"baseline {name}: " + ", ".join(f"{n} {known[n]:.4f}" for n in shown))
    if summary["dropped_seeds"]:
        lines.append(f"not counted, dropped as not finite: seeds {summary['dropped_seeds']}")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in summary["seconds"].items())
    lines.append(f"{summary['steps_per_second']:.4g} steps/s; {seconds}; see {workdir}/")
    return "\n".join(lines)
