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
import numpy as np
import optax

from dljax.cnn.detection import assignment, boxes, losses, suppression
from dljax.cnn.detection.suppression import Detections
from dljax.data.image_scaling import in_floats
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step, merge_params

Augment = Callable[[Key, Array, Array, Array], tuple[Array, Array, Array]]
Look = Callable[[State, Array], tuple[Array, Array]]


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
BINS = 100  # of scores, for the average precision of an evaluation
SHOWN = 0.3  # least score of the detections that recall_50 and precision_50 count


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
    flip: bool = False,
) -> Task:
    """Task-aligned assignment, quality focal loss, GIoU and distributions of distances.

    model: `nn.detection_head.Detector` or another with its outputs; strides: of its maps.
    augmentation: (key, images in 0..1 [B, H, W, C], boxes [B, M, 4], labels [B, M]) -> the same.
    flip: evaluate the mirror image too, see `look`.

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    to begin with in place of fresh ones (of a pretrained backbone).
    Evaluation makes the loss, and histograms of right and wrong detections at IoU 0.5, of which
    `summarise` makes average precision within the width of a bin; the exact one needs all
    detections (inference.py and coco_metrics.py).
    """
    centres, steps = boxes.grid(image_shape[:2], strides)
    looked = look(model, strides, flip)

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

    def total(
        scores: Array, distances: Array, batch: dict[str, Array]
    ) -> tuple[dict[str, Array], Array]:
        """The losses of a batch, and the sum of target scores that they are divided by."""
        labels = jnp.where(batch["flags"] == 0, batch["labels"], -1)
        each = jax.vmap(parts)(scores, distances, batch["boxes"], labels)
        mask = batch.get("example_mask", jnp.ones(len(scores)))
        each = {name: (x * mask).sum() for name, x in each.items()}
        target = each.pop("target")
        loss = sum(getattr(weights, name) * x for name, x in each.items())
        return {"loss": loss, **each}, target

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = (jax.random.fold_in(key, i) for i in range(2))
        images = in_floats(batch["image"])
        if augmentation:
            labels = jnp.where(batch["flags"] == 0, batch["labels"], -1)
            images, truth, labels = augmentation(augment_key, images, batch["boxes"], labels)
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
            values, target = total(*outputs, batch)
            values = {name: x / jnp.maximum(target, 1.0) for name, x in values.items()}
            return values["loss"], (model_state, values)

        state, values, gradient_norm = gradient_step(state, tx, loss)
        one = jnp.float32(1)
        sums = {name if name == "loss" else f"{name}_loss": (x, one) for name, x in values.items()}
        return state, {**sums, "gradient_norm": gradient_norm}

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        outputs = looked(state, normalize(in_floats(batch["image"])))
        values, target = total(*outputs, batch)
        found = decode(*outputs, centres, steps, suppressed)
        labels, flags = batch["labels"], batch["flags"]
        right, wrong, objects = jax.vmap(partial(histograms, classes=outputs[0].shape[-1]))(
            found, batch["boxes"], labels, flags
        )
        mask = batch["example_mask"]
        count = mask.sum()
        right, wrong, objects = (
            jnp.einsum("b,b...->...", mask, x) for x in (right, wrong, objects)
        )
        shown = slice(round(SHOWN * BINS), None)
        found_right = right[:, shown].sum()
        return {
            "loss": (values["loss"], target),
            "recall_50": (found_right, objects.sum()),
            "precision_50": (found_right, found_right + wrong[:, shown].sum()),
            "right_50": (right, count),
            "wrong_50": (wrong, count),
            "objects": (objects, count),
        }

    return Task(init, step, evaluate)


