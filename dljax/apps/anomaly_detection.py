"""Online anomaly detection in time series: each row is scored by a model of the rows before it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.configs.anomaly_detection import Config
from dljax.data.anomaly_series import Labelled, mask
from dljax.data.record_kinds import corpus_record
from dljax.data.sources.anomaly_corpora import Corpus, Reading, load_labelled
from dljax.nn.recurrent import layers
from dljax.rnn.anomaly import (
    baseline_detectors,
    detection_metrics,
    detector,
    nab,
    prequential,
    thresholding,
)
from dljax.rnn.anomaly.detection_metrics import Detections
from dljax.rnn.anomaly.thresholding import Rules
from dljax.run import optimizer, session, workdirs
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train import driver, loop, metrics
from dljax.train.files import write_csv, write_json
from dljax.train.loop import Run, Sums

PICTURES = 12  # series drawn, at most
COLUMNS = ("series", "time", "row", "value", "surprise")  # of detections
HEADLINE = ("nab_standard", "vus_pr", "loss")
DETECTORS = {"forecast": detector.forecaster, "autoencoder": detector.autoencoder}


def rules(config: Config) -> Rules:
    """The settings of thresholding."""
    return thresholding.Rules(alarm=config.alarm, rest=config.rest)


def build(config: Config) -> Experiment:
    """The corpus, the networks and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    return experiment(config, read(config, config.dataset))


def read(config: Config, dataset: str) -> Corpus:
    """The corpus of a data set, read as the flags say."""
    return load_labelled(
        dataset,
        targets=config.target,
        labels=config.labels,
        seed=config.seed,
        reading=Reading(config.time, config.series, config.decimal, config.missing),
    )


def experiment(config: Config, read: Corpus) -> Experiment:
    """The Experiment of a corpus."""
    corpus = read.series
    placement = session.placement(config, 0)  # series, not windows, are split over devices
    stacked = prequential.stack(corpus, placement.batch_multiple)
    clock = prequential.Clock(config.steps)
    layer = getattr(layers, config.cell.upper())
    networks = DETECTORS[config.detector](config.features, config.depth, layer)
    labelled, settings = detection_metrics.labelled(corpus), rules(config)

    @functools.cache
    def known() -> list[list[np.ndarray]]:
        return detection_metrics.by_values(corpus, settings)

    def detect(errors: np.ndarray) -> Detections:
        return detection_metrics.from_errors(known(), errors, stacked.scale, settings)

    def summarise(sums: Sums) -> dict[str, np.ndarray]:
        values = metrics.scalars(sums)
        if labelled and "errors" in sums:
            each = [
                detection_metrics.scores(corpus, detect(errors), config.alarm)
                for errors in metrics.ratios({"errors": sums["errors"]})["errors"]
            ]
            values |= {name: np.array([one[name] for one in each]) for name in each[0]}
        return values

    def analyze(run: Run, values: dict[str, np.ndarray], baselines: dict[str, Any]) -> Analysis:
        found = detect(np.asarray(run.states.errors[0]))
        return analysis(config, corpus, found, values, baselines)

    rows = sum(len(series.values) for series in corpus)
    windows = sum(len(series.windows or ()) for series in corpus)
    return Experiment(
        name=config.name,
        dataset=f"{config.dataset}: {len(corpus)} series, {rows} rows, "
        + (f"{windows} labelled windows" if labelled else "no labels"),
        task=lambda config: detector.task(
            networks, optimizer.transformation(config), *stacked.targets.shape
        ),
        feed=prequential.feed(stacked, clock, config.batch_size, config.window),
        placement=placement,
        headline=HEADLINE,
        data=corpus_record(corpus, read.zone),
        test=prequential.examples(len(corpus), 64, placement.batch_multiple),
        summarise=summarise,
        metadata={"series": [series.name for series in corpus]},
        notes=read.notes,
        baselines=(lambda: baselines(corpus, known(), settings))
        if labelled and config.baselines
        else None,
        analyze=analyze,
    )


