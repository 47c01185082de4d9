"""Embeddings of images by a trained run, of each seed or of all together."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.faces.front import Front
from dljax.cnn.faces import recogniser
from dljax.train.export import Field, Serving, in_pieces
from dljax.train.loop import Array

AT_ONCE = 64


def of_seeds(model: nn.Module, states: Any, front: Front, inputs: np.ndarray) -> np.ndarray:
    """float32 [seeds, N, D] of what the network evaluates [N, ...], see `front.evaluated`."""

    @jax.jit
    def function(given: dict[str, Array]) -> dict[str, Array]:
        def one(state: Any) -> Array:
            return recogniser.outputs(model, state, given["x"], front.normalize, front.views)[0]

        return {"embedding": jnp.moveaxis(jax.lax.map(one, states), 0, 1)}

    return np.moveaxis(in_pieces(function, {"x": inputs}, AT_ONCE)["embedding"], 1, 0)


def together(embeddings: np.ndarray | Array) -> Any:
    """[N, seeds D] of [seeds, N, D]: vectors of length 1 whose cosine is the mean of the seeds'."""
    seeds, count, features = embeddings.shape
    joined = (np if isinstance(embeddings, np.ndarray) else jnp).moveaxis(embeddings, 0, 1)
    return joined.reshape(count, seeds * features) / np.float32(seeds**0.5)


def answer(model: nn.Module, front: Front, flip: bool, weights: Any, inputs: Any) -> dict:
    """The pure function ({"states", "backbone"}, {"image": uint8 [B, H, W, C]}) -> embeddings."""
    given = front.prepare(weights["backbone"], inputs["image"], flip)

    def one(state: Any) -> Array:
        return recogniser.outputs(model, state, given, front.normalize, front.views)[0]

    return {"embedding": together(jax.lax.map(one, weights["states"]))}


def serving(
    model: nn.Module,
    states: Any,
    front: Front,
    flip: bool,
    image_shape: tuple[int, int, int],
    metadata: dict[str, Any],
) -> Serving:
    """The run as a function from an image to its embedding, the seeds' joined; see `together`."""
    seeds = len(jax.tree.leaves(states)[0])
    colour = "grey" if image_shape[-1] == 1 else "RGB"
    about = f"{colour} pixels of one upright face, rows from the top"
    return Serving(
        partial(answer, model, front, flip),
        {"states": states.without_optimiser(), "backbone": front.weights},
        {"image": Field(image_shape, "uint8", 0, 255, about=about)},
        {"embedding": Field((seeds * model.features,), about="of length 1; compare by cosine")},
        metadata,
    )
