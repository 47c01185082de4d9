"""The first convolution, for images of other channels or with another window.

A pretrained stem is no lost work when the images are grey or small: its kernel is brought to the
shape that is wanted, so that it answers alike.
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

    Channels: to one they add up, which is what the kernel says of a grey image in all of its
    channels; to several they repeat in turn, times I / i (timm's adapt_input_conv). Window: it is
    resampled linearly and keeps its sum, the answer to an even area.
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

    A grey image then gets from the fitted stem what it gets from the old one, but for a constant a
    filter where the old channels' statistics differ.
    """
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(values[i % len(values)] for i in range(channels))
