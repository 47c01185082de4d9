"""Grad-CAM: which places of an image speak for a class (Selvaraju et al. 2017, arXiv:1610.02391).

The maps of the last layer that still has places are weighted by the mean gradient of the class's
logit and summed; what is left above zero speaks for the class. It shows where a network looks, at
the resolution of that layer, and is no proof that the reason is a medical one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.image_scaling import in_floats
from dljax.train.loop import Array
from dljax.train.supervised import State


def last_maps(model: nn.Module, state: State, image: Array) -> tuple[str, ...]:
    """The path of the last layer, the classifier left out, whose output has places."""
    paths: list[tuple[str, ...]] = []

    def keep(function: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        out = function(*args, **kwargs)
        path = context.module.path
        has_places = getattr(out, "ndim", 0) == image.ndim and max(out.shape[1:-1]) > 1
        if context.method_name == "__call__" and path and path[-1] != "classifier" and has_places:
            paths.append(path)
        return out

    with nn.intercept_methods(keep):
        jax.eval_shape(lambda x: model.apply(state.variables(), x, train=False), image)
    if not paths:
        raise ValueError("the network has no layer with maps to look at")
    return paths[-1]


def heat_maps(
    model: nn.Module,
    state: State,
    images: np.ndarray,
    classes: np.ndarray,
    normalize: Callable[[Array], Array],
) -> np.ndarray:
    """Grad-CAM float32 [N, (d,) h, w] >= 0, the largest 1 (0 where nothing speaks for the class).

    images: uint8 [N, (D,) H, W, C]. classes: int [N], of which logit. h, w: of the layer's maps.
    """
    x = normalize(in_floats(jnp.asarray(images)))
    path = last_maps(model, state, x[:1])
    seen: list[Array] = []

    def run(moved: Array | None, x: Array) -> tuple[Array, Array]:
        def intercept(function: Callable, args: Any, kwargs: Any, context: Any) -> Any:
            out = function(*args, **kwargs)
            if context.method_name == "__call__" and context.module.path == path:
                out = out if moved is None else out + moved
                seen.append(out)
            return out

        with nn.intercept_methods(intercept):
            logits = model.apply(state.variables(), x, train=False)
        return logits, seen.pop()

    @jax.jit
    def maps(x: Array, classes: Array) -> Array:
        shape = jax.eval_shape(lambda x: run(None, x)[1], x)

        def chosen(moved: Array) -> tuple[Array, Array]:
            logits, out = run(moved, x)
            return jnp.take_along_axis(logits, classes[:, None], 1).sum(), out

        gradient, out = jax.grad(chosen, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
        axes = tuple(range(1, out.ndim - 1))
        weight = gradient.mean(axes, keepdims=True)
        heat = jax.nn.relu((weight * out).sum(-1).astype(jnp.float32))
        return heat / jnp.maximum(heat.max(axes, keepdims=True), 1e-12)

    return np.asarray(maps(x, jnp.asarray(classes)))
