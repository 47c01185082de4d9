"""Pooling: the largest or the mean pixel of a window, with gradients that are quick on a CPU.

The gradient of `max_pool` goes to the largest pixel of each window; where several are equal, to the
first of them in reading order (row by row), as in PyTorch and XLA. `avg_pool` pads with zeros.
XLA:CPU's own gradients of both (select_and_scatter, a padded reduce_window) are slow loops, so here
they are sums of shifted compares or products over the places of the window.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.spatial_sum import sum_pixels
from dljax.nn.window import Padding, Pair, output_size, pad_pairs, padded, pair


def max_pool(
    x: Array, window: Pair = 2, strides: Pair | None = None, padding: Padding = "VALID"
) -> Array:
    """The largest pixel of each window: [N, H, W, C] to [N, H', W', C].

    `strides` defaults to the window; `padding` (as in `conv`) never is the largest. Raises
    ValueError when the window does not fit.
    """
    window, strides, pads = _geometry(x, window, strides, padding)
    return _max_pool(window, strides, pads, x)


def max_pool3d(
    x: Array, window: int | Sequence[int] = 2, strides: int | Sequence[int] | None = None
) -> Array:
    """The largest voxel of each window: [N, D, H, W, C] to [N, D', H', W', C], without padding.

    window, strides: one number, or those of depth, height and width; otherwise as `max_pool`.
    """
    window = (window,) * 3 if isinstance(window, int) else tuple(window)
    strides = window if strides is None else strides
    strides = (strides,) * 3 if isinstance(strides, int) else tuple(strides)
    n, depth, height, width, c = x.shape
    flat = max_pool(x.reshape(n * depth, height, width, c), window[1:], strides[1:])
    rows, columns = flat.shape[1:3]
    flat = flat.reshape(n, depth, rows * columns, c)
    deep = max_pool(flat, (window[0], 1), (strides[0], 1))
    return deep.reshape(n, -1, rows, columns, c)


def avg_pool(
    x: Array,
    window: Pair = 2,
    strides: Pair | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: [N, H, W, C] to [N, H', W', C].

    `count_include_pad=False` divides by the number of real pixels in the window.
    """
    window, strides, pads = _geometry(x, window, strides, padding)
    y = sum(_shifts(padded(x, pads, 0), window, strides))
    if count_include_pad:
        return y / (window[0] * window[1])
    real = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return y / sum(_shifts(padded(real, pads, 0), window, strides))


def global_avg_pool(x: Array) -> Array:
    """The mean over the image: [N, H, W, C] to [N, C]."""
    return sum_pixels(x) / (x.shape[1] * x.shape[2])


def global_max_pool(x: Array) -> Array:
    """The largest over the image, whose gradient ties share: [N, H, W, C] to [N, C]."""
    return x.max((1, 2))


def max_pool_reference(
    x: Array, window: Pair = 2, strides: Pair | None = None, padding: Padding = "VALID"
) -> Array:
    """The definition of `max_pool`, window by window."""
    return _each_window(x, window, strides, padding, -jnp.inf, lambda patch: patch.max((1, 2)))


def avg_pool_reference(
    x: Array,
    window: Pair = 2,
    strides: Pair | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> Array:
    """The definition of `avg_pool`, window by window."""

    def mean(patch):
        real = ~jnp.isnan(patch)
        total = jnp.where(real, patch, 0).sum((1, 2))
        return total / (patch[0, ..., 0].size if count_include_pad else real.sum((1, 2)))

    return _each_window(x, window, strides, padding, jnp.nan, mean)


def global_avg_pool_reference(x: Array) -> Array:
    """The definition of `global_avg_pool`: one window over the whole image."""
    return avg_pool_reference(x, x.shape[1:3])[:, 0, 0]


def global_max_pool_reference(x: Array) -> Array:
    """The definition of `global_max_pool`: one window over the whole image."""
    return max_pool_reference(x, x.shape[1:3])[:, 0, 0]


def _each_window(x, window, strides, padding, fill, reduce) -> Array:
    window, (sh, sw), pads = _geometry(x, window, strides, padding)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    oh = (x.shape[1] - window[0]) // sh + 1
    ow = (x.shape[2] - window[1]) // sw + 1
    rows = []
    for p in range(oh):
        patch = [x[:, p * sh : p * sh + window[0], q * sw : q * sw + window[1]] for q in range(ow)]
        rows.append(jnp.stack([reduce(s) for s in patch], 1))
    return jnp.stack(rows, 1)


def _geometry(x: Array, window: Pair, strides: Pair | None, padding: Padding):
    if x.ndim != 4:
        raise ValueError(f"pooling wants images [N,H,W,C], got {x.shape}")
    window = pair(window, "window")
    strides = window if strides is None else pair(strides, "strides")
    pads = pad_pairs(padding, x.shape[1:3], window, strides)
    for axis in (0, 1):
        output_size(x.shape[1 + axis], window[axis], strides[axis], pads[axis])
    return window, strides, pads


def _shifts(x: Array, window, strides) -> list[Array]:
    """For each place of the window, in reading order, what all windows see there."""
    (sh, sw) = strides
    oh = (x.shape[1] - window[0]) // sh + 1
    ow = (x.shape[2] - window[1]) // sw + 1
    return [
        x[:, a : a + (oh - 1) * sh + 1 : sh, b : b + (ow - 1) * sw + 1 : sw]
        for a in range(window[0])
        for b in range(window[1])
    ]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _max_pool(window, strides, pads, x: Array) -> Array:
    x = padded(x, pads, -jnp.inf)
    y = None
    for patch in _shifts(x, window, strides):
        y = patch if y is None else jnp.maximum(y, patch)
    return y


def _max_pool_forward(window, strides, pads, x):
    y = _max_pool(window, strides, pads, x)
    return y, (x, y)


def _max_pool_backward(window, strides, pads, residuals, g):
    x, y = residuals
    if window == strides and pads == ((0, 0), (0, 0)):
        return (_to_blocks(window, x, y, g),)
    shifts, transpose = jax.vjp(lambda x: _shifts(padded(x, pads, -jnp.inf), window, strides), x)
    taken = jnp.zeros(y.shape, bool)
    parts = []
    for patch in shifts:
        first = (patch == y) & ~taken
        taken |= first
        parts.append(jnp.where(first, g, 0))
    return transpose(parts)


def _to_blocks(window, x: Array, y: Array, g: Array) -> Array:
    """The gradient of windows that do not overlap, in one pass: each pixel is in one of them."""
    (a, b), (n, oh, ow, c) = window, y.shape
    shifts = _shifts(x, window, window)
    first = jnp.zeros(y.shape, jnp.int32)
    for place in reversed(range(a * b)):
        first = jnp.where(shifts[place] == y, place, first)
    place = jnp.arange(a * b).reshape(1, 1, a, 1, b, 1)
    dx = jnp.where(place == first[:, :, None, :, None], g[:, :, None, :, None], 0)
    rest = ((0, 0), (0, x.shape[1] - oh * a), (0, x.shape[2] - ow * b), (0, 0))
    return jnp.pad(dx.reshape(n, oh * a, ow * b, c), rest)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
