"""What a network of images is trained to tell: one class, several labels, or a number.

Each is a `Target`: pure functions around the outputs of the network [B, outputs], which the Task of
`classifier.image_task` calls and which know nothing of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.train import class_tables, metrics, ranking, temperature
from dljax.train.class_tables import Rows
from dljax.train.loop import Array, Sums


class Target(NamedTuple):
    """The meaning of a network's outputs.

    outputs: their number. encode: labels of a batch -> what is learnt, float [B, outputs]; mixup
    mixes it. losses: (outputs, encoded) -> [B]. progress: the same -> Sums of a training step,
    beside the loss. evaluate: (outputs, labels, mask) -> Sums. answer: outputs -> what the network
    says, {name: [B, ...]}.
    """

    outputs: int
    encode: Callable[[Array], Array]
    losses: Callable[[Array, Array], Array]
    progress: Callable[[Array, Array], Sums]
    evaluate: Callable[[Array, Array, Array], Sums]
    answer: Callable[[Array], dict[str, Array]]


# One class an image -------------------------------------------------------------------------------


def one_class(
    classes: int, label_smoothing: float = 0.0, weights: np.ndarray | None = None
) -> Target:
    """Softmax over classes, of labels int [B]. weights: [classes], of each class in the loss."""

    def losses(logits: Array, targets: Array) -> Array:
        return metrics.softmax_loss(logits, targets, label_smoothing, weights)

    def progress(logits: Array, targets: Array) -> Sums:
        return {"accuracy": metrics.accuracy(logits, targets.argmax(-1))}

    def evaluate(logits: Array, labels: Array, mask: Array) -> Sums:
        return {
            "loss": metrics.cross_entropy(logits, labels, mask),
            "accuracy": metrics.accuracy(logits, labels, mask),
            "top_5": metrics.top_k(logits, labels, min(5, classes), mask),
            "per_class_accuracy": metrics.per_class_accuracy(logits, labels, mask),
            "confusion": metrics.confusion(logits, labels, mask),
            "calibration": metrics.calibration(logits, labels, mask),
        }

    def encode(labels: Array) -> Array:
        return jax.nn.one_hot(labels, classes)

    return Target(classes, encode, losses, progress, evaluate, class_probability)


def with_temperature(target: Target) -> Target:
    """A target of classes whose evaluation tells the temperature that fits best, too."""

    def evaluate(logits: Array, labels: Array, mask: Array) -> Sums:
        sums = target.evaluate(logits, labels, mask)
        return {**sums, **temperature.sums_at_each(logits, labels, mask)}

    return target._replace(evaluate=evaluate)


def class_probability(logits: Array) -> dict[str, Array]:
    """The probabilities of classes that exclude each other."""
    return {"probability": jax.nn.softmax(logits)}


# Several labels an image --------------------------------------------------------------------------


def several_labels(
    labels: int, label_smoothing: float = 0.0, weights: np.ndarray | None = None
) -> Target:
    """A sigmoid for each label, of labels [B, K] of 0 and 1; the loss is the mean over them.

    A label is called where its probability is above one half. weights: [K], of the presence of
    each label in the loss. label_smoothing e: a label is learnt as 1 - e / 2 or e / 2.
    """
    positive = jnp.ones(labels) if weights is None else jnp.asarray(weights)

    def encode(present: Array) -> Array:
        return present.astype(jnp.float32)

    def losses(logits: Array, targets: Array) -> Array:
        smooth = targets * (1 - label_smoothing) + label_smoothing / 2
        each = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), smooth)
        return (each * (1 + (positive - 1) * targets)).mean(-1)

    def progress(logits: Array, targets: Array) -> Sums:
        return {"accuracy": metrics.mean((logits > 0) == (targets > 0.5))}

    def evaluate(logits: Array, present: Array, mask: Array) -> Sums:
        called, has = logits > 0, present > 0
        loss = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), encode(present))
        kept = (mask > 0)[:, None]
        counts = [(x & kept).sum(0).astype(jnp.float32) for x in (called & has, called, has)]
        return {
            "loss": metrics.mean(loss.mean(-1), mask),
            "accuracy": metrics.mean(called == has, mask),
            "exact_match": metrics.mean((called == has).all(-1), mask),
            "decisions": (jnp.stack(counts, -1), mask.sum()),
            "ranks": ranking.rank_counts(logits, present, mask, multi_label=True),
        }

    def answer(logits: Array) -> dict[str, Array]:
        return {"probability": jax.nn.sigmoid(logits)}

    return Target(labels, encode, losses, progress, evaluate, answer)


# A number -----------------------------------------------------------------------------------------


def number(mean: float, std: float) -> Target:
    """One number an image, of labels float [B]: squared error of the label less mean over std."""

    def encode(labels: Array) -> Array:
        return ((labels - mean) / std)[:, None]

    def losses(outputs: Array, targets: Array) -> Array:
        return ((outputs.astype(jnp.float32) - targets) ** 2).mean(-1)

    def progress(outputs: Array, targets: Array) -> Sums:
        return {"mae": metrics.mean(std * jnp.abs(outputs - targets))}

    def evaluate(outputs: Array, labels: Array, mask: Array) -> Sums:
        targets = encode(labels)
        moments = jnp.concatenate([targets, targets**2], -1) * mask[:, None]
        return {
            "loss": metrics.mean(losses(outputs, targets), mask),
            "mae": metrics.mean(std * jnp.abs(outputs[:, 0] - targets[:, 0]), mask),
            "moments": (moments.sum(0), mask.sum()),
        }

    def answer(outputs: Array) -> dict[str, Array]:
        return {"value": outputs[:, 0].astype(jnp.float32) * std + mean}

    return Target(1, encode, losses, progress, evaluate, answer)


# On the host --------------------------------------------------------------------------------------


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds] of each kind of target: the ratios that are one number, and what follows.

    Of classes the expected calibration error, the mean recall of the classes (balanced accuracy)
    and their mean F1, with temperature also what `temperature.found` says; of labels the mean AUC,
    average precision (map) and F1 of the labels; of a number R2, the share of the variance of the
    scored labels that is explained.
    """
    values = metrics.scalars(sums)
    if "calibration" in sums:
        values["calibration_error"] = metrics.expected_calibration_error(sums["calibration"])
    if "nats_at" in sums:
        values |= temperature.found(sums)
    if "confusion" in sums:
        scores = class_tables.per_class(sums["confusion"][0])
        values["balanced_accuracy"] = class_tables.macro(scores, "recall")
        values["macro_f1"] = class_tables.macro(scores, "f1")
    if "ranks" in sums:
        counts = np.asarray(sums["ranks"][0], np.float64)
        values["auc"] = ranking.auc_of_counts(counts)
        values["map"] = ranking.average_precision_of_counts(counts)
        values["macro_f1"] = class_tables.macro(_of_labels(sums), "f1")
    if "moments" in sums:
        total, square = np.moveaxis(np.asarray(sums["moments"][0], np.float64), -1, 0)
        count = np.asarray(sums["moments"][1], np.float64)
        variance = square - total**2 / count
        error = np.asarray(sums["loss"][0], np.float64)
        values["r2"] = 1 - error / np.where(variance > 1e-9, variance, np.nan)
    return values


def tables(sums: Sums, classes: tuple[str, ...]) -> dict[str, Rows]:
    """The CSV files of an evaluation, name -> rows: per_class, and of classes confusion."""
    if "confusion" in sums:
        return class_tables.confusion_tables(np.asarray(sums["confusion"][0]), classes)
    if "ranks" in sums:
        counts = np.asarray(sums["ranks"][0], np.float64)
        scores = _of_labels(sums) | {
            "auc": ranking.auc_of_each(counts),
            "average_precision": ranking.average_precision_of_each(counts),
        }
        return {"per_class": class_tables.class_rows(scores, classes)}
    return {}


def _of_labels(sums: Sums) -> dict[str, np.ndarray]:
    return class_tables.of_decisions(*np.moveaxis(np.asarray(sums["decisions"][0]), -1, 0))
