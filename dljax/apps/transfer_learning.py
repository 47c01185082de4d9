"""Transfer learning: adapts a pretrained network to a few labelled images of each class."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps import image_prediction
from dljax.apps.configs.transfer_learning import Config
from dljax.apps.transfer import inference, methods
from dljax.apps.transfer import target as targets
from dljax.apps.transfer.target import Target, feature_baselines
from dljax.run import session
from dljax.run.command_line import command
from dljax.run.config import to_json
from dljax.run.experiment import Experiment, Outcome
from dljax.train import report
from dljax.train.export import Serving


def train(config: Config, target: Target | None = None, *, show_data: bool = True) -> Outcome:
    """Trains one method, or compares several.

    target: the data, where they have been prepared before.
    show_data: prints the summary of the data before training.
    """
    runs = list(itertools.product(config.method, config.shots))
    if len(runs) == 1:

        def build(config: Config) -> Experiment:
            return methods.build(config, target or targets.prepare(config))

        return session.train(config, build, show_data=show_data)
    target, summaries = target or targets.prepare(config), {}
    for number, (method, shots) in enumerate(runs):
        folder = Path(config.workdir) / f"{method}-{shots}"
        one = replace(config, method=(method,), shots=(shots,), workdir=str(folder))
        one = replace(one, plots=False, baselines=False)  # of all runs together, at the end
        summaries[method, shots] = train(one, target, show_data=number == 0).summary
    return Outcome(None, {}, _compare(config, target, summaries))


def _compare(
    config: Config, target: Target, summaries: dict[tuple[str, int], dict[str, Any]]
) -> dict[str, Any]:
    """The table and the figure of several runs, and their common summary.json."""
    curves = {
        method: {
            shots: np.array(summaries[method, shots]["metrics"]["accuracy"]["per_seed"])
            for shots in config.shots
        }
        for method in config.method
    }
    baselines: dict[str, dict[int, np.ndarray]] = {}
    for shots in config.shots if config.baselines else ():
        for name, accuracies in feature_baselines(target, config, shots).items():
            baselines.setdefault(name, {})[shots] = accuracies
    every = list(summaries.values())
    seconds = {
        name: sum(summary["seconds"].get(name, 0) for summary in every)
        for name in every[0]["seconds"]
    }
    summary = report.summary(
        config.workdir,
        experiment=config.name,
        command=command(config, f"-m experiments.{config.name}"),
        commit=report.git_commit(),
        config=to_json(config),
        dataset=target.name,
        data=target.record.report(),
        steps=config.steps,
        seconds=seconds,
        steps_per_second=sum(s["steps"] for s in every) / max(seconds["train"], 1e-9),
        metrics={
            f"accuracy_{method}_{shots}": values
            for method, points in curves.items()
            for shots, values in points.items()
        },
        baselines={
            f"{name}, {shots}": {"accuracy": float(values.mean()), "std": _std(values)}
            for name, points in baselines.items()
            for shots, values in points.items()
        },
    )
    if config.plots:
        title = f"{target.name}\nfrom {target.source.name}"
        path = Path(config.workdir) / "plots" / "labels.png"
        plots.transfer.accuracy_by_labels(curves, baselines, title, path)
    if not config.quiet:
        print(_table(config, curves | baselines))
    return summary


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _table(config: Config, rows: dict[str, dict[int, np.ndarray]]) -> str:
    """Accuracy in per cent with the deviation over seeds, a row a method, a column a number."""
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{shots:>14}" for shots in config.shots)]
    for name, points in rows.items():
        cells = [f"{100 * v.mean():.1f} ± {100 * _std(v):.1f}" for v in points.values()]
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def serving(config: Config) -> Serving:
    """The classifier of the run in config.workdir, or with method=none the source itself."""
    if config.method == ("none",):
        return inference.source_serving(config)
    return inference.serving(config)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images; writes workdir/predictions/.

    Returns a dict an image: file, label, probability, and its five most probable classes.
    """
    cut = inference.cut(config)
    workdir = Path(config.workdir)
    return image_prediction.predict(serving(config), path, workdir, config.plots, cut)


def run(config: Config) -> None:
    """What the command line does."""
    if config.features:
        inference.write_features(config)
    elif config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        inference.evaluate(config, config.evaluate)
    else:
        train(config)
