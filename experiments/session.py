"""What every experiment does with its workdir: claim it, train or continue, score, draw, sum up.

A script builds an `Experiment`; `train` here runs it through dljax.train with all that DESIGN calls
"what a run leaves behind". A notebook calls the same functions.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from dljax.data.feed import Examples, Feed
from dljax.data.sources.cache import user_cache
from dljax.train import checkpoint, compilation, driver, loop, members, metrics, report
from dljax.train.parallel import Placement
from experiments import base, sweep

LEFT_BEHIND = (
    "checkpoints",
    "tensorboard",
    "plots",
    "predictions",
    "samples",
    "snapshots",
    "config.json",
    "facts.json",
    "metrics.jsonl",
    "summary.json",
)


logging.set_verbosity(logging.ERROR)  # orbax warns of what is meant to be
compilation.keep_programs(user_cache("programs"))  # a second start compiles little


class Conclusion(NamedTuple):
    """What an experiment finds out about its trained run, beyond the metrics.

    findings: goes into summary.json. lines: what they mean, in words for the user. draw: plots
    folder -> None, the pictures of them. facts: added to the experiment's.
    """

    findings: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}
    draw: Callable[[Path], None] | None = None


class Experiment(NamedTuple):
    """All that `train` needs besides the Config.

    name: the script's. dataset: one line about the data. task: Config -> Task, of the given Config
    or of one that differs in swept hyper-parameters. feed, placement: for the loop. given: what the
    Task's init takes besides a key, arrays [seeds, ...].
    validation: evaluated at intervals and used to choose the best checkpoint; None: no choosing.
    test: evaluated once, at the end. summarise: Sums -> metrics [seeds]. score: larger is better.
    facts: what the trained model needs to be used again without its data (facts.json).
    notes: lines for the user. baselines: () -> name -> metrics of simple methods on the same split.
    draw: (Run, test Sums, plots folder) -> None. conclude: (Run, metrics, baselines) ->
    Conclusion, of the seeds that were not dropped. use_best: test, draw and conclude from the best
    checkpoint rather than from the last step. watch: (step, Sums, snapshots folder) -> None, shown
    what each evaluation of `validation` found.
    """

    name: str
    dataset: str
    task: Callable[[Any], loop.Task]
    feed: Feed
    placement: Placement
    given: tuple = ()
    validation: Examples | None = None
    test: Examples | None = None
    summarise: Callable[[loop.Sums], dict[str, np.ndarray]] = metrics.scalars
    score: Callable[[dict[str, np.ndarray]], float] | None = None
    facts: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()
    baselines: Callable[[], dict[str, Any]] | None = None
    draw: Callable[[loop.Run, loop.Sums, Path], None] | None = None
    conclude: Callable[[loop.Run, dict, dict], Conclusion] | None = None
    use_best: bool = False
    watch: Callable[[int, loop.Sums, Path], None] | None = None


class Outcome(NamedTuple):
    """The trained run, its Sums on the test examples, and the content of summary.json."""

    run: loop.Run
    sums: loop.Sums
    summary: dict[str, Any]


def seeds(config: base.Config) -> tuple[int, ...]:
    """The seeds of a run: seed, seed + 1, ...; those of a sweep's members once for each point."""
    return tuple(range(config.seed, config.seed + config.num_seeds)) * len(sweep.points(config))


