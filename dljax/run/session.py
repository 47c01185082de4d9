"""What every experiment does with its workdir: claim it, train or continue, score, draw, sum up.

An application builds an `Experiment`; `train` here runs it through dljax.train with all that DESIGN
calls "what a run leaves behind". A notebook calls the same functions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dljax import plots
from dljax.data.feed import Examples
from dljax.nn import native
from dljax.run import convolutions, sweep, workdirs
from dljax.run.config import C, Config, from_json, to_json
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.run.summary import Trained, closing, summarise, text
from dljax.run.sweep import Sweep
from dljax.train import checkpoint, driver, loop, metrics, report, sweep_task
from dljax.train.class_tables import Rows
from dljax.train.files import write_csv, write_json
from dljax.train.parallel import Placement, gathered, place
from dljax.train.trackers import WeightsAndBiases

Build = Callable[[C], Experiment]
Score = Callable[[dict[str, np.ndarray]], float]


def seeds(config: Config) -> tuple[int, ...]:
    """The seeds of a run: seed, seed + 1, ...; those of a sweep's members once for each point."""
    one = tuple(range(config.seed, config.seed + config.num_seeds))
    return one * len(sweep.parse(config).points)


def placement(config: Config, batch_size: int | None = None) -> Placement:
    """Where a run lies. batch_size: what is split over devices; None: the Config's."""
    return place(
        config.parallel,
        batch_size=config.batch_size if batch_size is None else batch_size,
        num_seeds=sweep.parse(config).count,
        vectorize_seeds=config.vectorize_seeds,
    )


def built(config: C, experiment: Experiment | Build) -> Experiment:
    """The Experiment; for one that is to be built, the workdir is checked first."""
    if isinstance(experiment, Experiment):
        return experiment
    if jax.process_index() == 0:
        workdirs.check(Path(config.workdir), config)
    return experiment(config)


def train(config: C, experiment: Experiment | Build, *, show_data: bool = True) -> Outcome:
    """Trains in config.workdir, or continues there, and leaves everything behind.

    experiment: one that is built, or what builds it from the Config, after the workdir was checked,
    so that what is refused for the flags is refused before data is read.
    show_data: prints the summary of the data first; False where several runs share it.
    Raises ValueError if the workdir holds a run of another configuration or of other data, OSError
    if it cannot be written, CheckpointError if another process holds it, and what `driver.train`
    raises.
    """
    workdir, plan = Path(config.workdir), sweep.parse(config)
    experiment = built(config, experiment)
    first = jax.process_index() == 0  # of several processes it alone prints and writes
    reporter = report.Report(
        workdir if first else None,
        config.steps,
        quiet=config.quiet or not first,
        headline=experiment.headline,
        members=[{"seed": x, **y} for x, y in zip(seeds(config), plan.members(), strict=True)],
        trackers=[WeightsAndBiases(config.wandb, workdir, to_json(config))]
        if config.wandb and first
        else [],
    )
    task, init_args = sweep.task(plan, config, experiment)
    score = _score(config, experiment)  # as the line before, it may refuse: there is no workdir yet
    workdirs.check_flags(config)
    workdirs.check_shared(workdir)
    with reporter as output, checkpoint.lock(workdir), contextlib.ExitStack() as convolution:
        choice = convolutions.choose(config, experiment.placement, workdir)
        experiment = convolutions.recorded(experiment, choice)
        convolution.enter_context(native.library(choice.library))
        if first:
            workdirs.claim(workdir, config, experiment)
        gathered(0)  # none looks for a checkpoint before
        _introduce(output, plan, experiment, workdir, show_data)
        evaluator = loop.Evaluator(task, experiment.placement)
        trained = _train(config, experiment, plan, task, init_args, evaluator, score, output)
        seconds = dict(trained.result.seconds)
        with _timed(seconds, "test", experiment.test):
            trained = _test(experiment, evaluator, trained)
        if plan:
            trained = _choose(plan, score, trained)
            output.choose(trained.result.steps, trained.chosen.members, seconds["train"])
        baselines: dict[str, Any] = {}
        with _timed(seconds, "baselines", experiment.baselines):
            baselines = experiment.baselines() if experiment.baselines else {}
        with _timed(seconds, "analyze", experiment.analyze):
            run, analysis = _analyze(experiment, trained, baselines)
        trained = _with_metrics(trained, analysis)
        if first:
            workdirs.write_metadata(workdir, experiment, trained.chosen, analysis)
        dropped = [seeds(config)[i] for i in trained.result.dropped]
        found = summarise(config, experiment, trained, analysis, baselines, seconds, dropped, first)
        if experiment.tables and first:
            kept = driver.healthy(trained.sums, trained.result.dropped)
            for name, rows in experiment.tables(kept).items():
                write_csv(workdir / f"{name}.csv", rows)
        if config.plots and first:
            _draw(experiment, trained, run, analysis, workdir)
            output.pictures(trained.result.steps, workdir / "plots")
        table = sweep.lines(trained.chosen, experiment.headline) if plan else []
        for line in (*table, *analysis.lines):
            output.say(line)
        output.say(closing(found, experiment.headline, workdir))
    return Outcome(trained.result.run, trained.sums, found)


