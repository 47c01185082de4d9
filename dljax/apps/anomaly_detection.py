"""Anomalies in time series, found online: each row is judged by the rows before it."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.configs.anomaly_detection import Config
from dljax.data.anomaly_series import Labelled, mask
from dljax.data.sources.anomaly_corpora import load_labelled
from dljax.nn.recurrent import layers
from dljax.rnn.anomaly import (
    baseline_detectors,
    detection_metrics,
    detector,
    nab,
    prequential,
    thresholding,
)
from dljax.rnn.anomaly.detection_metrics import Found
from dljax.rnn.anomaly.thresholding import Rules
from dljax.run import session, sweep
from dljax.run.session import Conclusion, Experiment, Outcome
from dljax.train import driver, metrics
from dljax.train.parallel import place

PICTURES = 12  # series drawn, at most


def rules(config: Config) -> Rules:
    """When an alarm is raised."""
    return thresholding.Rules(alarm=config.alarm, rest=config.rest)


def build(config: Config) -> Experiment:
    """The corpus, the networks and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    corpus, notes = load_labelled(
        config.dataset,
        time=config.time,
        targets=config.target,
        labels=config.labels,
        seed=config.seed,
    )
    return experiment(config, corpus, notes)


def experiment(
    config: Config, corpus: Sequence[Labelled], notes: tuple[str, ...] = ()
) -> Experiment:
    """The Experiment of a corpus."""
    placement = place(
        config.parallel, num_seeds=sweep.count(config), vectorize_seeds=config.vectorize_seeds
    )
    stacked = prequential.stack(corpus, placement.batch_multiple)
    clock = prequential.Clock(config.steps)
    judge = {"forecast": detector.forecaster, "autoencoder": detector.autoencoder}[config.detector]
    judge = judge(config.features, config.depth, getattr(layers, config.cell.upper()))
    labelled, settings = detection_metrics.labelled(corpus), rules(config)

    def found(errors: np.ndarray) -> Found:
        return detection_metrics.from_errors(corpus, errors, stacked.scale, settings)

    def summarise(sums: Any) -> dict[str, np.ndarray]:
        values = metrics.scalars(sums)
        if labelled and "errors" in sums:
            each = [
                detection_metrics.scores(corpus, found(errors), config.alarm)
                for errors in metrics.ratios({"errors": sums["errors"]})["errors"]
            ]
            values |= {name: np.array([one[name] for one in each]) for name in each[0]}
        return values

    def conclude(run: Any, values: dict, baselines: dict) -> Any:
        return conclusion(
            config, corpus, found(np.asarray(run.states.errors[0])), values, baselines
        )

    rows = sum(len(series.values) for series in corpus)
    windows = sum(len(series.windows or ()) for series in corpus)
    return Experiment(
        name="anomaly_detection",
        dataset=f"{config.dataset}: {len(corpus)} series, {rows} rows, "
        + (f"{windows} labelled windows" if labelled else "no labels"),
        task=lambda config: detector.task(
            judge, optimization.transformation(config), *stacked.targets.shape
        ),
        feed=prequential.feed(stacked, clock, config.batch_size, config.window),
        placement=placement,
        test=prequential.examples(len(corpus), 64, placement.batch_multiple),
        summarise=summarise,
        facts={"series": [series.name for series in corpus]},
        notes=notes,
        baselines=(lambda: baselines(corpus, settings)) if labelled and config.baselines else None,
        conclude=conclude,
    )


def baselines(corpus: Sequence[Labelled], settings: Rules) -> dict[str, dict[str, float]]:
    """The scores of detectors without a network on a labelled corpus."""
    result = {}
    for name, detector in baseline_detectors.DETECTORS.items():
        each = [detector(series) for series in corpus]
        result[name] = detection_metrics.scores(corpus, detection_metrics.Found(each, each))
    found = baseline_detectors.levels(corpus, settings)
    result["levels, no network"] = detection_metrics.scores(corpus, found, settings.alarm)
    return result


