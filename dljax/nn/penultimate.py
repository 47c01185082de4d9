"""The features of a classifier: the inputs of its last layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

HEAD = "classifier"  # name of the last layer of every network in dljax.nn


def penultimate(model: nn.Module, variables: Any, images: Array) -> tuple[Array, Array]:
    """Features float32 [B, D] and logits [B, classes] of normalised images [B, H, W, C].

    Features are the inputs of the layer named "classifier", which every network of dljax.nn has;
    their mean over the image where that layer is a convolution. ValueError for a model without one.
    """
    entered: list[Array] = []

    def keep(function: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        if context.module.name == HEAD and context.method_name == "__call__":
            entered.append(args[0])
        return function(*args, **kwargs)

    with nn.intercept_methods(keep):
        logits = model.apply(variables, images, train=False)
    if not entered:
        raise ValueError(f"{type(model).__name__} has no layer named {HEAD!r}")
    features = entered[0].astype(jnp.float32)
    return features.mean((1, 2)) if features.ndim == 4 else features, logits
