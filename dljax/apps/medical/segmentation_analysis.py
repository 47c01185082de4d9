"""The scores of a trained segmentation of medical images, of whole images in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax import plots
from dljax.cnn.medical import inference, structures, thresholds
from dljax.cnn.medical.sliding_window import Predict, segment
from dljax.cnn.medical.structures import Structure
from dljax.cnn.segmentation import segmenter
from dljax.data.sources.medical.preparation import Preparation
from dljax.data.sources.medical.volume import Volume, VolumeSet
from dljax.run.experiment import Analysis
from dljax.train.loop import Run, Sums
from dljax.train.metrics import describe

Scored = list[list[Structure]]  # of each image, of each class but the first

SHOWN = 4  # images in a picture


class Network(NamedTuple):
    """A segmentation network and the windows that it is given. mirror: axes of mirror images."""

    model: nn.Module
    patch: tuple[int, ...]
    overlap: float
    mirror: tuple[int, ...]


def summarise(sums: Sums, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Metrics [seeds] of Sums of patches; Dice is that of all voxels of a part together."""
    values = segmenter.summarise(sums)
    if "dice" in values:
        dice = values.pop("dice")[..., 1:]
        values["dice"] = np.nanmean(dice, -1)
        values |= {f"dice_{name}": dice[..., i] for i, name in enumerate(classes[1:])}
        for name in ("iou", "recall", "precision", "miou", "mean_dice", "mean_accuracy"):
            del values[name]
    return values


def simple(data: VolumeSet, preparation: Preparation) -> dict[str, dict[str, float]]:
    """Grey levels alone, and the background alone, on the test part.

    The levels are scaled as the network's and looked up in the training images; or, as an upper
    limit of every threshold, in the labels of the test image itself. Voxels are those of the files.
    """
    prepared, classes = preparation._replace(spacing=()), len(data.classes)
    train, test = data.parts["train"], data.parts["test"]
    learned = thresholds.fit([prepared.image(v) for v in train], [v.label for v in train], classes)

    def own(volume: Volume) -> np.ndarray:
        image = prepared.image(volume)
        return thresholds.fit([image], [volume.label], classes)(image)

    methods = {
        "grey levels of train": lambda volume: learned(prepared.image(volume)),
        "grey levels of the test image's own labels": own,
        f"all {data.classes[0]}": lambda volume: np.zeros(volume.sides(), np.uint8),
    }
    found = {}
    for name, method in methods.items():
        scored = [
            structures.score_classes(v.label, method(v), classes, v.spacing(), surfaces=False)
            for v in test
        ]
        found[name] = {n: float(x[0]) for n, x in metrics([scored], data.classes).items()}
    return found


def metrics(every: Sequence[Scored], classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Metrics [seeds] of the scores of each seed: means over images, then over classes."""
    by_class = [structures.means(scored) for scored in every]
    found = {
        name: np.array([_mean(means[name]) for means in by_class]) for name in structures.SCORES
    }
    found |= {
        f"dice_{name}": np.array([means["dice"][i] for means in by_class])
        for i, name in enumerate(classes[1:])
    }
    return {name: values for name, values in found.items() if not np.isnan(values).all()}


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def predictor(network: Network, states: Any) -> Predict:
    """The compiled function windows [B, *patch, C] -> probabilities, the mean over states."""
    function = jax.jit(inference.answer(network.model, network.mirror))
    return lambda x: np.asarray(function(states, {"image": x})["probability"])


def labelled(
    network: Network, predict: Predict, volume: Volume, preparation: Preparation, classes: int
) -> np.ndarray:
    """Class ids uint8 [*sides] of a volume, in its own voxels."""
    image = preparation.image(volume)
    found = segment(predict, image, network.patch, network.overlap, classes)
    return preparation.back(found, volume)


def score_seeds(
    network: Network,
    run: Run,
    volumes: Sequence[Volume],
    preparation: Preparation,
    classes: Sequence[str],
) -> list[Scored]:
    """The scores of each seed, of each volume, of each class."""
    count = len(jax.tree.leaves(run.states)[0])
    every = []
    for seed in range(count):
        one = jax.tree.map(lambda x, seed=seed: x[seed : seed + 1], run.states)
        predict = predictor(network, one)
        every.append(
            [
                structures.score_classes(
                    v.label,
                    labelled(network, predict, v, preparation, len(classes)),
                    len(classes),
                    v.spacing(),
                )
                for v in volumes
            ]
        )
    return every


def analyze(
    network: Network,
    run: Run,
    volumes: Sequence[Volume],
    preparation: Preparation,
    classes: Sequence[str],
) -> Analysis:
    """Whole test images: scores of each seed, structures by state, volumes, pictures."""
    every = score_seeds(network, run, volumes, preparation, classes)
    tables = {
        name: {
            **{
                score: describe(np.array([structures.means(s)[score][i] for s in every]))
                for score in structures.SCORES
            },
            "states": [structures.states(s)[i] for s in every],
            "true_ml": [row[i].true_ml for row in every[0]],
            "predicted_ml": [[row[i].predicted_ml for row in s] for s in every],
        }
        for i, name in enumerate(classes[1:])
    }
    lines = []
    for name, table in tables.items():
        counts = {k: sum(s[k] for s in table["states"]) for k in ("missed", "invented", "absent")}
        if any(counts.values()):
            said = ", ".join(f"{k} {n}" for k, n in counts.items() if n)
            lines.append(f"{name}, not in all means: {said} (over images and seeds)")

    def draw(folder: Path) -> None:
        predict = predictor(network, run.states)
        worst = sorted(range(len(volumes)), key=lambda i: _dice(every, i))[:SHOWN]
        found = [labelled(network, predict, volumes[i], preparation, len(classes)) for i in worst]
        plots.volumes.slices(
            [volumes[i].image for i in worst],
            [volumes[i].label for i in worst],
            found,
            [f"{Path(volumes[i].name).name}: Dice {_dice(every, i):.3f}" for i in worst],
            classes,
            folder / "worst.png",
        )
        distances = {
            name: np.concatenate(
                [
                    _distances(volumes[i], guess, number)
                    for i, guess in zip(worst, found, strict=True)
                ]
            )
            for number, name in enumerate(classes[1:], 1)
        }
        unit = "mm" if len(volumes[0].sides()) == 3 else "pixels"
        plots.volumes.distance_histogram(distances, unit, folder / "surface_distances.png")

    return Analysis(
        {"structures": tables}, tuple(lines), metrics=metrics(every, classes), draw=draw
    )


def _dice(every: Sequence[Scored], image: int) -> float:
    """The mean Dice of an image over seeds and classes; 1 where it has no structure."""
    known = [x.dice for scored in every for x in scored[image] if x.dice is not None]
    return float(np.mean(known)) if known else 1.0


def _distances(volume: Volume, found: np.ndarray, number: int) -> np.ndarray:
    """Distances between true and predicted surface; none where one is empty."""
    truth, guess = volume.label == number, found == number
    if not truth.any() or not guess.any():
        return np.zeros(0)
    return np.concatenate(structures.surface_distances(truth, guess, volume.spacing()))