def train(config: base.Config, experiment: Experiment) -> Outcome:
    """Trains in config.workdir, or continues there, and leaves everything behind.

    Raises ValueError if the workdir holds a run of another configuration, CheckpointError if
    another process holds it, and what `driver.train` raises.
    """
    workdir = Path(config.workdir)
    first = jax.process_index() == 0  # of several processes it alone tells and writes
    reported = workdir if first else None
    with (
        report.Report(reported, config.steps, quiet=config.quiet or not first) as told,
        checkpoint.lock(workdir),
    ):
        task, given = sweep.task(config, experiment)
        if first:
            _claim(workdir, config, {"experiment": experiment.name, **experiment.facts})
        told.say(f"{experiment.name} on {experiment.dataset}; {report.device_name()}; {workdir}")
        for note in experiment.notes:
            told.say(note)
        score = experiment.score if experiment.validation else None
        if config.sweep:
            points, count = len(sweep.points(config)), sweep.count(config)
            told.say(f"a sweep of {points} values, {count} members in one program")
        with checkpoint.Store(workdir, warn=told.warn) as store:
            result = driver.train(
                task,
                experiment.feed,
                steps=config.steps,
                seeds=seeds(config),
                given=given,
                placement=experiment.placement,
                evaluation=experiment.validation,
                eval_every=config.eval_every,
                checkpoint_every=config.checkpoint_every,
                steps_per_call=config.steps_per_call,
                store=store,
                report=told,
                summarise=experiment.summarise,
                score=score and sweep.best_score(config, score),
                watch=(lambda step, sums: experiment.watch(step, sums, workdir / "snapshots"))
                if experiment.watch and first and not config.sweep
                else None,
                on_nan="drop" if config.sweep else config.on_nan,
            )
            best = store.best_step()
            if experiment.use_best and best is not None:
                like = loop.abstract(task, seeds(config), experiment.placement, given)
                try:
                    run, meta = store.restore(like, best)
                    scored = {name: np.asarray(x, float) for name, x in meta["metrics"].items()}
                    result = result._replace(run=run, metrics=scored)
                except checkpoint.CheckpointError as error:
                    told.warn(f"the last step is scored, not the best one: {error}")
        sums, scores = {}, result.metrics
        seconds = dict(result.seconds)
        if experiment.test:
            begin = time.perf_counter()
            sums = loop.evaluate(task, result.run, experiment.test, experiment.placement)
            scores = driver.without(experiment.summarise(sums), result.dropped)
            seconds["test"] = time.perf_counter() - begin
        facts, findings, table, chosen = {"experiment": experiment.name}, {}, [], None
        facts |= experiment.facts
        if config.sweep:
            validated = driver.without(result.metrics, result.dropped)
            validated = score and sweep.scores(config, score, validated)
            chosen = sweep.choose(config, validated, scores)
            result, sums, scores = _members(chosen.members, result, sums, scores)
            told.choose(config.steps, chosen.members, seconds["train"])
            facts["sweep"] = {"point": chosen.point, "members": chosen.members}
            findings, table = {"sweep": chosen.table, "chosen": chosen.point}, sweep.lines(chosen)
        baselines = {}
        if experiment.baselines:
            begin = time.perf_counter()
            baselines = experiment.baselines()
            seconds["baselines"] = time.perf_counter() - begin
        whole = jax.jit(lambda run: run, out_shardings=experiment.placement.everywhere())
        healthy = result.run.replace(states=driver.healthy(result.run.states, result.dropped))
        healthy = whole(healthy)  # by all processes
        conclusion = Conclusion({})
        if experiment.conclude:
            conclusion = experiment.conclude(healthy, scores, baselines)
        if first:
            report.write_json(workdir / "facts.json", {**facts, **conclusion.facts})
        summary = report.summary(
            reported,
            experiment=experiment.name,
            config=base.to_json(config),
            dataset=experiment.dataset,
            steps=config.steps,
            seconds=seconds,
            steps_per_second=result.steps_per_second,
            metrics=scores,
            baselines=baselines,
            parameters=_parameters(result.run),
            steps_per_call=result.steps_per_call,
            best_step=best,
            dropped_seeds=[seeds(config)[i] for i in result.dropped],
            notes=[*experiment.notes, *conclusion.lines],
            **findings,
            **conclusion.findings,
        )
        if config.plots and first:
            if experiment.draw:
                experiment.draw(healthy, driver.healthy(sums, result.dropped), workdir / "plots")
            if conclusion.draw:
                conclusion.draw(workdir / "plots")
            if chosen and validated is not None:
                sweep.draw(chosen, workdir / "plots" / "sweep.png")
        for line in (*table, *conclusion.lines):
            told.say(line)
        told.say(_closing(summary, workdir))
    return Outcome(result.run, sums, summary)


def _members(
    chosen: list[int], result: driver.Result, sums: loop.Sums, scores: dict[str, np.ndarray]
) -> tuple[driver.Result, loop.Sums, dict[str, np.ndarray]]:
    """Those members of a sweep as a run without one would have left them."""
    pick = np.array(chosen)
    run = result.run.replace(keys=result.run.keys[pick], states=result.run.states.state)
    run = run.replace(states=jax.tree.map(lambda x: x[pick], run.states))
    dropped = tuple(chosen.index(i) for i in result.dropped if i in chosen)
    sums, scores = jax.tree.map(lambda x: x[pick], (sums, scores))
    return result._replace(run=run, dropped=dropped), sums, scores