def conclusion(
    config: Config, corpus: Sequence[Labelled], found: Found, values: dict, baselines: dict
) -> Any:
    """Detections of the first seed, scores by group, and whether a baseline wins."""
    threshold, findings, lines = config.alarm, {}, ()
    if detection_metrics.labelled(corpus):
        standard = nab.PROFILES["standard"]
        threshold = min(nab.score(corpus, found.score, standard)[1], 1e9)
        findings["threshold"] = threshold
        findings["groups"] = {
            name: detection_metrics.by_group(corpus, found.score, profile)
            for name, profile in nab.PROFILES.items()
        }
        for name, scored in baselines.items():
            better = [p for p in nab.PROFILES if scored[f"nab_{p}"] >= values[f"nab_{p}"].mean()]
            if better:
                lines += (f"{name} has the better NAB score: {', '.join(better)}",)
    rows = detections(corpus, found, threshold)
    findings["detections"] = len(rows)
    folder = Path(config.workdir) / "predictions"
    write(rows, folder / "detections.csv")
    lines += (f"{len(rows)} detections in {folder}/detections.csv",)
    return Conclusion(findings, lines, draw=lambda plots: draw(corpus, found, threshold, plots))


def detections(corpus: Sequence[Labelled], found: Found, threshold: float) -> list[dict[str, Any]]:
    """A dict for each detection: series, time, row, value, surprise, and in_window if labelled."""
    rows = []
    for series, score in zip(corpus, found.score, strict=True):
        inside = None if series.windows is None else mask(series.windows, len(score))
        for row in np.flatnonzero(score >= threshold):
            entry = {
                "series": series.name, "time": str(series.time[row]), "row": int(row),
                "value": float(series.values[row]), "surprise": round(float(score[row]), 4),
            }  # fmt: skip
            rows.append(entry if inside is None else {**entry, "in_window": int(inside[row])})
    return rows


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Rows as a CSV; without any, its header alone."""
    names = list(rows[0]) if rows else ["series", "time", "row", "value", "surprise"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def draw(corpus: Sequence[Labelled], found: Found, threshold: float, folder: Path) -> None:
    """Pictures of some series, evenly taken from the corpus."""
    for i in range(0, len(corpus), -(-len(corpus) // PICTURES)):
        series = corpus[i]
        plots.detections(
            series.name, series.time, series.values, found.surprise[i],
            found.score[i] >= threshold, threshold,
            folder / f"{i:02d}_{series.name.replace('/', '_').removesuffix('.csv')}.png",
            windows=series.windows,
            probation=0 if series.windows is None else nab.probation(len(series.values)),
        )  # fmt: skip


def train(config: Config) -> Outcome:
    """Reads the corpus in config.workdir, or continues there."""
    return session.train(config, build(config))


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Runs the detector of config.workdir over a new CSV, with its settings and its alarm.

    A network belongs to its series, so the new ones are learned online as the run's were. Writes
    predictions/NAME.csv and pictures; returns the detections.
    """
    new = config
    config, _ = session.saved(config)
    config = dataclasses.replace(config, num_seeds=1, alarm=new.alarm, rest=new.rest)
    corpus, notes = load_labelled(path, time=new.time, targets=new.target, labels=new.labels)
    for note in notes:
        print(note)
    parts = experiment(config, corpus)
    result = driver.train(
        parts.task(config), parts.feed, steps=config.steps, seeds=session.seeds(config),
        placement=parts.placement,
    )  # fmt: skip
    scale = prequential.stack(corpus).scale
    errors = np.asarray(result.run.states.errors[0])
    found = detection_metrics.from_errors(corpus, errors, scale, rules(config))
    rows = detections(corpus, found, config.alarm)
    folder = Path(config.workdir) / "predictions"
    write(rows, folder / f"{Path(path).stem}.csv")
    if config.plots:
        draw(corpus, found, config.alarm, folder)
    for row in rows:
        print(f"{row['series']} {row['time']}: {row['value']:g} (surprise {row['surprise']:.1f})")
    print(f"{len(rows)} detections in {folder}/{Path(path).stem}.csv")
    return rows


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    else:
        train(config)
