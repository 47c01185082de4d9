"""Classification of medical images and volumes, with scores of clinical meaning."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps import training_loss
from dljax.apps.configs.medical_imaging import Config
from dljax.apps.medical import classification_prediction
from dljax.apps.medical.classification_training import (
    backbone_of,
    flips_of,
    make_task,
    network,
    target_of,
)
from dljax.cnn.medical import baselines, classifier, inspection, review
from dljax.cnn.medical.classifier import Scale, Target
from dljax.cnn.medical.review import Goal, Rule
from dljax.data import feed
from dljax.data.image_scaling import Normalize, normalization, standardized
from dljax.data.images import EVALUATION_BATCH
from dljax.data.record_kinds import images_record
from dljax.data.sources.image import Levels, written_levels
from dljax.data.sources.medical import reading
from dljax.data.sources.medical.labels import Arrays
from dljax.run import session
from dljax.run.experiment import Analysis, Experiment
from dljax.train.export import Serving
from dljax.train.loop import Run, Task
from dljax.train.parallel import place
from dljax.train.supervised import State

HEADLINE = ("auc", "accuracy", "sensitivity", "specificity", "loss")


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    data = reading.load(
        config.dataset,
        size=(config.image_size, config.image_size) if config.image_size else None,
        classes=config.class_names,
        table=config.patients,
        pattern=config.patient_pattern,
        quiet=config.quiet,
    )
    data = reading.hold_out(data, config.validation)
    train, test, held = (data.parts.get(x) for x in ("train", "test", "validation"))
    shape, classes = train["image"].shape[1:], data.classes
    if config.ordinal and (data.multi_label or len(classes) < 3):
        raise ValueError("--ordinal is for three grades or more, one for each image")
    backbone = backbone_of(config)
    normalize = backbone.normalize if backbone else normalization(train["image"])
    scale = standardized if config.standardize else normalize
    model = network(config, len(classes), shape, backbone)
    flips = flips_of(config, shape)
    goal = Goal(
        classes,
        data.multi_label,
        review.detected(classes, data.multi_label, config.positive),
        config.sensitivity,
        bool(config.ordinal),
    )

    lengths = [len(part["label"]) for part in (test, held) if part]
    batch = feed.common_batch(max(config.batch_size, EVALUATION_BATCH), *lengths)
    examples = partial(feed.examples, batch_size=batch, multiple=placement.batch_multiple)

    def analyze(run: Run, scores: dict, simple: dict) -> Analysis:
        def logits(part: Arrays) -> np.ndarray:
            return inspection.logits_of_seeds(model, run.states, part["image"], scale, flips)

        validation = held and (logits(held), held["label"])
        rule = review.fit(goal, *validation) if validation else _unfitted(goal, run)
        people = data.patients and data.patients["test"]
        found = review.review(goal, rule, logits(test), test["label"], people, validation)
        advice = () if validation else ("without a validation part thresholds are one half",)

        def draw(folder: Path) -> None:
            inspection.draw(folder, found, goal, test, model, run.states, scale)

        return Analysis(
            {"ensemble": found.findings, "temperatures": rule.temperatures},
            (*review.lines(found), *advice),
            {"temperatures": rule.temperatures, "thresholds": rule.thresholds},
            draw,
            found.metrics,
        )

    counts = ", ".join(f"{len(x['label'])} {name}" for name, x in data.parts.items())
    return Experiment(
        name=config.name,
        dataset=f"{data.name} ({counts}; {len(classes)} "
        f"{'labels' if data.multi_label else 'classes'})",
        task=lambda config: make_task(
            config,
            model,
            scale,
            target_of(config, len(classes), train["label"]),
            shape,
            pretrained=backbone is not None,
        ),
        feed=feed.in_memory(train, config.batch_size),
        placement=placement,
        headline=HEADLINE,
        data=images_record(data.parts, classes, data.left_out).deriving(
            mean=normalize.mean, std=normalize.std, **(backbone.derived() if backbone else {})
        ),
        init_args=backbone.start(config.num_seeds) if backbone else (),
        validation=held and examples(held),
        choose_by="max:auc",
        use_best=True,
        test=examples(test),
        summarise=classifier.summarise,
        tables=partial(classifier.tables, classes=classes),
        metadata={
            "kind": "classification",
            "classes": classes,
            "multi_label": data.multi_label,
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
            "levels": data.levels,
        },
        notes=(*data.notes, *training_loss.note(config.label_smoothing, config.mixup)),
        baselines=(lambda: baselines.simple_methods(train, test, len(classes)))
        if config.baselines
        else None,
        analyze=analyze,
    )


def _unfitted(goal: Goal, run: Run) -> Rule:
    seeds = len(jax.tree.leaves(run.states)[0])
    return Rule((1.0,) * seeds, dict.fromkeys(goal.detected, review.HALF))


class Trained(NamedTuple):
    """A trained classifier: its network, the States of its seeds, and what its images must be.

    rule: how probabilities become decisions. step: of the checkpoint. levels: as of
    image_classification.
    """

    config: Config
    model: nn.Module
    task: Task
    states: State
    scale: Scale
    goal: Goal
    rule: Rule
    image_shape: tuple[int, ...]
    step: int
    levels: Levels | None

    @property
    def flips(self) -> tuple[int, ...]:
        return flips_of(self.config, self.image_shape)


def load(config: Config) -> Trained:
    """The trained classifier in config.workdir: its best checkpoint, else the newest."""
    config, metadata = session.saved(config)
    classes, shape = tuple(metadata["classes"]), tuple(metadata["image_shape"])
    scale = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    scale = standardized if config.standardize else scale
    backbone = backbone_of(config, weights=False)
    model = network(config, len(classes), shape, backbone)
    multi_label = metadata["multi_label"]
    target = Target(len(classes), multi_label)
    task = make_task(config, model, scale, target, shape, pretrained=backbone is not None)
    run, step = session.restore(config, task, place("none"))
    rule = Rule(tuple(metadata["temperatures"]), dict(metadata["thresholds"]))
    goal = Goal(
        classes, multi_label, tuple(rule.thresholds), config.sensitivity, bool(config.ordinal)
    )
    levels = written_levels(metadata)
    return Trained(config, model, task, run.states, scale, goal, rule, shape, step, levels)


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with: for --predict, and to export.

    By the best checkpoint (the newest if none was scored), the mean over its seeds' calibrated
    probabilities.
    """
    return _serving(load(config))


