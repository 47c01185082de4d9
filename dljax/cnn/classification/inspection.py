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
from dljax.cnn.classification.targets import class_probability
from dljax.train import optim
from dljax.train.export import Field, Serving, in_pieces
from dljax.train.loop import Array, Run, Sums, one_seed
from dljax.train.supervised import train_argument

EXAMPLES = 24  # images in a picture of them


Weights = tuple[State, Array]


def probabilities(
    model: nn.Module,
    weights: Weights,
    images: np.ndarray,
    normalize: Callable[[Array], Array],
    views: Views = ITSELF,
    *,
    batch_size: int = 256,
) -> np.ndarray:
    """Class probabilities float32 [N, classes] of uint8 images [N, H, W, C], the mean of the seeds.

    weights: as `answer` takes them.
    """
    return answers(answer(model, normalize, views), weights, images, batch_size)


def answers(
    function: Callable[[Weights, dict[str, Array]], dict[str, Array]],
    weights: Weights,
    images: np.ndarray,
    batch_size: int = 256,
) -> np.ndarray:
    """The only output [N, ...] of `answer`'s function for uint8 images [N, H, W, C]."""
    found = in_pieces(partial(jax.jit(function), weights), {"image": images}, batch_size)
    (output,) = found.values()
    return output


def answer(
    model: nn.Module,
    normalize: Callable[[Array], Array],
    views: Views = ITSELF,
    meaning: Callable[[Array], dict[str, Array]] = class_probability,
) -> Callable[[Weights, dict[str, Array]], dict[str, Array]]:
    """The pure function (weights, {"image": uint8 [B, H, W, C]}) -> {"probability": [B, classes]}.

    Its weights are those of `temperature.with_temperatures`; the probability is the mean over the
    seeds. meaning: of the network's outputs, `Target.answer`, where it tells something else than
    classes.
    """

    def function(weights: Weights, inputs: dict[str, Array]) -> dict[str, Array]:
        def of_seed(pair: Weights) -> dict[str, Array]:
            state, temperature = pair
            outputs = predict_logits(model, state, inputs["image"], normalize, views)
            return meaning(outputs / temperature)

        return {name: x.mean(0) for name, x in jax.lax.map(of_seed, weights).items()}

    return function