def _score(config: Config, experiment: Experiment) -> Score | None:
    """What makes an evaluation the best one, larger is better; None where nothing is chosen."""
    way, _, metric = (config.choose_by or experiment.choose_by).partition(":")
    if experiment.validation is None or not metric:
        for name in ("choose_by", "patience"):
            if getattr(config, name):
                raise ValueError(f"{name} needs a validation part and a metric to choose by")
        return None
    sign = 1 if way == "max" else -1

    def score(values: dict[str, np.ndarray]) -> float:
        if metric not in values or np.ndim(values[metric]) != 1:
            known = ", ".join(name for name, x in values.items() if np.ndim(x) == 1)
            raise ValueError(f"choose_by: there is no validation metric {metric!r}, but {known}")
        return sign * float(np.nanmean(values[metric]))

    return score


def _introduce(
    output: report.Report, plan: Sweep, experiment: Experiment, workdir: Path, show_data: bool
) -> None:
    """What is trained, on which data, before training starts."""
    output.say(f"{experiment.name} on {experiment.dataset}; {report.device_name()}; {workdir}")
    read = experiment.data.lines() if experiment.data and show_data else ()
    for line in dict.fromkeys((*read, *experiment.notes)):
        output.say(line)
    if plan:
        output.say(f"a sweep of {len(plan.points)} values, {plan.count} members in one program")


def _train(
    config: Config,
    experiment: Experiment,
    plan: Sweep,
    task: loop.Task,
    init_args: tuple,
    evaluator: loop.Evaluator,
    score: Score | None,
    output: report.Report,
) -> Trained:
    """Trains, or goes on, and goes back to the best checkpoint where the experiment wants it."""
    workdir, callback = Path(config.workdir), experiment.eval_callback
    if callback and (plan or jax.process_index()):
        callback = None
    store = checkpoint.Store(
        workdir, keep=config.keep, keep_every=config.keep_every, warn=output.warn
    )
    with store:
        result = driver.train(
            task,
            experiment.feed,
            steps=config.steps,
            seeds=seeds(config),
            init_args=init_args,
            placement=experiment.placement,
            evaluation=experiment.validation,
            evaluator=evaluator,
            eval_every=config.eval_every,
            checkpoint_every=config.checkpoint_every,
            steps_per_call=config.steps_per_call,
            store=store,
            report=output,
            summarise=experiment.summarise,
            score=score and sweep.best_score(plan, score),
            patience=config.patience,
            eval_callback=callback
            and (lambda step, sums: callback(step, sums, workdir / "snapshots")),
            on_nan="drop" if plan else config.on_nan,
        )
        best, scored = store.best_step(), result.steps
        if experiment.use_best and best not in (None, result.steps):
            like = loop.abstract_run(task, seeds(config), experiment.placement, init_args)
            try:
                run, meta = store.restore(like, best)
                newest = {name: np.asarray(x, float) for name, x in meta["metrics"].items()}
                result, scored = result._replace(run=run, metrics=newest), best
            except checkpoint.CheckpointError as error:
                output.warn(f"the last step is scored, not the best one: {error}")
    return Trained(result, best, scored, {}, result.metrics)


def _test(experiment: Experiment, evaluator: loop.Evaluator, trained: Trained) -> Trained:
    """Scores the test part; where there is none, the scores are those of the validation part."""
    result = trained.result
    if experiment.test is None:
        return trained
    sums = evaluator(result.run, evaluator.prepare(experiment.test))
    scores = driver.without(experiment.summarise(sums), result.dropped)
    return trained._replace(sums=sums, scores=scores)


def _choose(plan: Sweep, score: Score | None, trained: Trained) -> Trained:
    """The members of a sweep's chosen point as a run without a sweep would have left them."""
    result, sums, scores = trained.result, trained.sums, trained.scores
    validated = driver.without(result.metrics, result.dropped)
    found = sweep.choose(plan, score and sweep.scores(plan, score, validated), scores)
    pick = np.array(found.members)
    run = result.run.replace(keys=result.run.keys[pick], states=result.run.states.state)
    run = run.replace(states=jax.tree.map(lambda x: x[pick], run.states))
    validated = {name: x[pick] for name, x in validated.items()}
    dropped = tuple(found.members.index(i) for i in result.dropped if i in found.members)
    sums, scores = jax.tree.map(lambda x: x[pick], (sums, scores))
    result = result._replace(run=run, metrics=validated, dropped=dropped)
    return trained._replace(result=result, sums=sums, scores=scores, chosen=found)


def _analyze(
    experiment: Experiment, trained: Trained, baselines: dict[str, Any]
) -> tuple[loop.Run, Analysis]:
    """The healthy seeds in every process, and what the experiment says of them."""
    result = trained.result
    validated = {f"validation/{name}": x for name, x in result.metrics.items()}
    run = result.run.replace(states=driver.healthy(result.run.states, result.dropped))
    everywhere = experiment.placement.everywhere()
    if not all(x.sharding.is_equivalent_to(everywhere, x.ndim) for x in jax.tree.leaves(run)):
        run = jax.jit(lambda run: run, out_shardings=everywhere)(run)  # by all processes
    if experiment.analyze is None:
        return run, Analysis({})
    return run, experiment.analyze(run, validated | trained.scores, baselines)