def _serving(found: Trained) -> Serving:
    function = inspection.answer(found.model, found.scale, found.flips, found.goal.multi_label)
    weights = (found.states.without_optimiser(), jnp.array(found.rule.temperatures))
    metadata = {
        "step": found.step,
        "seeds": len(found.rule.temperatures),
        "levels": found.levels,
        "thresholds": found.rule.thresholds,
        "multi_label": found.goal.multi_label,
    }
    return inspection.serving(function, weights, found.image_shape, found.goal.classes, metadata)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies an image, a folder of images or a `.npz` with the run in config.workdir.

    Writes predictions.csv to workdir/predictions/. Returns its rows: file, label, the probability
    of each class, and what is called at the thresholds of validation.
    """
    return classification_prediction.predict(serving(config), path, Path(config.workdir))


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the test part of another labelled set.

    With the temperatures and thresholds of the run's own validation; see `session.evaluate`.
    """
    found = load(config)
    height, width = found.image_shape[-3:-1]
    folder = os.path.isdir(os.path.expanduser(dataset))
    data = reading.load(
        dataset,
        size=(height, width) if folder else None,
        channels=found.image_shape[-1],
        levels=found.levels,
        table=config.patients,
        pattern=config.patient_pattern,
        quiet=config.quiet,
    )
    test = reading.scored(data, found.goal.classes)
    if test["image"].shape[1:] != found.image_shape:
        raise ValueError(
            f"{dataset} has images of {test['image'].shape[1:]}, the model reads "
            f"{found.image_shape}"
        )

    def measure(run: Run) -> dict[str, np.ndarray]:
        logits = inspection.logits_of_seeds(
            found.model, run.states, test["image"], found.scale, found.flips
        )
        people = data.patients and data.patients["test"]
        result = review.review(found.goal, found.rule, logits, test["label"], people)
        print("\n".join(review.lines(result)))
        return result.metrics

    return session.evaluate(
        found.config,
        found.task,
        feed.examples(test, EVALUATION_BATCH),
        data=dataset,
        headline=HEADLINE,
        summarise=classifier.summarise,
        tables=partial(classifier.tables, classes=found.goal.classes),
        measure=measure,
    )
