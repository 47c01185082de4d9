"""Transfer learning: a pretrained network, a few labelled images, and what the pretraining buys.

    python -m experiments.transfer_learning                      # printed letters to digits
    python -m experiments.transfer_learning --source=NAME --dataset=FOLDER
    python -m experiments.transfer_learning --source=WORKDIR --method=full --shots=10
    python -m experiments.transfer_learning --predict=IMAGE --workdir=runs/transfer_learning/full-10
    python -m experiments.transfer_learning --source=NAME --method=none --predict=IMAGE
    python -m experiments.transfer_learning --source=NAME --features=OUT.npz

One method and one number of shots make a run in the workdir. Several are compared: each is a run in
a folder of its own below it, and the figure shows test accuracy against labelled images a class.
Each seed draws its own labelled images. Results of each command: README.
"""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import base, optimization

if TYPE_CHECKING:
    from dljax.train.export import Serving
    from experiments.transfer_target import Target

METHODS = ("scratch", "probe", "full", "lwlr", "lora")
PICTURES = 20  # of predictions drawn, at most


@dataclass(frozen=True, kw_only=True)
class Config(optimization.Config):
    """The flags of transfer learning; the defaults compare three methods on digits."""

    workdir: str = base.field(
        "runs/transfer_learning", "folder of the run", path=True, resume=False
    )
    dataset: str = base.field(
        "digits", "digits, letters, tfds:NAME, a folder, or a MedMNIST .npz", path=True
    )
    source: str = base.field(
        "letters",
        "what is pretrained: a workdir of image_classification, the name of a package's weights, a "
        "file, hf:REPOSITORY; or trained here: on printed letters, or (first_half) on the first "
        "half of the target's classes, to be adapted to the others",
        path=True,
    )
    architecture: str = base.field(
        "", "of the source, where a file of weights does not tell (resnet18, ...)"
    )
    method: tuple[str, ...] = base.field(
        ("scratch", "probe", "full"),
        "what is trained: all from random weights, the last layer on frozen features, all, all at "
        "layer-wise rates, low-rank adapters; none: nothing, to use the source as it is",
        choices=(*METHODS, "none"),
    )
    shots: tuple[int, ...] = base.field(
        (1, 2, 5, 10, 20), "labelled images of each class", minimum=1
    )
    num_seeds: int = base.field(5, "seeds trained in one program", minimum=1)
    steps: int = base.field(100, "training steps", minimum=1)
    batch_size: int = base.field(32, "examples in a step; at most all labelled ones", minimum=1)
    learning_rate: float = base.field(
        0.0, "highest learning rate of the schedule; 0: the method's own", minimum=0
    )

    image_size: int = base.field(
        0, "height and width of the images; 0: as in pretraining", minimum=0
    )
    channels: int = base.field(
        0, "of the images (1 or 3), the first layer is fitted; 0: as in pretraining",
        choices=(0, 1, 3),
    )  # fmt: skip
    batch_norm: str = base.field(
        "auto",
        "statistics of pretrained BatchNorms in training; auto: trained for a source "
        "that was trained here",
        choices=("auto", "frozen", "trained"),
    )
    head: str = base.field(
        "auto", "the new last layer starts at a linear probe, or at random; auto: at random for "
        "a source that was trained here", choices=("auto", "probe", "random"),
    )  # fmt: skip
    layer_decay: float = base.field(
        0.7, "lwlr: learning rate of a layer over that of the next", minimum=0, maximum=1
    )
    unfreeze: int = base.field(
        0, "steps after which one more layer learns, the last one first; 0: all at once", minimum=0
    )
    l2_sp: float = base.field(
        0.0, "pull to the pretrained weights, in place of weight decay", minimum=0
    )
    rank: int = base.field(4, "lora: of the adapters", minimum=1)
    crop: int = base.field(0, "random crop: pixels of padding", minimum=0)
    flip: bool = base.field(False, "random mirror images")
    label_smoothing: float = base.field(
        0.0, "share of the target that is uniform", minimum=0, maximum=1
    )
    validation: int = base.field(
        0, "images of each class, labelled too, to watch and choose by; 0: none", minimum=0
    )
    test_images: int = base.field(0, "test images, a fixed choice; 0: all", minimum=0)
    baselines: bool = base.field(True, "score scikit-learn's simple methods too", resume=False)
    features: str = base.field(
        "", "file.npz to write the features to, of the data set or of --predict", path=True,
        resume=False,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.sweep:
            raise ValueError("sweep is not offered here: make a run for each value")
        if not self.method or not self.shots:
            raise ValueError("method and shots need a value each, or several")
        if "none" in self.method and not (self.predict or self.features):
            raise ValueError("method=none trains nothing: it goes with --predict or --features")


def train(config: Config, target: Target | None = None) -> dict[str, Any]:
    """Trains one method, or compares several; the content of summary.json.

    target: the data, where they have been prepared before.
    """
    from experiments import adaptation, session, transfer_target

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
    import numpy as np

    from dljax.plots.transfer import accuracy_by_labels
    from dljax.train import report
    from experiments.transfer_target import yardsticks

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
    from experiments import transfer_use

    if config.method == ("none",):
        return transfer_use.source_serving(config)
    return transfer_use.serving(config)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images; writes predictions.csv and some pictures.

    Returns a dict an image: file, label, probability, and its five most probable classes.
    """
    from dljax import plots
    from dljax.data.sources import read_images
    from dljax.train import export
    from experiments import transfer_use

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
        from experiments import transfer_use

        transfer_use.write_features(config)
    elif config.predict:
        predict(config, config.predict)
    else:
        train(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
