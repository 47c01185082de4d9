"""The results of the comparison: test accuracies, gains, a table, pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.augmentation.training import Trained
from dljax.apps.configs.gan_augmentation import Config
from dljax.data import feed
from dljax.data.images import EVALUATION_BATCH
from dljax.data.record import DataRecord
from dljax.data.record_kinds import images_record
from dljax.data.sources import Dataset
from dljax.data.sources.dataset import Arrays, subsample_per_class
from dljax.gan import sampling
from dljax.run.command_line import command
from dljax.run.config import to_json
from dljax.train import loop, metrics, report
from dljax.train.intervals import Interval, interval

GAINS = {"samples over alone": ("samples", "alone"), "both over standard": ("both", "standard")}
COMPARED = 500  # images whose nearest labelled image is searched
SHOWN = (3, 9)  # labelled and generated images of each class in a picture

Values = dict[str, dict[int, np.ndarray]]
Intervals = dict[str, dict[int, Interval]]


def test_accuracy(data: Dataset, chosen: Sequence[Trained]) -> Values:
    """Accuracies [S] on the test images: arm -> labelled images of a class -> of each seed."""
    accuracy: Values = {one.arm: {} for one in chosen}
    for one in chosen:
        test = feed.examples(data.test, EVALUATION_BATCH, one.placement.batch_multiple)
        sums = loop.evaluate(one.task, one.outcome.run, test, one.placement)
        accuracy[one.arm][one.labels] = metrics.scalars(sums)["accuracy"]
    return accuracy


def write(
    config: Config,
    data: Dataset,
    accuracy: Values,
    shares: dict[str, float],
    generated: dict[int, dict[int, Arrays]],
    summaries: Sequence[dict[str, Any]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Writes summary.json, the table and the pictures; returns the content of summary.json.

    accuracy: of `test_accuracy`. shares: the chosen ones. generated: labelled images of a class ->
    seed -> samples. summaries: of all the trainings.
    """
    spread = {
        arm: {n: interval(values, config.confidence) for n, values in points.items()}
        for arm, points in accuracy.items()
    }
    gained = {
        name: {
            n: interval(accuracy[arm][n] - accuracy[other][n], config.confidence)
            for n in config.labels
        }
        for name, (arm, other) in GAINS.items()
    }
    first, near = {}, {}
    for n in config.labels:
        first[n] = subsample_per_class(data.train["label"], n, config.seed)
        near[n] = nearness(data, first[n], generated[n][config.seed]["image"])
    lines = conclusions(gained)
    for n, x in near.items():
        lines.append(
            f"{n} labels: a sample's nearest labelled image is {x['samples']:.3f} away, "
            f"a real image's {x['real']:.3f}"
        )
    seconds = {
        name: sum(summary["seconds"][name] for summary in summaries)
        for name in summaries[0]["seconds"]
    }
    summary = report.summary(
        config.workdir,
        experiment=config.name,
        command=command(config, f"-m experiments.{config.name}"),
        commit=report.git_commit(),
        config=to_json(config),
        dataset=data.name,
        data=_record(data).report(),
        steps=config.steps,
        seconds=seconds,
        steps_per_second=sum(x["steps"] for x in summaries) / max(seconds["train"], 1e-9),
        metrics={f"accuracy_{arm}_{n}": x for arm, p in accuracy.items() for n, x in p.items()},
        baselines={},
        intervals=_as_lists(spread),
        gains=_as_lists(gained),
        shares=shares,
        nearest_labelled=near,
        notes=lines,
    )
    folder = Path(config.workdir) / "plots"
    if config.plots:
        plots.gains.gains(spread, gained, data.name, folder / "gains.png", config.confidence)
        for n in config.labels:
            _draw(data, first[n], generated[n][config.seed], folder / f"samples_{n}.png")
    for line in (*table(config, spread, gained), *lines):
        say(line)
    say(f"see {config.workdir}/summary.json and plots/")
    return summary


def _record(data: Dataset) -> DataRecord:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return images_record(parts, data.classes, data.left_out)


def conclusions(gained: Intervals) -> list[str]:
    """Whether each gain is significant, one line each."""
    lines = []
    for name, points in gained.items():
        for n, gain in points.items():
            meaning = "no significant difference"
            if gain.is_gain():
                meaning = "the samples help"
            if gain.is_loss():
                meaning = "the samples harm"
            lines.append(f"{n} labels, {name}: {_points(gain)} points: {meaning}")
    return lines


def table(config: Config, spread: Intervals, gained: Intervals) -> list[str]:
    """Test accuracy in per cent and gains in points, a column for each number of labels."""
    width = max(map(len, (*spread, *gained)))
    lines = [" " * width + "".join(f"{n:>22}" for n in config.labels)]
    for name, points in {**spread, **gained}.items():
        cells = (_points(x, sign=name in gained) for x in points.values())
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>22}" for cell in cells))
    return lines


def _points(x: Interval, sign: bool = True) -> str:
    form = "+.1f" if sign else ".1f"
    if not np.isfinite(x.low):
        return f"{100 * x.mean:{form}}"  # one seed
    return f"{100 * x.mean:{form}} [{100 * x.low:{form}}, {100 * x.high:{form}}]"


def _as_lists(intervals: Intervals) -> dict[str, dict[str, list[float]]]:
    return {
        name: {str(n): list(x) for n, x in points.items()} for name, points in intervals.items()
    }


def nearness(data: Dataset, labelled: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """Mean distance to the nearest labelled image: of samples, and of real validation images.

    Samples that are much nearer than real images are copies of what the GAN was trained on.
    """
    known = data.train["image"][labelled]
    parts = {"samples": generated, "real": data.validation["image"]}
    return {
        name: float(sampling.nearest(images[:COMPARED], known, 1).distance.mean())
        for name, images in parts.items()
    }


def _draw(data: Dataset, labelled: np.ndarray, generated: Arrays, path: Path) -> None:
    """Labelled and generated images of each class, of the first seed."""
    known = {name: x[labelled] for name, x in data.train.items()}
    sides = [
        sampling.by_class(part["image"], part["label"], len(data.classes), count)
        for part, count in zip((known, generated), SHOWN, strict=True)
    ]
    gap = np.full_like(sides[0][0][:1], 255)
    rows = [np.concatenate([left, gap, right]) for left, right in zip(*sides, strict=True)]
    title = f"{SHOWN[0]} labelled images (left) and {SHOWN[1]} samples of each class"
    plots.samples.named_rows(rows, data.classes, title, path)
