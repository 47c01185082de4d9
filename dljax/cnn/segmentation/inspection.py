"""Looking at a trained segmentation network: its masks, its scores by class, its worst images.

All on the host side; nothing here trains.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from dljax.cnn.segmentation import segmentation_metrics
from dljax.cnn.segmentation.baselines import counts
from dljax.cnn.segmentation.losses import IGNORE
from dljax.cnn.segmentation.segmenter import WHOLE, Views, probabilities
from dljax.plots import confusion_matrix, masks
from dljax.train.export import Field, Serving, in_pieces
from dljax.train.loop import Array, Sums
from dljax.train.supervised import State

SHOWN = 6  # images in a picture
BOUNDARY = 0.0075  # tolerance of the boundary F1, of the image's diagonal (Csurka et al. 2013)


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


def predicted(
    model: nn.Module,
    states: State,
    images: np.ndarray,
    normalize: Callable[[Array], Array],
    views: Views = WHOLE,
    batch_size: int = 8,
) -> np.ndarray:
    """Probabilities float32 [N, H, W, classes] of uint8 images, the mean of the seeds."""
    function = partial(jax.jit(answer(model, normalize, views)), states)
    return in_pieces(function, {"image": images}, batch_size)["probability"]


def boundary_score(guess: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The mean boundary F1 of images [N, H, W]; its tolerance is BOUNDARY of the diagonal."""
    tolerance = max(round(BOUNDARY * float(np.hypot(*labels.shape[1:]))), 1)
    found = []
    for mask, label in zip(guess, labels, strict=True):
        mask = np.where(label == IGNORE, IGNORE, mask)
        found.append(segmentation_metrics.boundary_f1(mask, label, classes, tolerance))
    return float(np.nanmean(found))


def draw(folder: Path, sums: Sums, classes: tuple[str, ...]) -> None:
    """Confusion and IoU by class of the test part, over all seeds, in `folder` (workdir/plots)."""
    total, _ = sums["confusion"]
    confusion_matrix(total, classes, folder / "confusion.png")
    scores = segmentation_metrics.from_confusion(total)
    true = total.sum(0).sum(-1)
    masks.class_scores(scores["iou"], true / true.sum(), classes, folder / "classes.png")


def examples(
    folder: Path, probability: np.ndarray, test: dict[str, np.ndarray], classes: tuple[str, ...]
) -> None:
    """Some test images, and the worst ones, with their masks.

    probability: of the test images [N, H, W, classes], the mean over seeds.
    """
    guess, labels = probability.argmax(-1), test["mask"]
    each = np.array(
        [
            segmentation_metrics.from_confusion(counts(g, m[None], len(classes)))["miou"]
            for g, m in zip(guess, labels, strict=True)
        ]
    )
    spread = np.unique(np.linspace(0, len(labels) - 1, SHOWN).astype(int))
    worst = np.argsort(each, kind="stable")[:SHOWN]
    for name, chosen, title in (
        ("examples", spread, "Test images"),
        ("worst", worst, "The test images of the lowest mIoU"),
    ):
        masks.comparisons(
            test["image"][chosen],
            labels[chosen],
            guess[chosen],
            [f"image {i}: mIoU {each[i]:.2f}" for i in chosen],
            classes,
            folder / f"{name}.png",
            title,
        )
