"""Looking at a trained classifier: probabilities, worst mistakes, filters and feature maps.

All on one seed's State, on the host side; nothing here trains.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from dljax import plots
from dljax.cnn.classification.classifier import ITSELF, State, Views, predict_logits
from dljax.train import optim
from dljax.train.export import Field, Serving, in_pieces
from dljax.train.loop import Array, Run, Sums, one_seed
from dljax.train.supervised import train_argument


def probabilities(
    model: nn.Module,
    states: State,
    images: np.ndarray,
    normalize: Callable[[Array], Array],
    views: Views = ITSELF,
    *,
    batch_size: int = 256,
) -> np.ndarray:
    """Class probabilities float32 [N, classes] of uint8 images [N, H, W, C], the mean of the seeds.

    states: with the leading seed axis, as in a Run.
    """
    function = partial(jax.jit(answer(model, normalize, views)), states)
    return in_pieces(function, {"image": images}, batch_size)["probability"]


def answer(
    model: nn.Module, normalize: Callable[[Array], Array], views: Views = ITSELF
) -> Callable[[State, dict[str, Array]], dict[str, Array]]:
    """The pure function (states, {"image": uint8 [B, H, W, C]}) -> {"probability": [B, classes]}.

    states: with the leading seed axis; the probability is the mean over it.
    """

    def function(states: State, inputs: dict[str, Array]) -> dict[str, Array]:
        def of_seed(state):
            return jax.nn.softmax(predict_logits(model, state, inputs["image"], normalize, views))

        return {"probability": jax.lax.map(of_seed, states).mean(0)}

    return function


def serving(
    function: Callable[[Any, dict[str, Array]], dict[str, Array]],
    weights: Any,
    image_shape: tuple[int, int, int],
    classes: tuple[str, ...],
    metadata: dict[str, Any],
) -> Serving:
    """A classifier of images for --predict and for export; function: as `answer` makes it."""
    color = "grey" if image_shape[-1] == 1 else "RGB"
    about = f"{color} pixels, rows from the top"
    return Serving(
        function,
        weights,
        {"image": Field(image_shape, "uint8", 0, 255, about=about)},
        {"probability": Field((len(classes),), names=classes, about="of each class")},
        metadata,
    )


def first_kernel(state: State, channels: int) -> np.ndarray | None:
    """The first convolution kernel [kh, kw, channels, o] that sees the image, if there is one."""
    leaves = jax.tree.leaves((state.model_state, optim.ema_params(state.opt_state, state.params)))
    fitting = [x for x in leaves if x.ndim == 4 and x.shape[2] == channels and x.shape[0] > 1]
    return np.asarray(fitting[0]) if fitting else None


def feature_maps(
    model: nn.Module, state: State, image: np.ndarray, normalize: Callable[[Array], Array]
) -> list[tuple[str, np.ndarray]]:
    """(layer, output [H, W, C]) of every layer that makes maps, in the order in which they run.

    image: uint8 [H, W, C].
    """
    params = optim.ema_params(state.opt_state, state.params)
    x = normalize(jax.numpy.asarray(image[None], jax.numpy.float32) / 255)
    maps: list[tuple[str, np.ndarray]] = []

    def keep(function: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        out = function(*args, **kwargs)
        is_map = getattr(out, "ndim", 0) == 4 and out.shape[1] * out.shape[2] > 1
        if context.method_name == "__call__" and is_map and context.module.path:
            maps.append(("/".join(context.module.path), np.asarray(out[0], np.float32)))
        return out

    with nn.intercept_methods(keep):
        model.apply({"params": params, **state.model_state}, x, **train_argument(model, False))
    return maps


def draw(
    folder: Path,
    run: Run,
    sums: Sums,
    model: nn.Module,
    normalize: Callable[[Array], Array],
    test: dict[str, np.ndarray],
    classes: tuple[str, ...],
    views: Views = ITSELF,
) -> None:
    """The pictures of a classification run in `folder` (workdir/plots).

    The confusion matrix and the reliability diagram summed over
    seeds; the most wrong test images, by the probability of their class in the mean over seeds;
    filters and feature maps of the first seed.
    """
    plots.confusion_matrix(sums["confusion"][0], classes, folder / "confusion.png")
    plots.reliability(*sums["calibration"], folder / "reliability.png")

    p = probabilities(model, run.states, test["image"], normalize, views)
    labels, predicted = test["label"], p.argmax(-1)
    worst = np.argsort(p[np.arange(len(p)), labels], kind="stable")[:24]
    titles = [
        f"{classes[labels[i]]} → {classes[predicted[i]]} {p[i, predicted[i]]:.2f}" for i in worst
    ]
    title = f"Least probable test images ({np.sum(predicted != labels)} of them all are wrong)"
    plots.image_grid(test["image"][worst], titles, folder / "most_wrong.png", title)

    state = one_seed(run.states)
    kernel = first_kernel(state, test["image"].shape[-1])
    if kernel is not None:
        plots.filters(kernel, folder / "filters.png")
    image = test["image"][0]
    maps = feature_maps(model, state, image, normalize)
    if maps:
        chosen = [maps[i] for i in np.unique(np.linspace(0, len(maps) - 1, 6).astype(int))]
        plots.feature_maps(chosen, image, folder / "feature_maps.png")
