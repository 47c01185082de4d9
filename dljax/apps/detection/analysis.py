"""What a trained detector reaches: exact scores in original pixels, errors, and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax import plots
from dljax.apps.configs.object_detection import Config
from dljax.cnn.detection import detector, errors, inference
from dljax.cnn.detection.coco_metrics import Evaluation
from dljax.cnn.detection.inference import Objects
from dljax.data.annotated import AnnotatedImages
from dljax.data.feed import Examples
from dljax.data.image_scaling import Normalize
from dljax.data.sources.vision import Fit, Size, Truth, fit_boxes, truth, unfit_boxes
from dljax.data.sources.vision.letterbox import fitted
from dljax.run.experiment import Analysis
from dljax.train.loop import Run, one_seed
from dljax.train.metrics import describe

PICTURES = 12  # images in a picture of many
AT_50 = 0  # index of the overlap 0.5 among those of COCO's scores


class Network(NamedTuple):
    """A detector and what its images must be: their size, how they are fitted to it, normalised.

    flip: it looks at the mirror image too.
    """

    model: nn.Module
    strides: Sequence[int]
    normalize: Normalize
    size: Size
    fit: Fit
    flip: bool

    def detect(self) -> inference.Detect:
        """Its detections in images of that size."""
        return inference.detect(self.model, self.strides, self.normalize, self.flip)


class Chosen(NamedTuple):
    """By validation: the NMS threshold, the least score of best F1, the seed that is best."""

    threshold: float
    score: float
    seed: int


UNCHOSEN = Chosen(detector.SUPPRESSION.threshold, 0.3, 0)


class Seed(NamedTuple):
    """Of one seed: its detections in each image, and their scores."""

    found: list[Objects]
    scores: Evaluation


def analyze(config: Config, network: Network, run: Run, data: AnnotatedImages) -> Analysis:
    """Chooses on the validation part, scores the test part; findings are named 'detection'."""
    classes, chosen, lines = data.classes, UNCHOSEN, []
    findings: dict[str, Any] = {}
    if data.validation is not None:
        true = truth(data.sources["validation"])
        every = at_thresholds(network, run, data.validation, true, config.nms, len(classes))
        chosen = choose(config.nms, every, true)
        validated = _stacked([each[config.nms.index(chosen.threshold)] for each in every])
        findings["validation"] = {name: describe(x) for name, x in validated.items()}
        lines.append(f"validation: {_text(validated)}")
    elif len(config.nms) == 1:
        chosen = chosen._replace(threshold=config.nms[0])
    true = truth(data.sources["test"])
    seeds = [
        each[0]
        for each in at_thresholds(network, run, data.test, true, (chosen.threshold,), len(classes))
    ]
    least = config.score or chosen.score
    diagnoses = [
        [errors.diagnose(a, b, least) for a, b in zip(seed.found, true, strict=True)]
        for seed in seeds
    ]
    kinds = np.stack([errors.counts(each) for each in diagnoses])
    per_class = {
        name: np.stack([seed.scores.per_class()[name] for seed in seeds]) for name in ("ap", "ap50")
    }
    findings |= {
        "chosen": chosen._asdict(),
        "per_class": {
            name: {metric: describe(x[:, i]) for metric, x in per_class.items()}
            for i, name in enumerate(classes)
        },
        "errors": {
            name: describe(kinds[:, i].astype(float)) for i, name in enumerate(errors.KINDS)
        },
    }
    lines += _lines(classes, per_class["ap50"], kinds, chosen, least)
    picked = min(chosen.seed, len(seeds) - 1)
    draw = partial(
        _draw,
        classes=classes,
        seeds=seeds,
        kinds=kinds,
        source=data.sources["test"],
        true=true,
        found=seeds[picked].found,
        diagnoses=diagnoses[picked],
        network=network,
        least=least,
    )
    return Analysis(
        {"detection": findings},
        tuple(lines),
        metadata={"chosen": chosen._asdict()},
        draw=draw,
        metrics=_stacked(seeds),
    )


def without_validation(config: Config) -> tuple[str, ...]:
    """A line on what --nms becomes without a validation part; ValueError where it names several."""
    if len(config.nms) == 1:
        return ()
    if config.nms != Config.nms:
        raise ValueError("several --nms need a validation part to choose by; give one")
    return (f"no validation part chooses --nms: it is {UNCHOSEN.threshold:g}",)


def measure(
    network: Network,
    run: Run,
    examples: Examples,
    source: Sequence,
    threshold: float,
    classes: int,
) -> dict[str, np.ndarray]:
    """The exact scores [seeds] of a part."""
    every = at_thresholds(network, run, examples, truth(source), (threshold,), classes)
    return _stacked([each[0] for each in every])


def at_thresholds(
    network: Network,
    run: Run,
    examples: Examples,
    true: Sequence[Truth],
    thresholds: Sequence[float],
    classes: int,
) -> list[list[Seed]]:
    """For each seed, its detections and their scores after suppression at each threshold."""
    detect = jax.jit(network.detect())
    unfit = partial(unfit_boxes, size=network.size, fit=network.fit)
    seeds = []
    for number in range(len(jax.tree.leaves(run.states)[0])):
        state = one_seed(run.states, number)
        found, sizes = inference.over_examples(detect, state, examples, thresholds)
        each = [inference.objects(one_seed(found, t), sizes, unfit) for t in range(len(thresholds))]
        seeds.append([Seed(x, inference.evaluation(x, true, classes)) for x in each])
    return seeds


def choose(
    thresholds: Sequence[float], seeds: Sequence[Sequence[Seed]], true: Sequence[Truth]
) -> Chosen:
    """By the mean AP at an overlap of 0.5 over the seeds, then the seed for which it is best."""
    ap50 = np.array([[each.scores.coco()["ap50"] for each in seed] for seed in seeds])
    best = int(np.nan_to_num(ap50).mean(0).argmax())
    seed = int(np.nan_to_num(ap50)[:, best].argmax())
    score = errors.best_score(seeds[seed][best].found, true)
    return Chosen(float(thresholds[best]), round(score, 4), seed)


def _stacked(seeds: Sequence[Seed]) -> dict[str, np.ndarray]:
    """COCO's and VOC's scores [S] of those areas that have objects."""
    each = [{**seed.scores.coco(), "voc_ap50": float(seed.scores.voc()["ap"])} for seed in seeds]
    stacked = {name: np.array([x[name] for x in each]) for name in each[0]}
    return {name: x for name, x in stacked.items() if not np.isnan(x).all()}


def _text(scores: dict[str, np.ndarray]) -> str:
    described = {name: describe(scores[name]) for name in ("ap50", "ap") if name in scores}
    return ", ".join(f"{n} {x['mean']:.4f} ± {x['std']:.4f}" for n, x in described.items())


def _lines(
    classes: Sequence[str], ap50: np.ndarray, kinds: np.ndarray, chosen: Chosen, least: float
) -> list[str]:
    known = ~np.isnan(ap50).all(0)
    means = {name: x.mean() for name, x, k in zip(classes, ap50.T, known, strict=True) if k}
    shown = sorted(means, key=means.__getitem__)[:12]
    more = f" (the lowest of {len(means)})" if len(means) > len(shown) else ""
    each = ", ".join(f"{name} {means[name]:.3f}" for name in shown)
    counts = ", ".join(
        f"{name} {x:.4g}" for name, x in zip(errors.KINDS, kinds.mean(0), strict=True)
    )
    return [
        f"NMS threshold {chosen.threshold:g}; detections of score {least:.3g} and more: {counts}",
        f"test ap50 of each class{more}: {each}",
    ]


def _draw(
    folder: Path,
    *,
    classes: Sequence[str],
    seeds: Sequence[Seed],
    kinds: np.ndarray,
    source: Sequence,
    true: Sequence[Truth],
    found: Sequence[Objects],
    diagnoses: Sequence[errors.Diagnosis],
    network: Network,
    least: float,
) -> None:
    """precision_recall.png and errors.png of all seeds; worst.png and examples.png of one."""
    curves = np.stack(
        [[seed.scores.precision_recall(i)[1][AT_50] for i in range(len(classes))] for seed in seeds]
    )
    recalls = seeds[0].scores.precision_recall(0)[0]
    plots.boxes.precision_recall(recalls, curves, classes, folder / "precision_recall.png")
    plots.boxes.error_counts(kinds, errors.KINDS, least, folder / "errors.png")

    wrong = np.array([(each.kinds > 0).sum() + each.missed.sum() for each in diagnoses])
    objects = np.array([len(each.labels) for each in true])
    worst = np.lexsort((-wrong / np.maximum(objects, 1), -wrong))[:PICTURES]
    spread = np.linspace(0, len(true) - 1, min(PICTURES, len(true))).astype(int)
    names = source.names()
    for name, title, chosen in (
        ("worst", "Test images with the most errors", worst),
        ("examples", "Test images", spread),
    ):
        pictures = []
        for i in chosen:
            height, width = fitted(true[i].size, network.size, network.fit)
            fit = partial(fit_boxes, original=true[i].size, size=network.size, fit=network.fit)
            shown = found[i].scores >= least
            predicted = Objects(
                fit(found[i].boxes[shown]), found[i].labels[shown], found[i].scores[shown]
            )
            missed = int(diagnoses[i].missed.sum())
            text = f"{Path(names[i]).name}: {wrong[i] - missed} wrong, {missed} missed"
            picture = plots.boxes.Picture(
                source[int(i)]["image"][:height, :width],
                predicted,
                text,
                fit(true[i].boxes),
                true[i].labels,
                diagnoses[i].kinds[shown] > 0,
            )
            pictures.append(picture)
        plots.boxes.gallery(pictures, classes, title, folder / f"{name}.png")
