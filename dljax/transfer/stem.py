"""The first convolution, for images of other channels or with another window.

Adapts a pretrained stem to grey or small images: its kernel gets the new shape, and about the same
outputs.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

PyTree = Any


def fit_kernel(kernel: Array, shape: tuple[int, ...]) -> Array:
    """A kernel [KH, KW, I, O] as one of `shape` = [kh, kw, i, O].

    Channels: to one: their sum, the output for a grey image in all
    channels; to several they repeat in turn, times I / i (timm's adapt_input_conv). Window: it is
    resampled linearly and keeps its sum, the output on a constant area.
    Raises ValueError where O differs.
    """
    height, width, inputs, outputs = kernel.shape
    if len(shape) != 4 or shape[3] != outputs:
        raise ValueError(f"a stem of {kernel.shape} can't be brought to {shape}: its outputs stay")
    kernel = jnp.asarray(kernel)
    if shape[2] == 1:
        kernel = kernel.sum(2, keepdims=True)
    elif shape[2] != inputs:
        kernel = kernel[:, :, jnp.arange(shape[2]) % inputs] * (inputs / shape[2])
    if shape[:2] != (height, width):
        rows, columns = _shares(height, shape[0]), _shares(width, shape[1])
        kernel = jnp.einsum("pa,qb,abio->pqio", rows, columns, kernel)
    return kernel


def _shares(old: int, new: int) -> Array:
    """[new, old]: how the weight at each of `old` places is shared out among `new` ones."""
    weights = jax.image.resize(jnp.eye(old), (new, old), "linear", antialias=True)
    return weights / weights.sum(0)


def fit(variables: PyTree, like: PyTree, path: tuple[str, ...]) -> PyTree:
    """Variables whose kernel at `path` (without "params") has the shape that `like` has there."""
    flat, name = flatten_dict(dict(variables)), ("params", *path, "kernel")
    return unflatten_dict(
        flat | {name: fit_kernel(flat[name], flatten_dict(dict(like))[name].shape)}
    )


def fit_statistics(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Means or deviations of channels for another number of them: the mean, or repeated in turn.

    The outputs for a grey image are then those of the old stem, up to a constant for each filter
    where the statistics of the old channels differ.
    """
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(values[i % len(values)] for i in range(channels))
