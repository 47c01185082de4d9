"""What a trained classifier sees in an image: the layer before its last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

HEAD = "classifier"  # the last layer of every network here


def penultimate(model: nn.Module, variables: Any, images: Array) -> tuple[Array, Array]:
    """Features float32 [B, D] and logits [B, classes] of normalised images [B, H, W, C].

    Features are what enters the layer named "classifier", which every network of dljax.nn has; the
    mean over the image where that is a convolution. ValueError for a model without such a layer.
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
