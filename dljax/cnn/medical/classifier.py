"""Classification of medical images: one class, ordered grades, or several labels an image.

A network gives one logit for each class. One class an image: softmax. Several labels: a sigmoid
each. Grades: softmax, trained on soft targets that decay with the squared distance of a grade from
the true one (Diaz and Marathe 2019, "Soft Labels for Ordinal Regression", CVPR, eq. 1 and 2).

A batch holds "image" uint8 [B, (D,) H, W, C] and "label" int [B], or [B, K] of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.cnn.medical import scores
from dljax.data import augment
from dljax.data.image_scaling import in_floats
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import (
    State,
    create_state,
    gradient_step,
    merge_params,
    train_argument,
)

Scale = Callable[[Array], Array]


class Target(NamedTuple):
    """What is predicted, and how it is learnt.

    classes: their number. multi_label: an image has several, each present or not. ordinal: decay of
    the soft targets of grades by their squared distance; 0: no order. label_smoothing: share of the
    target that is uniform. weights: of each class in the loss, () for equal ones.
    """

    classes: int
    multi_label: bool = False
    ordinal: float = 0.0
    label_smoothing: float = 0.0
    weights: tuple[float, ...] = ()


def soft_targets(target: Target, labels: Array) -> Array:
    """The distribution float32 [B, C] that labels [B] or [B, C] are learnt as."""
    if target.multi_label:
        return labels * (1 - target.label_smoothing) + target.label_smoothing / 2
    if target.ordinal:
        distance = labels[:, None] - jnp.arange(target.classes)
        targets = jax.nn.softmax(-target.ordinal * distance**2.0)
    else:
        targets = jax.nn.one_hot(labels, target.classes)
    return (1 - target.label_smoothing) * targets + target.label_smoothing / target.classes


def losses(target: Target, logits: Array, targets: Array) -> Array:
    """Cross-entropy [B] in nats of targets float [B, C]; of several labels, the mean over them."""
    logits = logits.astype(jnp.float32)
    weights = jnp.array(target.weights or (1.0,) * target.classes)
    if target.multi_label:
        return (weights * optax.sigmoid_binary_cross_entropy(logits, targets)).mean(-1)
    return -(weights * targets * jax.nn.log_softmax(logits)).sum(-1)


def probability(logits: Array, multi_label: bool) -> Array:
    """Of each class or label, [..., C]."""
    return jax.nn.sigmoid(logits) if multi_label else jax.nn.softmax(logits)


def balanced_weights(labels: np.ndarray, classes: int, power: float) -> tuple[float, ...]:
    """Weights of the classes, (N / (C n_c)) ** power scaled to a mean of 1 over the examples.

    labels: int [N], or [N, C] of 0 and 1, of which each label is weighted alike.
    """
    if labels.ndim == 2 or not power:
        return ()
    counts = np.bincount(labels, minlength=classes)
    weights = (len(labels) / (classes * counts)) ** power
    return tuple((weights / np.average(weights, weights=counts)).tolist())


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    target: Target,
    *,
    image_shape: tuple[int, ...],
    normalize: Scale,
    augmentation: Callable[[Key, Array], Array] | None = None,
    mix: Callable[[Key, Array, Array], tuple[Array, Array]] | None = None,
    flips: tuple[int, ...] = (),
) -> Task:
    """The Task of a network (variables, images, train=bool) -> logits [B, classes].

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    that is put in place of the initial values: a pretrained backbone.
    augmentation: (key, image [(D,) H, W, C] in 0..1) -> image. mix: mixup, as of
    `classification.classifier`. flips: the axes of an image along which it is mirrored too, for
    the mean logits at evaluation.
    """

    def init(key: Key, start: Any = None) -> State:
        blank = jnp.zeros((1, *image_shape))
        variables = model.init(key, blank, **train_argument(model, False))
        return create_state(merge_params(variables, start or {}), tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, mix_key, dropout_key = (jax.random.fold_in(key, i) for i in range(3))
        images = in_floats(batch["image"])
        if augmentation:
            images = augment.batch(augmentation)(augment_key, images)
        images, targets = normalize(images), soft_targets(target, batch["label"])
        if mix:
            images, targets = mix(mix_key, images, targets)

        def loss(params):
            logits, model_state = model.apply(
                {"params": params, **state.model_state},
                images,
                **train_argument(model, True),
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            values = losses(target, logits, targets)
            return values.mean(), (model_state, (logits, values))

        state, (logits, values), gradient_norm = gradient_step(state, tx, loss)
        sums = {
            "loss": metrics.mean(values),
            "accuracy": _accuracy(target, logits, batch["label"], None),
            "gradient_norm": gradient_norm,
        }
        return state, sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        logits = predict_logits(model, state, batch["image"], normalize, flips)
        labels, mask = batch["label"], batch["example_mask"]
        # Of the labels themselves: the loss that temperature and reader can be judged by.
        plain = Target(target.classes, target.multi_label)
        values = losses(plain, logits, soft_targets(plain, labels))
        sums = {
            "loss": metrics.mean(values, mask),
            "accuracy": _accuracy(target, logits, labels, mask),
            "ranks": scores.rank_counts(logits, labels, mask, target.multi_label),
        }
        if not target.multi_label:
            sums["confusion"] = metrics.confusion(logits, labels, mask)
        return sums

    return Task(init, step, evaluate)


def predict_logits(
    model: nn.Module,
    state: State,
    images: Array,
    normalize: Scale,
    flips: tuple[int, ...] = (),
) -> Array:
    """Logits float32 [B, C] of uint8 images [B, ..., C]: the mean over an image's mirror images.

    flips: the axes that are mirrored, all their combinations; () for the image alone.
    """
    views = [normalize(in_floats(images))]
    for axis in flips:
        views += [jnp.flip(view, axis + 1) for view in views]
    logits = [model.apply(state.variables(), x, **train_argument(model, False)) for x in views]
    return sum(x.astype(jnp.float32) for x in logits) / len(logits)


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds] on the host; the AUC is that of binned scores, within 0.001 of the exact."""
    values = metrics.scalars(sums)
    if "ranks" in sums:
        values["auc"] = scores.auc_of_counts(np.asarray(sums["ranks"][0], np.float64))
    return values


def _accuracy(target: Target, logits: Array, labels: Array, mask: Array | None) -> metrics.Pair:
    """Share of images, or of labels above one half, that are right (MedMNIST's definition)."""
    if target.multi_label:
        return metrics.mean((logits > 0) == (labels > 0), mask)
    return metrics.accuracy(logits, labels, mask)
