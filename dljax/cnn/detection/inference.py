"""All detections of a trained network in a set of images, and their scores in original pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.cnn.detection import boxes, detector
from dljax.cnn.detection.coco_metrics import Evaluation
from dljax.cnn.detection.suppression import Detections
from dljax.data import feed
from dljax.data.feed import MASK, Examples
from dljax.data.image_scaling import in_floats
from dljax.train.loop import Array
from dljax.train.supervised import State

Detect = Callable[[State, Array, Array], Detections]
Unfit = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Annotated(Protocol):
    """What is annotated in an image, in its original pixels: `data.sources.vision.Truth`."""

    boxes: np.ndarray
    labels: np.ndarray
    flags: np.ndarray
    areas: np.ndarray


class Objects(NamedTuple):
    """Detections of one image in its original pixels: boxes [n, 4], labels [n], scores [n]."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def detect(
    model: nn.Module,
    strides: Sequence[int],
    normalize: Callable[[Array], Array],
    flip: bool = False,
) -> Detect:
    """The function (State of one seed, uint8 images [B, H, W, C], thresholds [T]) -> Detections.

    Detections [T, B, K]: after suppression at each of the thresholds. flip: as in `detector.look`.
    """
    look = detector.look(model, strides, flip)

    def function(state: State, images: Array, thresholds: Array) -> Detections:
        centres, steps = boxes.grid(images.shape[1:3], strides)
        outputs = look(state, normalize(in_floats(images)))

        def at(threshold: Array) -> Detections:
            settings = detector.SUPPRESSION._replace(threshold=threshold)
            return detector.decode(*outputs, centres, steps, settings)

        return jax.vmap(at)(thresholds)

    return function


def over_examples(
    function: Detect, state: State, examples: Examples, thresholds: Sequence[float]
) -> tuple[Detections, np.ndarray]:
    """Detections [T, N, K] as numpy arrays of all N examples, and their original sizes [N, 2].

    function: of `detect`, compiled.
    """
    found, sizes = [], []
    levels = jnp.asarray(thresholds, jnp.float32)
    for batch in feed.batches(examples):
        real = int(batch[MASK].sum())
        answer = jax.device_get(function(state, jnp.asarray(batch["image"]), levels))
        found.append(jax.tree.map(lambda x, real=real: x[:, :real], answer))
        sizes.append(np.asarray(batch["size"])[:real])
    return jax.tree.map(lambda *x: np.concatenate(x, 1), *found), np.concatenate(sizes)


def objects(found: Detections, sizes: np.ndarray, unfit: Unfit) -> list[Objects]:
    """Detections [N, K] as a list over images; unfit: (boxes [N, K, 4], sizes [N, 2]) -> boxes."""
    original = unfit(found.boxes, sizes)
    there = found.labels >= 0
    return [
        Objects(original[i, kept], found.labels[i, kept], found.scores[i, kept])
        for i, kept in enumerate(there)
    ]


def evaluation(found: Sequence[Objects], truth: Sequence[Annotated], classes: int) -> Evaluation:
    """The exact scores of detections: `.coco()`, `.voc()`, `.per_class()`."""
    result = Evaluation(classes)
    for each, true in zip(found, truth, strict=True):
        result.add(*each, true.boxes, true.labels, true.flags > 0, true.areas)
    return result
