"""The parameters of a module."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.errors import ScopeParamShapeError
from jax import Array


def param(
    module: nn.Module, name: str, init: Callable, shape: tuple[int, ...], *dtype: Any
) -> Array:
    """As `module.param(name, init, shape, *dtype)`, sooner: no initialiser is traced for nothing.

    To compare its shape, Flax traces the initialiser of each parameter at each call of a network;
    this asks for the shape alone. Raises ScopeParamShapeError as Flax does.
    """
    if module.is_initializing() or not module.has_variable("params", name):
        return module.param(name, init, shape, *dtype)
    value = nn.meta.unbox(module.get_variable("params", name))
    if jnp.shape(value) != tuple(shape):
        raise ScopeParamShapeError(name, module.scope.path_text, jnp.shape(value), shape)
    return value
