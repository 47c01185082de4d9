"""What a trained segmentation network reaches beside the scores of its confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from dljax.cnn.segmentation import baselines, inspection, segmentation_metrics, segmenter
from dljax.cnn.segmentation.inspection import THRESHOLDS, Review
from dljax.cnn.segmentation.segmenter import Views
from dljax.data import annotated, feed
from dljax.data.annotated import AnnotatedImages
from dljax.data.feed import MASK, Examples
from dljax.data.image_scaling import Normalize
from dljax.run.experiment import Analysis
from dljax.train.loop import Run, Sums
from dljax.train.metrics import describe

LOOKED_AT = 500  # images whose boundaries and segments are scored, at most


class Network(NamedTuple):
    """A segmentation network, how its images are normalised, and how they are looked at."""

    model: nn.Module
    normalize: Normalize
    views: Views


def headline(classes: Sequence[str]) -> tuple[str, ...]:
    """The metrics that a user wants to see, of two classes also those of each and of segments."""
    if len(classes) != 2:
        return ("miou", "pixel_accuracy", "loss")
    return ("miou", *(f"iou_{name}" for name in classes), "v_rand", "pixel_accuracy", "loss")


def summarise(sums: Sums, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Metrics [seeds] of Sums; of two classes also the IoU of each, as 'iou_NAME'."""
    values = segmenter.summarise(sums)
    if len(classes) == 2 and "iou" in values:
        values |= {f"iou_{name}": values["iou"][..., i] for i, name in enumerate(classes)}
    return values


def simple(data: AnnotatedImages, sample: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The baselines on the test part. sample: training images and masks."""
    methods = baselines.simple_methods(sample["image"], sample["mask"], data.classes)
    looked_at = _looked_at(data.sources["test"])
    pairs = (
        (np.asarray(batch["image"])[real], np.asarray(batch["mask"])[real])
        for batch in feed.batches(data.test)
        for real in [batch[MASK] > 0]
    )
    return baselines.scores(methods, pairs, data.classes, looked_at)


def analyze(
    network: Network, run: Run, scores: dict[str, np.ndarray], data: AnnotatedImages
) -> Analysis:
    """The mean of the seeds, boundaries, and V_rand of two classes; examples and worst images."""
    classes, source = data.classes, data.sources["test"]
    predict = inspection.of_seeds(network.model, run.states, network.normalize, network.views)
    found = inspection.review(predict, data.test, len(classes), _looked_at(source))
    ensemble = _ensemble(found)
    findings: dict[str, Any] = {
        "iou": {name: describe(scores["iou"][:, i]) for i, name in enumerate(classes)},
        "ensemble": ensemble,
    }
    lines = [
        f"mean over seeds: mIoU {ensemble['miou']:.4f}, boundary F1 {ensemble['boundary_f1']:.4f}"
    ]

    def draw(folder: Path) -> None:
        inspection.examples(folder, predict, found, source, classes)

    if len(classes) != 2:
        return Analysis(findings, tuple(lines), draw=draw)
    chosen = 0.5
    if data.validation is not None:
        held = _looked_at(data.sources["validation"])
        chosen = _best(inspection.review(predict, data.validation, 2, held))
    each = _means(found.v_rand)
    segments = each[:, THRESHOLDS.index(chosen)]
    findings["segments"] = {
        "class": classes[1],
        "threshold": chosen,
        "v_rand": describe(segments),
        "v_rand_best_threshold": describe(each.max(1)),
    }
    lines.append(
        f"V_rand is that of the segments of {classes[1]!r}, its probability above {chosen:g}"
        f"{', as validation chose' if data.validation is not None else ''}; at the best threshold "
        f"for the test images {each.max(1).mean():.4f}"
    )
    return Analysis(
        findings,
        tuple(lines),
        metadata={"threshold": chosen},
        draw=draw,
        metrics={"v_rand": segments},
    )


def measure(
    network: Network, run: Run, examples: Examples, source: Sequence, threshold: float
) -> dict[str, np.ndarray]:
    """V_rand [seeds] of a set of two classes at a threshold that was chosen before."""
    predict = inspection.of_seeds(network.model, run.states, network.normalize, network.views)
    found = inspection.review(predict, examples, 2, _looked_at(source))
    return {"v_rand": _means(found.v_rand)[:, THRESHOLDS.index(threshold)]}


def _looked_at(source: Sequence) -> set[int]:
    return set(annotated.spread(len(source), LOOKED_AT).tolist())


def _ensemble(found: Review) -> dict[str, float]:
    scores = segmentation_metrics.from_confusion(found.confusion)
    values = {name: float(scores[name]) for name in ("miou", "pixel_accuracy", "mean_dice")}
    return values | {"boundary_f1": found.boundary_f1}


def _means(values: np.ndarray) -> np.ndarray:
    """[seeds, T]: the mean of [seeds, N, T] over the images that have segments; 0 without any."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1)


def _best(found: Review) -> float:
    """The threshold of the best V_rand, the mean over seeds; of equals the one nearest to 0.5."""
    means = _means(found.v_rand).mean(0)
    return min(THRESHOLDS, key=lambda t: (-means[THRESHOLDS.index(t)], abs(t - 0.5)))