def restore(
    config: base.Config, task: loop.Task, placement: Placement, best: bool = True
) -> tuple[loop.Run, int]:
    """The run in config.workdir and its step: the best checkpoint, else the newest.

    Its states are those of the seeds that were not dropped; of a sweep, of the chosen members.
    """
    values, facts = _written(Path(config.workdir))
    written, given, chosen = base.from_json(type(config), values), (), None
    if written.sweep:
        given = (sweep.given(written),)
        task = members.task(lambda values, made=task: made, task.spec)
        chosen = _chosen(config, facts)["members"]
    like = loop.abstract(task, seeds(written), placement, given)
    with checkpoint.Store(config.workdir, read_only=True) as store:
        step, found = store.best_step() if best else None, None
        if step is not None:
            with contextlib.suppress(checkpoint.CheckpointError):  # damaged: the newest will do
                found = store.restore(like, step)
        found = found or store.restore(like)
    if found is None:
        raise FileNotFoundError(
            f"{config.workdir} holds no checkpoint: train first, or name another --workdir"
        )
    run, meta = found
    rest = [i for i in chosen or range(len(run.keys)) if i not in meta["dropped"]]
    states = run.states.state if chosen else run.states
    return run.replace(states=jax.tree.map(lambda x: x[np.array(rest)], states)), meta["step"]


def saved(config: base.Config) -> tuple[base.Config, dict[str, Any]]:
    """The Config and the facts of the run in config.workdir; of the flags, `plots` alone counts.

    Of a sweep, the Config of the chosen point; ValueError where none is chosen yet.
    """
    values, facts = _written(Path(config.workdir))
    now = {"workdir": config.workdir, "plots": config.plots}
    found = base.from_json(type(config), {**values, **now})
    return sweep.at(found, _chosen(found, facts)["point"]) if found.sweep else found, facts


def experiment(workdir: str | Path) -> str:
    """The name of the experiment whose run is in `workdir`."""
    _, facts = _written(Path(workdir))
    if "experiment" not in facts:
        raise ValueError(
            f"facts.json in {workdir} does not name its experiment, as older runs do not: "
            "start the run's command once more, which adds the name and trains nothing again"
        )
    return facts["experiment"]


def _written(workdir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and facts.json of a run."""
    try:
        values = json.loads((workdir / "config.json").read_text())
        return values, json.loads((workdir / "facts.json").read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{workdir} holds no run: train first, or name another --workdir"
        ) from None
    except ValueError as error:
        raise ValueError(f"{workdir} has a damaged config.json or facts.json ({error})") from None


def _chosen(config: base.Config, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    if "sweep" not in facts:
        raise ValueError(
            f"the sweep in {config.workdir} has not come to its end, so no value is chosen yet"
        )
    return facts["sweep"]


def _claim(workdir: Path, config: base.Config, facts: Mapping[str, Any]) -> None:
    if config.overwrite:
        for name in LEFT_BEHIND:
            target = workdir / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    path = workdir / "config.json"
    if path.exists() and any((workdir / "checkpoints").glob("[0-9]*")):
        try:
            before = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}): --overwrite starts anew") from None
        lines = base.differences(before, config)
        if lines:
            raise ValueError(
                f"{workdir} holds a run of another configuration ({'; '.join(lines)}): "
                "use its flags, another --workdir, or --overwrite to start anew"
            )
    report.write_json(path, base.to_json(config))
    report.write_json(workdir / "facts.json", facts)


def _parameters(run: loop.Run) -> int | None:
    params = getattr(run.states, "params", None)
    return params and sum(int(np.prod(x.shape[1:])) for x in jax.tree.leaves(params))


def _closing(summary: dict[str, Any], workdir: Path) -> str:
    """What a reader wants to know at the end, a few lines."""
    scores = ", ".join(
        f"{name} {value['mean']:.4f}"
        + (f" ± {value['std']:.4f}" if len(value["per_seed"]) > 1 else "")
        for name, value in summary["metrics"].items()
        if value["mean"] is not None
    )
    lines = [f"test: {scores}"]
    for name, values in summary["baselines"].items():
        known = [f"{n} {v:.4f}" for n, v in values.items() if v is not None]
        lines.append(f"baseline {name}: " + ", ".join(known))
    if summary["dropped_seeds"]:
        lines.append(f"not counted, dropped as not finite: seeds {summary['dropped_seeds']}")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in summary["seconds"].items())
    lines.append(f"{summary['steps_per_second']:.4g} steps/s; {seconds}; see {workdir}/")
    return "\n".join(lines)
