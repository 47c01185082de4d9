"""Looking at a trained segmentation network: its masks, its scores by class, its worst images.

All on the host side; nothing here trains.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax import plots
from dljax.cnn.segmentation import segmentation_metrics
from dljax.cnn.segmentation.baselines import counts
from dljax.cnn.segmentation.losses import IGNORE
from dljax.cnn.segmentation.segmentation_metrics import v_rand
from dljax.cnn.segmentation.segmenter import WHOLE, Views, probabilities
from dljax.data import feed
from dljax.data.feed import MASK, Examples
from dljax.train.export import Field, Serving
from dljax.train.loop import Array, Sums
from dljax.train.supervised import State

Probabilities = Callable[[np.ndarray], np.ndarray]

SHOWN = 6  # images in a picture
AT_ONCE = 8  # images that a network is given
THRESHOLDS = tuple(np.arange(1, 10) / 10)  # of the probability, of which V_rand is computed
BOUNDARY = 0.0075  # tolerance of the boundary F1, of the image's diagonal (Csurka et al. 2013)


class Review(NamedTuple):
    """A network's masks of N images against the true ones.

    confusion: [C, C], of the mean over seeds. miou: [N], of each image. boundary_f1: the mean over
    the images that were looked at. v_rand: of two classes [seeds, looked at, THRESHOLDS], of the
    segments of the second one.
    """

    confusion: np.ndarray
    miou: np.ndarray
    boundary_f1: float
    v_rand: np.ndarray


def answer(
    model: nn.Module, normalize: Callable[[Array], Array], views: Views = WHOLE
) -> Callable[[State, dict[str, Array]], dict[str, Array]]:
    """The pure function (states, {"image": uint8 [B, H, W, C]}) -> {"probability": [B, H, W, K]}.

    states: with the leading seed axis; the probability is the mean over it.
    """

    def function(states: State, inputs: dict[str, Array]) -> dict[str, Array]:
        def of_seed(state: State) -> Array:
            return probabilities(model, state, inputs["image"], normalize, views)

        return {"probability": jax.lax.map(of_seed, states).mean(0)}

    return function


def serving(
    function: Callable[[Any, dict[str, Array]], dict[str, Array]],
    weights: Any,
    image_shape: tuple[int, int, int],
    classes: tuple[str, ...],
    metadata: dict[str, Any],
) -> Serving:
    """A segmentation network for --predict and for export; function: as `answer` makes it."""
    color = "grey" if image_shape[-1] == 1 else "RGB"
    about = f"{color} pixels, rows from the top"
    shape = (*image_shape[:2], len(classes))
    return Serving(
        function,
        weights,
        {"image": Field(image_shape, "uint8", 0, 255, about=about)},
        {"probability": Field(shape, names=classes, about="of each class at each pixel")},
        metadata,
    )


def of_seeds(
    model: nn.Module,
    states: State,
    normalize: Callable[[Array], Array],
    views: Views = WHOLE,
) -> Probabilities:
    """The compiled function uint8 images [B, H, W, C] -> probabilities float32 [S, B, H, W, K]."""

    @jax.jit
    def function(states: State, images: Array) -> Array:
        return jax.lax.map(lambda s: probabilities(model, s, images, normalize, views), states)

    return lambda images: np.asarray(function(states, images))


def in_parts(
    predict: Probabilities, examples: Examples
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(images [B, H, W, C], masks [B, H, W], probabilities [S, B, H, W, K]) of all examples.

    Few at a time, so that memory does not grow with their number.
    """
    for batch in feed.batches(examples):
        images, masks = np.asarray(batch["image"]), np.asarray(batch["mask"])
        real = int(batch[MASK].sum())
        for first in range(0, real, AT_ONCE):
            piece = images[first : first + AT_ONCE]
            count = min(len(piece), real - first)
            filled = np.concatenate([piece, np.repeat(piece[-1:], AT_ONCE - len(piece), 0)])
            end = first + count
            yield images[first:end], masks[first:end], predict(filled)[:, :count]


def review(
    predict: Probabilities, examples: Examples, classes: int, looked_at: Container[int]
) -> Review:
    """What a trained network finds in examples; see `Review`.

    looked_at: indices of the examples whose boundaries and segments are scored.
    """
    total, miou, boundary, segments = np.zeros((classes, classes)), [], [], []
    for _, true, p in in_parts(predict, examples):
        guess = p.mean(0).argmax(-1)
        for k, (found, labels) in enumerate(zip(guess, true, strict=True)):
            confusion = counts(found, labels, classes)
            total += confusion
            if len(miou) in looked_at:
                boundary.append(boundary_score(found, labels, classes))
                if classes == 2:
                    segments.append([v_rand(q[k, ..., 1], labels == 1, THRESHOLDS) for q in p])
            miou.append(float(segmentation_metrics.from_confusion(confusion)["miou"]))
    shape = (len(p), len(boundary), len(THRESHOLDS))
    rand = np.array(segments).swapaxes(0, 1) if segments else np.full(shape, np.nan)
    return Review(total, np.array(miou), segmentation_metrics.mean_of_known(boundary), rand)


def boundary_score(guess: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The boundary F1 of an image [H, W]; its tolerance is BOUNDARY of the diagonal."""
    tolerance = max(round(BOUNDARY * float(np.hypot(*labels.shape))), 1)
    mask = np.where(labels == IGNORE, IGNORE, guess)
    return segmentation_metrics.boundary_f1(mask, labels, classes, tolerance)


def draw(folder: Path, sums: Sums, classes: tuple[str, ...]) -> None:
    """Confusion and IoU by class of the test part, over all seeds, in `folder` (workdir/plots)."""
    total, _ = sums["confusion"]
    plots.confusion_matrix(total, classes, folder / "confusion.png")
    scores = segmentation_metrics.from_confusion(total)
    true = total.sum(0).sum(-1)
    plots.masks.class_scores(scores["iou"], true / true.sum(), classes, folder / "classes.png")


def examples(
    folder: Path, predict: Probabilities, found: Review, source: Sequence, classes: tuple[str, ...]
) -> None:
    """Some test images, and the worst ones, with their masks, by the mean of the seeds."""
    spread = np.unique(np.linspace(0, len(source) - 1, SHOWN).astype(int))
    worst = np.argsort(found.miou, kind="stable")[:SHOWN]
    names = source.names()
    for name, chosen, title in (
        ("examples", spread, "Test images"),
        ("worst", worst, "The test images of the lowest mIoU"),
    ):
        shown = [source[int(i)] for i in chosen]
        images = np.stack([x["image"] for x in shown])
        plots.masks.comparisons(
            images,
            np.stack([x["mask"] for x in shown]),
            predict(images).mean(0).argmax(-1),
            [f"{Path(names[i]).name}: mIoU {found.miou[i]:.2f}" for i in chosen],
            classes,
            folder / f"{name}.png",
            title,
        )
