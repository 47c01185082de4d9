"""The dense (fully connected) layer."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.parameters import param


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """Multiply features [..., I] with weights [I, O] and add a bias [O]: [..., O].

    Raises ValueError when I differs.
    """
    if x.shape[-1] != w.shape[0]:
        raise ValueError(f"dense of {x.shape[-1]} features does not fit weights {w.shape}")
    y = x @ w
    return y if b is None else y + b


def dense_reference(x: Array, w: Array, b: Array | None = None) -> Array:
    """The definition: y[..., o] = b[o] + sum over i of x[..., i] w[i, o]."""
    y = jnp.zeros((*x.shape[:-1], w.shape[1]), x.dtype)
    for i in range(w.shape[0]):
        y += x[..., i, None] * w[i]
    return y if b is None else y + b


class Dense(nn.Module):
    """A dense layer with the fields and parameters of `flax.linen.Dense`, on `dense`."""

    features: int
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[-1], self.features)
        kernel = param(self, "kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = param(self, "bias", self.bias_init, (self.features,), self.param_dtype)
        return dense(*nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype))
