"""Convolutions on a CPU in C++ (convolution.cc), which XLA calls: faster than those it compiles.

    with library(registered):  # the name that dljax.train.native.library returns
        train(...)

`dljax.nn.convolution.conv` uses them for what is traced inside, of float32 and not depthwise.
The bits of a result depend on neither the number of threads nor on timing; beside XLA's own
convolutions they differ by rounding. Gradients of the gradients are XLA's own.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.window import Pads

# The prefix of the registered functions; None where XLA's own convolutions are used. It is part of
# the key under which jax.jit keeps what it traced.
library = jax.make_user_context(None)

Function = Callable[[Array, Array], Array]
Geometry = tuple[str, tuple[int, int], Pads, tuple[int, int]]  # library, strides, pads, dilation


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def conv(geometry: Geometry, fallback: Function, x: Array, w: Array) -> Array:
    """Images [N, H, W, I] and a kernel [KH, KW, I, O] to [N, H', W', O].

    fallback: computes the same by other means, for the gradients of the gradients.
    """
    shape = jax.eval_shape(fallback, x, w).shape
    return _call("forward", geometry, shape, x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _gradients(
    geometry: Geometry, fallback: Function, x: Array, w: Array, g: Array
) -> tuple[Array, Array]:
    return (
        _call("images", geometry, x.shape, g, w),
        _call("kernel", geometry, w.shape, x, g),
    )


def _call(name: str, geometry: Geometry, shape: tuple[int, ...], a: Array, b: Array) -> Array:
    library, strides, pads, dilation = geometry
    result = jax.ShapeDtypeStruct(shape, jnp.float32)
    call = jax.ffi.ffi_call(f"{library}_{name}", result, vmap_method="sequential")
    attributes = {"stride": strides, "low": [low for low, _ in pads], "dilation": dilation}
    axes = {
        f"{k}_{axis}": v
        for k, pair in attributes.items()
        for axis, v in zip("hw", pair, strict=True)
    }
    return call(a, b, **axes)


conv.defvjp(
    lambda geometry, fallback, x, w: (conv(geometry, fallback, x, w), (x, w)),
    lambda geometry, fallback, residuals, g: _gradients(geometry, fallback, *residuals, g),
)
_gradients.defvjp(
    lambda geometry, fallback, *args: (_gradients(geometry, fallback, *args), args),
    lambda geometry, fallback, args, gs: jax.vjp(
        lambda x, w, g: jax.vjp(fallback, x, w)[1](g), *args
    )[1](gs),
)
