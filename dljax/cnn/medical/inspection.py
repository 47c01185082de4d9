"""Looking at a trained classifier of medical images, and answering with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.cnn.medical import gradcam, scores
from dljax.cnn.medical.classifier import Scale, predict_logits, probability
from dljax.cnn.medical.review import Goal, Review
from dljax.train.export import Field, Serving, in_pieces
from dljax.train.loop import Array
from dljax.train.supervised import State

SHOWN = 12  # images in a picture


def logits_of_seeds(
    model: nn.Module, states: State, images: np.ndarray, normalize: Scale, flips: tuple[int, ...]
) -> np.ndarray:
    """Logits float32 [S, N, C] of uint8 images [N, (D,) H, W, C] by each seed's network."""

    @jax.jit
    def function(inputs: dict[str, Array]) -> dict[str, Array]:
        def of_seed(state: State) -> Array:
            return predict_logits(model, state, inputs["image"], normalize, flips)

        return {"logits": jnp.moveaxis(jax.lax.map(of_seed, states), 0, 1)}

    return np.moveaxis(in_pieces(function, {"image": images}, 128)["logits"], 1, 0)


def answer(
    model: nn.Module, normalize: Scale, flips: tuple[int, ...], multi_label: bool
) -> Callable[[Any, dict[str, Array]], dict[str, Array]]:
    """The pure function ((states, temperatures [S]), {"image": uint8}) -> {"probability": [B, C]}.

    states: with the leading seed axis; the probability is the mean over it.
    """

    def function(weights: tuple[State, Array], inputs: dict[str, Array]) -> dict[str, Array]:
        def of_seed(pair: tuple[State, Array]) -> Array:
            state, temperature = pair
            logits = predict_logits(model, state, inputs["image"], normalize, flips)
            return probability(logits / temperature, multi_label)

        return {"probability": jax.lax.map(of_seed, weights).mean(0)}

    return function


def serving(
    function: Callable[[Any, dict[str, Array]], dict[str, Array]],
    weights: Any,
    image_shape: tuple[int, ...],
    classes: tuple[str, ...],
    metadata: dict[str, Any],
) -> Serving:
    """A classifier for --predict and for export; function: as `answer` makes it."""
    about = f"{'volume of ' if len(image_shape) == 4 else ''}{image_shape[-1]} channel(s)"
    return Serving(
        function,
        weights,
        {"image": Field(image_shape, "uint8", 0, 255, about=about)},
        {"probability": Field((len(classes),), names=classes, about="of each class or label")},
        metadata,
    )


def draw(
    folder: Path,
    found: Review,
    goal: Goal,
    test: dict[str, np.ndarray],
    model: nn.Module,
    states: State,
    normalize: Scale,
) -> None:
    """ROC curves, the reliability diagram, and Grad-CAM of the first seed, in `folder`.

    Grad-CAM is drawn for the most probable class of the images whose label was the least probable
    and of as many others; of a volume in its middle slice.
    """
    positive = scores.one_against_rest(test["label"], len(goal.classes))
    title = f"Test part: AUC {found.findings['auc']:.3f}, accuracy {found.findings['accuracy']:.3f}"
    points = found.findings["operating_points"]
    plots.medical.roc_curves(found.p, positive, goal.classes, points, folder / "roc.png", title)
    plots.reliability(*found.calibration, folder / "reliability.png")

    given = np.where(positive, found.p, 1 - found.p if goal.multi_label else 2).min(1)
    order = np.argsort(given, kind="stable")
    half = min(SHOWN // 2, len(order) // 2) or 1
    worst, others = order[:half], order[np.linspace(half, len(order) - 1, half).astype(int)]
    chosen = np.concatenate([worst, others])
    called = found.p[chosen].argmax(1)
    state = jax.tree.map(lambda x: x[0], states)
    images = test["image"][chosen]
    heat = gradcam.heat_maps(model, state, images, called, normalize)
    if images.ndim == 5:
        images, heat = images[:, images.shape[1] // 2], heat[:, heat.shape[1] // 2]
    titles = [
        f"is {_names(goal, positive[i])}\n{goal.classes[c]} {found.p[i, c]:.2f}"
        for i, c in zip(chosen, called, strict=True)
    ]
    title = f"Where the network looks; the first {half} are the worst of the test part"
    plots.medical.heat_maps(images, heat, titles, folder / "gradcam.png", title)


def _names(goal: Goal, positive: np.ndarray) -> str:
    names = [name for name, has in zip(goal.classes, positive, strict=True) if has]
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "") if names else "none"
