"""Convolutions on a CPU in C++ (convolution.cc), which XLA calls: faster than those it compiles.

    with library(registered):  # the name that dljax.train.native.library returns
        train(...)

`dljax.nn.convolution.conv` uses them for what is traced inside, of float32 and not depthwise.
The bits of a result depend on neither the number of threads nor on timing; beside XLA's own
convolutions they differ by rounding. Their gradients, of any order, are such calls again.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.window import Pads, output_size

# The prefix of the registered functions; None where XLA's own convolutions are used. It is part of
# the key under which jax.jit keeps what it traced.
library = jax.make_user_context(None)

Geometry = tuple[str, tuple[int, int], Pads, tuple[int, int]]  # library, strides, pads, dilation
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of images x, kernel w and results y

# Summed over all places, the products of images, kernel and results are one number. From each two
# of the three, a function computes its gradient by the third; so do the gradients of all these.
FUNCTIONS = {"y": "forward", "x": "images", "w": "kernel"}
TAKES = {"y": ("x", "w"), "x": ("y", "w"), "w": ("x", "y")}


def conv(geometry: Geometry, x: Array, w: Array) -> Array:
    """Images [N, H, W, I] and a kernel [KH, KW, I, O] to [N, H', W', O]."""
    _, strides, pads, dilation = geometry
    axes = zip(x.shape[1:3], w.shape[:2], strides, pads, dilation, strict=True)
    y = (x.shape[0], *(output_size(*axis) for axis in axes), w.shape[3])
    return _product("y", geometry, (("x", x.shape), ("w", w.shape), ("y", y)), x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _product(given: str, geometry: Geometry, shapes: Shapes, a: Array, b: Array) -> Array:
    """The gradient by x, w or y, from the two that it takes."""
    library, strides, pads, dilation = geometry
    result = jax.ShapeDtypeStruct(dict(shapes)[given], jnp.float32)
    name = f"{library}_{FUNCTIONS[given]}"
    call = jax.ffi.ffi_call(name, result, vmap_method="sequential")
    attributes = {"stride": strides, "low": [low for low, _ in pads], "dilation": dilation}
    axes = {
        f"{k}_{axis}": v
        for k, pair in attributes.items()
        for axis, v in zip("hw", pair, strict=True)
    }
    return call(a, b, **axes)


def _backward(given, geometry, shapes, operands, g):
    known = {**dict(zip(TAKES[given], operands, strict=True)), given: g}
    return tuple(
        _product(x, geometry, shapes, *(known[name] for name in TAKES[x])) for x in TAKES[given]
    )


_product.defvjp(lambda *args: (_product(*args), args[3:]), _backward)
