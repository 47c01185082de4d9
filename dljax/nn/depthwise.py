"""Depthwise convolution on a CPU: each channel with a window of its own, as sums of products.

XLA has no fast routine for it there, and autodiff's gradient of the sum makes a padded image for
each pixel of the window. Written out, the gradient of the images is such a sum again, and that of
the window goes through the images row by row, so that what is added up stays in the cache.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from dljax.nn.window import Pads, gradient_pads, padded

Sizes = tuple[int, int]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def depthwise(
    strides: Sizes, pads: Pads, holes: Sizes, dilation: Sizes, x: Array, w: Array
) -> Array:
    """Images [N, H, W, C] and windows [KH, KW, C] to [N, H', W', C].

    `holes` spreads the pixels of x apart with zeros between them.
    """
    x = padded(x, pads, holes=holes)
    (kh, kw, _), (sh, sw), (dh, dw) = w.shape, strides, dilation
    oh, ow = (x.shape[1] - dh * (kh - 1) - 1) // sh + 1, (x.shape[2] - dw * (kw - 1) - 1) // sw + 1
    y = 0.0
    for a in range(kh):
        for b in range(kw):
            rows = slice(a * dh, a * dh + (oh - 1) * sh + 1, sh)
            columns = slice(b * dw, b * dw + (ow - 1) * sw + 1, sw)
            y += x[:, rows, columns] * w[a, b]
    return y


def _backward(strides, pads, holes, dilation, residuals, g):
    x, w = residuals
    axes = zip(x.shape[1:3], w.shape[:2], g.shape[1:3], strides, pads, holes, dilation, strict=True)
    dx_pads = tuple(gradient_pads(*axis)[0] for axis in axes)
    dx = depthwise(holes, dx_pads, strides, dilation, g, w[::-1, ::-1])
    return dx, _window_gradient(strides, dilation, padded(x, pads, holes=holes), g, w.shape)


depthwise.defvjp(lambda *args: (depthwise(*args), args[4:]), _backward)


def _window_gradient(strides: Sizes, dilation: Sizes, x: Array, g: Array, shape: tuple) -> Array:
    """[KH, KW, C]: products of padded images [N, H, W, C] and g [N, H', W', C], added up."""
    (kh, kw, c), (sh, sw), (dh, dw) = shape, strides, dilation
    n, oh, ow, _ = g.shape

    def row(total, i):
        patch = lax.dynamic_slice_in_dim(x, i * sh, dh * (kh - 1) + 1, axis=1)
        row = lax.dynamic_index_in_dim(g, i, axis=1, keepdims=False)
        columns = [slice(b * dw, b * dw + (ow - 1) * sw + 1, sw) for b in range(kw)]
        sums = [(patch[:, a * dh, columns[b]] * row).sum(1) for a in range(kh) for b in range(kw)]
        return total + jnp.stack(sums), None

    total, _ = lax.scan(row, jnp.zeros((kh * kw, n, c), g.dtype), jnp.arange(oh))
    return total.sum(1).reshape(shape)