def serving(
    function: Callable[[Any, dict[str, Array]], dict[str, Array]],
    weights: Any,
    image_shape: tuple[int, int, int],
    classes: tuple[str, ...],
    metadata: dict[str, Any],
    value: str = "",
) -> Serving:
    """A network of images for --predict and for export; function: as `answer` makes it.

    value: the name of the number that it tells; "": it tells the probabilities of the classes.
    """
    color = "grey" if image_shape[-1] == 1 else "RGB"
    about = f"{color} pixels, rows from the top"
    return Serving(
        function,
        weights,
        {"image": Field(image_shape, "uint8", 0, 255, about=about)},
        {"value": Field((), about=value)}
        if value
        else {"probability": Field((len(classes),), names=classes, about="of each class")},
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
    layers: list[str] = []  # filled while the function is traced

    @jax.jit
    def outputs(variables: Any, x: Array) -> list[Array]:
        found = []

        def keep(function: Callable, args: Any, kwargs: Any, context: Any) -> Any:
            out = function(*args, **kwargs)
            is_map = getattr(out, "ndim", 0) == 4 and out.shape[1] * out.shape[2] > 1
            if context.method_name == "__call__" and is_map and context.module.path:
                layers.append("/".join(context.module.path))
                found.append(out[0].astype(jax.numpy.float32))
            return out

        with nn.intercept_methods(keep):
            model.apply(variables, normalize(x), **train_argument(model, False))
        return found

    maps = outputs(state.variables(), jax.numpy.asarray(image[None], jax.numpy.float32) / 255)
    return list(zip(layers, map(np.asarray, maps), strict=True))


def draw(
    folder: Path,
    run: Run,
    sums: Sums,
    model: nn.Module,
    normalize: Callable[[Array], Array],
    image: np.ndarray,
    classes: tuple[str, ...],
) -> None:
    """The pictures of a classification run in `folder` (workdir/plots), but `draw_most_wrong`.

    The confusion matrix and the reliability diagram (without temperature) summed over seeds;
    filters and feature maps of the first seed for an image [H, W, C].
    """
    plots.confusion_matrix(sums["confusion"][0], classes, folder / "confusion.png")
    plots.reliability(*sums["calibration"], folder / "reliability.png")
    draw_network(folder, run, model, normalize, image)


def draw_most_wrong(
    folder: Path, p: np.ndarray, test: dict[str, np.ndarray], classes: tuple[str, ...]
) -> None:
    """The most wrong test images, by the probabilities [N, classes] of the mean over seeds."""
    labels, predicted = test["label"], p.argmax(-1)
    worst = np.argsort(p[np.arange(len(p)), labels], kind="stable")[:EXAMPLES]
    titles = [
        f"{classes[labels[i]]} → {classes[predicted[i]]} {p[i, predicted[i]]:.2f}" for i in worst
    ]
    title = (
        f"Test images whose class got the lowest probability ({np.sum(predicted != labels)} of "
        f"{len(p)} are wrong)\ntrue class → predicted class, its probability"
    )
    plots.image_grid(test["image"][worst], titles, folder / "most_wrong.png", title)


def draw_examples(folder: Path, train: dict[str, np.ndarray], classes: tuple[str, ...]) -> None:
    """Training images as the network sees them, with what is to be told of them."""
    labels = train["label"]
    chosen = np.arange(min(len(labels), EXAMPLES))
    if labels.ndim == 1 and labels.dtype.kind == "i":  # as many of each class as fit
        order = np.argsort(labels, kind="stable")
        chosen = order[np.linspace(0, len(order) - 1, min(len(order), EXAMPLES)).astype(int)]
    titles = [_told(labels[i], classes) for i in chosen]
    height, width, channels = train["image"].shape[1:]
    title = f"Training images, {height}x{width} {'grey' if channels == 1 else 'colour'}"
    plots.image_grid(train["image"][chosen], titles, folder / "training_images.png", title)


def _told(label: np.ndarray, classes: tuple[str, ...]) -> str:
    if label.ndim:
        return (
            ", ".join(name for name, has in zip(classes, label, strict=True) if has) or "no label"
        )
    return classes[label] if label.dtype.kind == "i" else f"{label:.4g}"


def draw_labels(
    folder: Path, p: np.ndarray, test: dict[str, np.ndarray], classes: tuple[str, ...]
) -> None:
    """Pictures of several labels an image, by probabilities [N, K] of the mean over seeds.

    Precision against recall of the labels, and the test images of which a label is the most wrong.
    """
    present = test["label"] > 0
    plots.precision_recall(p, present, classes, folder / "precision_recall.png")
    gap = np.abs(present - p)
    worst = np.argsort(-gap.max(1), kind="stable")[:EXAMPLES]
    titles = []
    for i in worst:
        k = gap[i].argmax()
        titles.append(f"{'' if present[i, k] else 'not '}{classes[k]}: {p[i, k]:.2f}")
    title = "Test images whose label got the most wrong probability"
    plots.image_grid(test["image"][worst], titles, folder / "most_wrong.png", title)


def draw_numbers(folder: Path, value: np.ndarray, test: dict[str, np.ndarray], name: str) -> None:
    """Pictures of predicted numbers [N], the mean over seeds: over the actual ones; the worst."""
    actual = test["label"]
    plots.predicted_and_actual(actual, value, name, folder / "predicted.png")
    worst = np.argsort(-np.abs(value - actual), kind="stable")[:EXAMPLES]
    titles = [f"{actual[i]:.4g} → {value[i]:.4g}" for i in worst]
    title = f"Test images with the largest errors of {name}: actual → predicted"
    plots.image_grid(test["image"][worst], titles, folder / "most_wrong.png", title)


def draw_network(
    folder: Path,
    run: Run,
    model: nn.Module,
    normalize: Callable[[Array], Array],
    image: np.ndarray,
) -> None:
    """Filters of the first seed's network, and what its layers make of an image [H, W, C]."""
    state = one_seed(run.states)
    kernel = first_kernel(state, image.shape[-1])
    if kernel is not None:
        plots.filters(kernel, folder / "filters.png")
    maps = feature_maps(model, state, image, normalize)
    if maps:
        chosen = [maps[i] for i in np.unique(np.linspace(0, len(maps) - 1, 6).astype(int))]
        plots.feature_maps(chosen, image, folder / "feature_maps.png")