def look(model: nn.Module, strides: Sequence[int], flip: bool = False) -> Look:
    """How trained networks see images: (State of one seed, normalised images) -> outputs.

    By the averaged parameters if there are any. flip: the mean of the outputs (logits) for the
    image and, mirrored back, for its mirror image; the image's width must be a multiple of all
    strides, or the places of the two would not lie on each other.
    """

    def once(state: State, images: Array) -> tuple[Array, Array]:
        return model.apply(state.variables(), images, train=False)

    def both(state: State, images: Array) -> tuple[Array, Array]:
        back = mirrored(images.shape[1:3], strides)
        sides = jnp.array([2, 1, 0, 3])  # left, top, right, bottom
        scores, distances = once(state, images)
        again, others = once(state, images[:, :, ::-1])
        return (scores + again[:, back]) / 2, (distances + others[:, back][:, :, sides]) / 2

    return both if flip else once


def mirrored(size: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    """Index [A] of the place that each place of `boxes.grid` has in the mirror image.

    Raises ValueError for a width that is no multiple of all strides.
    """
    if size[1] % max(strides):
        raise ValueError(f"flip needs a width that is a multiple of {max(strides)}, not {size[1]}")
    maps, first = [], 0
    for stride in strides:
        rows, columns = (-(-length // stride) for length in size)
        places = first + np.arange(rows * columns).reshape(rows, columns)
        maps.append(places[:, ::-1].ravel())
        first += rows * columns
    return np.concatenate(maps)


def decode(
    scores: Array, distances: Array, centres: Array, strides: Array, settings: Suppression
) -> Detections:
    """The detections [B, K] of a network's outputs."""
    expected = losses.expected_distance(distances) * strides[:, None]
    predicted = boxes.from_distances(jnp.asarray(centres), expected)
    one = partial(suppression.suppress, **settings._asdict())
    return jax.vmap(one)(predicted, jax.nn.sigmoid(scores))


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """The metrics [seeds] of `task`'s Sums; of an evaluation ap50_binned too.

    That is Pascal VOC's area under the curve of precision and recall at IoU 0.5, the mean over the
    classes that have an object, with scores rounded to 1 / BINS.
    """
    found = metrics.scalars(sums)
    if "right_50" in sums:
        right, wrong = (
            np.asarray(sums[name][0])[..., ::-1].cumsum(-1) for name in ("right_50", "wrong_50")
        )
        objects = np.asarray(sums["objects"][0])[..., None]
        recall = right / np.where(objects > 0, objects, np.nan)
        precision = right / np.maximum(right + wrong, 1)
        precision = np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]
        each = (np.diff(recall, axis=-1, prepend=0) * precision).sum(-1)
        known = ~np.isnan(each)
        total = np.where(known, each, 0).sum(-1)
        found["ap50_binned"] = total / np.maximum(known.sum(-1), 1)
    return found


def histograms(
    found: Detections, truth: Array, labels: Array, flags: Array, classes: int
) -> tuple[Array, Array, Array]:
    """Of one image: right and wrong detections [classes, BINS] by score, objects [classes].

    A detection is right that overlaps an object of its class by 0.5 or more, more than the others
    of that class, and is the best one that does so (Pascal VOC's rule). One whose object is flagged
    is neither right nor wrong.
    """
    there = found.labels >= 0
    overlap = boxes.pairwise_iou(truth, found.boxes)
    overlap = jnp.where((labels[:, None] == found.labels[None]) & there[None], overlap, -1)
    mine, hit = overlap.argmax(0), overlap.max(0) >= 0.5
    order = jnp.arange(len(hit))
    rivals = (mine[:, None] == mine[None]) & hit[None] & (order[None] < order[:, None])
    right = hit & ~rivals.any(1)
    flagged = hit & (flags[mine] != 0)
    of_class = jax.nn.one_hot(found.labels, classes)
    of_bin = jax.nn.one_hot(jnp.clip(found.scores * BINS, 0, BINS - 1).astype(jnp.int32), BINS)
    right, wrong = (
        jnp.einsum("kc,kb->cb", of_class * kept[:, None], of_bin)
        for kept in (right & ~flagged, there & ~right & ~flagged)
    )
    counted = jax.nn.one_hot(jnp.where(flags == 0, labels, -1), classes)
    return right, wrong, counted.sum(0)