def _with_metrics(trained: Trained, analysis: Analysis) -> Trained:
    """The run with the metrics of its analysis, NaN for seeds that were dropped."""
    dropped, scores = trained.result.dropped, dict(trained.scores)
    for name, values in analysis.metrics.items():
        scores[name] = np.full(len(values) + len(dropped), np.nan)
        scores[name][[i for i in range(len(scores[name])) if i not in dropped]] = values
    return trained._replace(scores=scores)


def _draw(
    experiment: Experiment, trained: Trained, run: loop.Run, analysis: Analysis, workdir: Path
) -> None:
    """The pictures: learning curves for all, the experiment's own, those of a sweep."""
    folder = workdir / "plots"
    if curves := report.read_metrics(workdir):
        plots.learning_curves(curves, folder / "learning_curves.png")
    if experiment.draw:
        experiment.draw(run, driver.healthy(trained.sums, trained.result.dropped), folder)
    if analysis.draw:
        analysis.draw(folder)
    if trained.chosen and "score" in trained.chosen.table[0]:
        sweep.draw(trained.chosen, folder / "sweep.png")


def restore(
    config: Config, task: loop.Task, placement: Placement, best: bool = True
) -> tuple[loop.Run, int]:
    """The run in config.workdir and its step: the best checkpoint, else the newest.

    Its states are those of the seeds that were not dropped; of a sweep, of the chosen members.
    """
    values, metadata = workdirs.written(Path(config.workdir))
    written, init_args, chosen = from_json(type(config), values), (), None
    if plan := sweep.parse(written):
        init_args = (plan.values(),)
        task = sweep_task.task(lambda values, made=task: made, task.spec)
        chosen = workdirs.chosen_members(config, metadata)["members"]
    like = loop.abstract_run(task, seeds(written), placement, init_args)
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
    if rest != list(range(len(run.keys))):
        states = jax.tree.map(lambda x: x[np.array(rest)], states)
    return run.replace(states=states), meta["step"]


def evaluate(
    config: Config,
    task: loop.Task,
    examples: Examples,
    *,
    data: str,
    headline: tuple[str, ...] = ("loss",),
    summarise: Callable[[loop.Sums], dict[str, np.ndarray]] = metrics.scalars,
    measure: Callable[[loop.Run], Mapping[str, np.ndarray]] | None = None,
    tables: Callable[[loop.Sums], Mapping[str, Rows]] | None = None,
) -> dict[str, Any]:
    """Scores the best checkpoint in config.workdir on other labelled examples; trains nothing.

    data: what the examples were read from. measure: further metrics [seeds]. Prints a line and
    writes workdir/evaluations/NAME.json; returns its content: data, step, and metrics as in
    summary.json. tables: as of `Experiment`, each NAME_TABLE.csv beside it.
    """
    placement = place("none")
    run, step = restore(config, task, placement)
    library = convolutions.choose(config, placement, Path(config.workdir)).library
    with native.library(library):
        sums = loop.evaluate(task, run, examples, placement)
        values = summarise(sums)
        values |= measure(run) if measure else {}
    described = {n: metrics.describe(x) for n, x in values.items() if np.ndim(x) == 1}
    found = {"data": data, "step": step, "metrics": described}
    path = workdirs.evaluation_path(config.workdir, data)
    write_json(path, found)
    for name, rows in (tables(sums) if tables else {}).items():
        write_csv(path.with_name(f"{path.stem}_{name}.csv"), rows)
    print(f"{data}: {text(described, headline)}; checkpoint of step {step}; {path}")
    return found


def saved(config: C) -> tuple[C, dict[str, Any]]:
    """The Config and the metadata of the run in config.workdir.

    Of the flags those count that are given and that the trained numbers do not depend on. Of a
    sweep, the Config of the chosen point; ValueError where none is chosen yet, or where the workdir
    holds a run of another experiment.
    """
    values, metadata = workdirs.written(Path(config.workdir))
    workdirs.check_name(config.name, config.workdir, metadata)
    now = {"workdir": config.workdir, "plots": config.plots}
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if not entry.metadata.get("resume", True) and value != entry.default:
            now[entry.name] = value
    found = from_json(type(config), {**values, **now})
    if sweep.parse(found):
        found = sweep.at(found, workdirs.chosen_members(found, metadata)["point"])
    return found, metadata


def experiment_name(workdir: str | Path) -> str:
    """The name of the experiment whose run is in `workdir`."""
    _, metadata = workdirs.written(Path(workdir))
    if "experiment" not in metadata:
        raise ValueError(
            f"metadata.json in {workdir} does not name its experiment, as older runs do not: "
            "start the run's command once more, which adds the name and trains nothing again"
        )
    return metadata["experiment"]


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str, wanted: Any) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    if wanted is not None:
        seconds[name] = time.perf_counter() - begin
