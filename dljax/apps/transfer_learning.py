"""Transfer learning: a pretrained network, a few labelled images, and what the pretraining buys."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.configs.transfer_learning import Config
from dljax.apps.transfer.target import Target, yardsticks
from dljax.data.sources import read_images
from dljax.plots.transfer import accuracy_by_labels
from dljax.run import session
from dljax.train import export, report
from dljax.train.export import Serving

PICTURES = 20  # of predictions drawn, at most


def train(config: Config, target: Target | None = None) -> dict[str, Any]:
    """Trains one method, or compares several; the content of summary.json.

    target: the data, where they have been prepared before.
    """
    target = target or transfer_target.prepare(config)
    runs = list(itertools.product(config.method, config.shots))
    if len(runs) == 1:
        return session.train(config, adaptation.build(config, target)).summary
    summaries = {}
    for method, shots in runs:
        folder = Path(config.workdir) / f"{method}-{shots}"
        one = replace(config, method=(method,), shots=(shots,), workdir=str(folder))
        one = replace(one, plots=False, baselines=False)  # of all runs together, at the end
        summaries[method, shots] = train(one, target)
    return _compared(config, target, summaries)


def _compared(
    config: Config, target: Target, summaries: dict[tuple[str, int], dict[str, Any]]
) -> dict[str, Any]:
    """The table and the figure of several runs."""
    curves = {
        method: {
            shots: np.array(summaries[method, shots]["metrics"]["accuracy"]["per_seed"])
            for shots in config.shots
        }
        for method in config.method
    }
    simple: dict[str, dict[int, Any]] = {}
    for shots in config.shots if config.baselines else ():
        for name, accuracies in yardsticks(target, config, shots).items():
            simple.setdefault(name, {})[shots] = accuracies
    every = list(summaries.values())
    seconds = {
        name: sum(summary["seconds"].get(name, 0) for summary in every)
        for name in every[0]["seconds"]
    }
    summary = report.summary(
        config.workdir,
        experiment="transfer_learning",
        config=base.to_json(config),
        dataset=target.name,
        steps=config.steps,
        seconds=seconds,
        steps_per_second=sum(s["steps"] for s in every) / max(seconds["train"], 1e-9),
        metrics={
            f"accuracy_{method}_{shots}": values
            for method, points in curves.items()
            for shots, values in points.items()
        },
        baselines={
            f"{name}, {shots}": {"accuracy": float(values.mean()), "std": float(_std(values))}
            for name, points in simple.items()
            for shots, values in points.items()
        },
    )
    if config.plots:
        title = f"{target.name}\nfrom {target.source.name}"
        path = Path(config.workdir) / "plots" / "labels.png"
        accuracy_by_labels(curves, simple, title, path)
    if not config.quiet:
        print(_table(config, curves | simple))
    return summary


def _std(values: Any) -> float:
    return values.std(ddof=1) if len(values) > 1 else 0.0


def _table(config: Config, rows: dict[str, dict[int, Any]]) -> str:
    """Accuracy in per cent with the deviation over seeds, a row a method, a column a number."""
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{shots:>14}" for shots in config.shots)]
    for name, points in rows.items():
        cells = [f"{100 * v.mean():.1f} ± {100 * _std(v):.1f}" for v in points.values()]
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def serving(config: Config) -> Serving:
    """What the run in config.workdir (method=none: the source) answers an image with."""
    if config.method == ("none",):
        return transfer_use.source_serving(config)
    return transfer_use.serving(config)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images; writes predictions.csv and some pictures.

    Returns a dict an image: file, label, probability, and its five most probable classes.
    """
    model = serving(config)
    height, width, channels = model.inputs["image"].shape
    classes = model.outputs["probability"].names
    cut = transfer_use.cut(config)
    size = None if cut else (height, width)
    images = read_images(path, size=size, channels=channels, cut=cut)
    for skipped in images.skipped:
        print(f"skipped: {skipped}")
    p = export.answers(model, {"image": images.images})["probability"]
    rows = []
    for name, q in zip(images.names, p, strict=True):
        best = (-q).argsort(kind="stable")[:5]
        rows.append(
            {"file": name, "label": classes[best[0]], "probability": round(float(q[best[0]]), 6)}
            | {"top_5": "; ".join(f"{classes[i]} {q[i]:.3f}" for i in best)}
        )
    folder = Path(config.workdir) / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for number, (row, image, q) in enumerate(zip(rows, images.images, p, strict=True)):
        print(f"{row['file']}: {row['top_5']}")
        if config.plots and number < PICTURES:
            best = (-q).argsort(kind="stable")[:10]
            picture = folder / f"{number:02d}_{Path(row['file']).stem}.png"
            plots.prediction(image, [classes[i] for i in best], q[best], picture)
    print(f"{folder}/predictions.csv")
    return rows


def run(config: Config) -> None:
    """What the command line does."""
    if config.features:
        transfer_use.write_features(config)
    elif config.predict:
        predict(config, config.predict)
    else:
        train(config)
