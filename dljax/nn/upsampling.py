"""Ways to enlarge images: transposed convolution, nearest and bilinear doubling.

A transposed convolution of stride s is usually computed on an image with s - 1 zeros between the
pixels, so that most products are with zero. Here each pixel paints the kernel onto the result: one
matrix product, whose overlapping parts are added up; its gradients are matrix products, too.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.parameters import param


def conv_transpose(x: Array, w: Array, stride: int = 2) -> Array:
    """Images [N, H, W, I] and a kernel [K, K, I, O] to [N, s H, s W, O].

    y[n, s i + a - p] is the sum of x[n, i] w[a] over both axes, p = (K - s) / 2: each pixel paints
    the kernel onto the result (`torch.nn.ConvTranspose2d(K, s, p)` with the kernel transposed).
    Raises ValueError unless K is a multiple of s and K - s is even.
    """
    k, s, (n, h, wide, i), o = w.shape[0], stride, x.shape, w.shape[-1]
    if w.shape[1] != k or k % s or (k - s) % 2:
        raise ValueError(
            f"a transposed convolution of stride {s} wants a square kernel whose side is a "
            f"multiple of it and differs from it by an even number, not {w.shape[:2]}"
        )
    m, pad = k // s, (k - s) // 2
    painted = x.reshape(-1, i) @ jnp.transpose(w, (2, 0, 1, 3)).reshape(i, -1)
    painted = painted.reshape(n, h, wide, m, s, m, s, o)
    # Tap t s + a of pixel i falls on row (i + t) s + a of the full result, from -pad on.
    full = 0.0
    for t in range(m):
        for u in range(m):
            part = painted[:, :, :, t, :, u].transpose(0, 1, 3, 2, 4, 5)
            part = part.reshape(n, h * s, wide * s, o)
            rows, columns = ((at * s, (m - 1 - at) * s) for at in (t, u))
            full += jnp.pad(part, ((0, 0), rows, columns, (0, 0)))
    return full[:, pad : pad + s * h, pad : pad + s * wide]


class ConvTranspose(nn.Module):
    """A layer of `conv_transpose`; parameters `kernel` [K, K, I, O] and, with use_bias, `bias`."""

    features: int
    kernel_size: int = 4
    stride: int = 2
    use_bias: bool = True
    dtype: Any = None
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel, bias = param(self, "kernel", self.kernel_init, shape), None
        if self.use_bias:
            bias = param(self, "bias", nn.initializers.zeros_init(), (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = conv_transpose(x, kernel, self.stride)
        return y if bias is None else y + bias


def nearest(x: Array) -> Array:
    """Each pixel four times: [N, H, W, C] to [N, 2 H, 2 W, C]."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def bilinear(x: Array) -> Array:
    """Doubled, each new pixel 3/4 of the pixel it lies in and 1/4 of the next, along both axes.

    [N, H, W, C] to [N, 2 H, 2 W, C], edges repeated; `jax.image.resize(..., "bilinear")`.
    """
    for axis in (1, 2):
        before = jnp.concatenate([_at(x, axis, 0, 1), _at(x, axis, 0, -1)], axis)
        after = jnp.concatenate([_at(x, axis, 1, None), _at(x, axis, -1, None)], axis)
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def _at(x: Array, axis: int, first: int | None, end: int | None) -> Array:
    return x[(slice(None),) * axis + (slice(first, end),)]
