"""Object detection: an anchor-free network of your own, its losses, and a Task for the shared loop.

State: parameters, BatchNorm statistics, optimiser state. A batch holds "image" uint8 [B, H, W, C],
"boxes" float32 [B, M, 4] in pixels, "labels" int32 [B, M], -1 of padding, and "flags" [B, M], not 0
of objects that are neither learned nor counted (difficult, crowd); evaluation batches hold
"example_mask" [B] too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dljax.cnn.detection import assignment, boxes, losses, suppression
from dljax.cnn.detection.suppression import Detections
from dljax.data.image_scaling import in_floats
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step, merge_params

Augment = Callable[[Key, Array, Array, Array], tuple[Array, Array, Array]]


class Weights(NamedTuple):
    """Of the parts of the loss: scores, boxes (GIoU), distributions of distances."""

    score: float = 1.0
    box: float = 2.0
    distribution: float = 0.25


class Suppression(NamedTuple):
    """What becomes of candidates: see `suppression.suppress`."""

    threshold: float = 0.6
    least: float = 0.01
    candidates: int = 300
    most: int = 100


WEIGHTS, SUPPRESSION = Weights(), Suppression()


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    image_shape: tuple[int, int, int],
    strides: Sequence[int],
    normalize: Callable[[Array], Array] = lambda images: images,
    augmentation: Augment | None = None,
    weights: Weights = WEIGHTS,
    settings: assignment.Settings = assignment.SETTINGS,
    suppressed: Suppression = SUPPRESSION,
) -> Task:
    """Detection by task-aligned assignment, quality focal loss, GIoU and distributions of distances.

    model: `nn.detection_head.Detector` or another with its outputs; strides: of its maps.
    augmentation: (key, images in 0..1 [B, H, W, C], boxes [B, M, 4], labels [B, M]) -> the same.

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    to begin with in place of fresh ones (of a pretrained backbone).
    Evaluation makes the loss, and counts of right detections at IoU 0.5; average precision needs
    all detections (`detections` below, and coco_metrics).
    """
    centres, steps = boxes.grid(image_shape[:2], strides)

    def init(key: Key, start: Any = None) -> State:
        blank = jnp.zeros((1, *image_shape))
        (scores, _), variables = model.init_with_output(key, blank, train=False)
        chex.assert_shape(scores, (1, len(centres), None))
        return create_state(merge_params(variables, start or {}), tx)

    def parts(scores: Array, distances: Array, truth: Array, labels: Array) -> dict[str, Array]:
        """The losses of one image, before they are divided by the sum of target scores."""
        expected = losses.expected_distance(distances) * steps[:, None]
        predicted = boxes.from_distances(jnp.asarray(centres), expected)
        found = jax.lax.stop_gradient(
            assignment.assign(
                jax.nn.sigmoid(scores), predicted, centres, steps, truth, labels, settings
            )
        )
        label = jnp.maximum(labels[found.object], 0)
        target = jax.nn.one_hot(label, scores.shape[-1]) * found.score[:, None]
        mine = truth[found.object]
        gap = 1 - boxes.giou(predicted, mine)
        sides = boxes.to_distances(jnp.asarray(centres), mine) / steps[:, None]
        distribution = losses.distribution_focal(distances, jnp.maximum(sides, 0)).mean(-1)
        return {
            "score": losses.quality_focal(scores, target).sum(),
            "box": (gap * found.score).sum(),
            "distribution": (distribution * found.score).sum(),
            "target": found.score.sum(),
        }

    def total(scores: Array, distances: Array, batch: dict[str, Array]) -> dict[str, Array]:
        labels = jnp.where(batch["flags"] == 0, batch["labels"], -1)
        each = jax.vmap(parts)(scores, distances, batch["boxes"], labels)
        mask = batch.get("example_mask", jnp.ones(len(scores)))
        each = {name: (x * mask).sum() for name, x in each.items()}
        scale = jnp.maximum(each.pop("target"), 1.0)
        each = {name: x / scale for name, x in each.items()}
        return {"loss": sum(getattr(weights, name) * x for name, x in each.items()), **each}

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = (jax.random.fold_in(key, i) for i in range(2))
        images = in_floats(batch["image"])
        if augmentation:
            images, truth, labels = augmentation(
                augment_key,
                images,
                batch["boxes"],
                jnp.where(batch["flags"] == 0, batch["labels"], -1),
            )
            batch = {"boxes": truth, "labels": labels, "flags": jnp.zeros_like(labels)}
        chex.assert_shape(images, (None, *image_shape))
        images = normalize(images)

        def loss(params: Any) -> tuple[Array, tuple[Any, Any]]:
            outputs, model_state = model.apply(
                {"params": params, **state.model_state},
                images,
                train=True,
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            values = total(*outputs, batch)
            return values["loss"], (model_state, values)

        state, values, gradient_norm = gradient_step(state, tx, loss)
        one = jnp.float32(1)
        sums = {name if name == "loss" else f"{name}_loss": (x, one) for name, x in values.items()}
        return state, {**sums, "gradient_norm": gradient_norm}

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        outputs = model.apply(state.variables(), normalize(in_floats(batch["image"])), train=False)
        count = batch["example_mask"].sum()
        loss = total(*outputs, batch)["loss"]
        found = decode(*outputs, centres, steps, suppressed)
        right, wanted, shown = jax.vmap(_right)(
            found, batch["boxes"], jnp.where(batch["flags"] == 0, batch["labels"], -1)
        )
        mask = batch["example_mask"]
        return {
            "loss": (loss * count, count),
            "recall_50": ((right * mask).sum(), (wanted * mask).sum()),
            "precision_50": ((right * mask).sum(), (shown * mask).sum()),
        }

    return Task(init, step, evaluate)


def decode(
    scores: Array, distances: Array, centres: Array, strides: Array, settings: Suppression
) -> Detections:
    """The detections [B, K] of a network's outputs."""
    expected = losses.expected_distance(distances) * strides[:, None]
    predicted = boxes.from_distances(jnp.asarray(centres), expected)
    one = partial(suppression.suppress, **settings._asdict())
    return jax.vmap(one)(predicted, jax.nn.sigmoid(scores))


def detections(
    model: nn.Module,
    state: State,
    images: Array,
    strides: Sequence[int],
    normalize: Callable[[Array], Array],
    settings: Suppression = SUPPRESSION,
) -> Detections:
    """The detections [B, K] of uint8 images [B, H, W, C], by the averaged parameters if any."""
    centres, steps = boxes.grid(images.shape[1:3], strides)
    outputs = model.apply(state.variables(), normalize(in_floats(images)), train=False)
    return decode(*outputs, centres, steps, settings)


def _right(found: Detections, truth: Array, labels: Array) -> tuple[Array, Array, Array]:
    """How many objects of one image are found at IoU 0.5, objects, detections of score 0.3."""
    shown = (found.labels >= 0) & (found.scores >= 0.3)
    fits = boxes.pairwise_iou(truth, found.boxes) >= 0.5
    fits &= (labels[:, None] == found.labels[None]) & shown[None]
    right = (fits.any(1) & (labels >= 0)).sum()
    return right.astype(jnp.float32), (labels >= 0).sum() * 1.0, shown.sum() * 1.0