def baselines(
    corpus: Sequence[Labelled], known: Sequence[Sequence[np.ndarray]], settings: Rules
) -> dict[str, dict[str, float]]:
    """The metrics of detectors without a network on a labelled corpus.

    known: the surprises of each series by its levels, then by its shapes.
    """
    result = {}
    for name, baseline in baseline_detectors.DETECTORS.items():
        each = [baseline(series) for series in corpus]
        result[name] = detection_metrics.scores(corpus, Detections(each, each))
    levels = [each[: len(settings.levels)] for each in known]
    for name, part in {"levels": levels, "levels and shapes": known}.items():
        found = detection_metrics.from_surprises(part, settings)
        scored = detection_metrics.scores(corpus, found, settings.alarm)
        result[f"{name}, no network"] = scored
    return result


def analysis(
    config: Config,
    corpus: Sequence[Labelled],
    found: Detections,
    values: Mapping[str, np.ndarray],
    baselines: Mapping[str, Mapping[str, float]],
) -> Analysis:
    """Detections of the first seed, scores by group, and the baselines that are better."""
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
    path = Path(config.workdir) / "predictions" / "detections.csv"
    write_csv(path, rows, COLUMNS)
    lines += (f"{len(rows)} detections in {path}",)
    return Analysis(findings, lines, draw=lambda folder: draw(corpus, found, threshold, folder))


def detections(
    corpus: Sequence[Labelled], found: Detections, threshold: float
) -> list[dict[str, Any]]:
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


def draw(corpus: Sequence[Labelled], found: Detections, threshold: float, folder: Path) -> None:
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
    """Trains on the corpus while reading it, in config.workdir, or continues there."""
    return session.train(config, build)


def read_new(config: Config, path: str) -> tuple[Config, Corpus]:
    """The Config of the run in config.workdir, with the alarm of `config`, and another corpus."""
    corpus = read(config, path)
    for note in corpus.notes:
        print(note)
    saved, _ = session.saved(config)
    return dataclasses.replace(saved, alarm=config.alarm, rest=config.rest), corpus


def learn(config: Config, parts: Experiment) -> Run:
    """Trains on a corpus while reading it, and leaves nothing in the workdir."""
    return driver.train(
        parts.task(config),
        parts.feed,
        steps=config.steps,
        seeds=session.seeds(config),
        placement=parts.placement,
        steps_per_call=config.steps_per_call,
    ).run


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Detects anomalies in a new CSV with the settings of the run in config.workdir.

    A network belongs to its series, so new ones are trained online in the same way. Writes
    predictions/NAME.csv and pictures; returns the detections.
    """
    folder = workdirs.predictions_folder(config.workdir, path)
    config, found = read_new(config, path)
    config = dataclasses.replace(config, num_seeds=1)
    run, corpus = learn(config, experiment(config, found)), found.series
    settings = rules(config)
    found = detection_metrics.from_errors(
        detection_metrics.by_values(corpus, settings),
        np.asarray(run.states.errors[0]),
        prequential.stack(corpus).scale,
        settings,
    )
    rows = detections(corpus, found, config.alarm)
    target = folder / f"{Path(path).stem}.csv"
    write_csv(target, rows, COLUMNS)
    if config.plots:
        draw(corpus, found, config.alarm, target.parent)
    for row in rows:
        print(f"{row['series']} {row['time']}: {row['value']:g} (surprise {row['surprise']:.1f})")
    print(f"{len(rows)} detections in {target}")
    return rows


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the settings of the run in config.workdir on another labelled corpus.

    Networks are trained online on its series, as in `predict`, with the seeds of the run. Prints a
    line and writes workdir/evaluations/NAME.json; returns its content. Raises ValueError for a
    corpus without labels.
    """
    config, corpus = read_new(config, dataset)
    if not detection_metrics.labelled(corpus.series):
        raise ValueError(f"{dataset} has no labelled anomalies: name their column with --labels")
    parts = experiment(config, corpus)
    run = learn(config, parts)
    sums = loop.evaluate(parts.task(config), run, parts.test, parts.placement)
    values = {name: metrics.describe(x) for name, x in parts.summarise(sums).items()}
    result = {"data": dataset, "step": config.steps, "metrics": values}
    label = dataset.removeprefix("nab:").removesuffix(".csv")
    path = workdirs.evaluation_path(config.workdir, dataset, label)
    write_json(path, result)
    shown = ", ".join(f"{name} {values[name]['mean']:.4f}" for name in HEADLINE)
    print(f"{dataset}: {shown}; {path}")
    return result


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
