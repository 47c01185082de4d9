"""What a trained segmentation network answers a window with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.train.export import Field, Serving
from dljax.train.supervised import State

Function = Callable[[State, dict[str, Array]], dict[str, Array]]


def probabilities(model: nn.Module, state: State, x: Array, mirror: Sequence[int]) -> Array:
    """Class probabilities [B, *window, K] of windows [B, *window, C].

    mirror: axes of the window; the mean over the mirror images along each choice of them.
    """
    variables, total = state.variables(), 0.0
    choices = [c for n in range(len(mirror) + 1) for c in itertools.combinations(mirror, n)]
    for chosen in choices:
        axes = tuple(1 + axis for axis in chosen)
        p = jax.nn.softmax(model.apply(variables, jnp.flip(x, axes), train=False))
        total += jnp.flip(p, axes)
    return total / len(choices)


def answer(model: nn.Module, mirror: Sequence[int]) -> Function:
    """The pure function (states, {"image": [B, *window, C]}) -> {"probability": [B, *window, K]}.

    states: with the leading seed axis; the probability is the mean over it.
    """

    def function(states: State, inputs: dict[str, Array]) -> dict[str, Array]:
        def of_seed(state: State) -> Array:
            return probabilities(model, state, inputs["image"], mirror)

        return {"probability": jax.lax.map(of_seed, states).mean(0)}

    return function


def serving(
    function: Function,
    weights: Any,
    shape: tuple[int, ...],
    classes: tuple[str, ...],
    metadata: dict[str, Any],
) -> Serving:
    """A segmentation network for --predict and for export. shape: of a window, [*window, C]."""
    about = "a window of the image, resampled and scaled as in training"
    return Serving(
        function,
        weights,
        {"image": Field(shape, about=about)},
        {
            "probability": Field(
                (*shape[:-1], len(classes)), names=classes, about="of each class at each voxel"
            )
        },
        metadata,
    )
