"""Batch and group normalisation with a gradient written by hand.

BatchNorm: Ioffe & Szegedy 2015, arXiv:1502.03167. GroupNorm: Wu & He 2018, arXiv:1803.08494. Both
subtract a mean and divide by a deviation, which are taken over all images, for each channel, or
over one image, for each group of channels. They differ in nothing else, so one function serves.
The gradient needs two sums over the pixels, as the statistics do (`sum_pixels`).

A variance is E[(x - s)^2] - E[x - s]^2 with s the mean of the middle row of each image. Without s
the difference loses all digits where the mean is far larger than the deviation. As s is the mean of
1/H of the values, E[x - s]^2 is at most H - 1 times the variance, so that of float32's 24 bits no
more than log2(H) are lost, and no second pass over the pixels is needed (shifted data: Chan, Golub
& LeVeque 1983, The American Statistician 37, section 2).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from dljax.nn.parameters import param
from dljax.nn.spatial_sum import sum_pixels


class BatchNorm(nn.Module):
    """Batch normalisation with the fields and variables of `flax.linen.BatchNorm`.

    Takes [B, ..., C] to the same; parameters `scale` and `bias`, running statistics `mean` and
    `var` in the collection `batch_stats`, all in float32. Padding masks and statistics over named
    axes are not offered: inside a jit over devices the batch is the global one.
    """

    use_running_average: bool | None = None
    momentum: float = 0.99
    epsilon: float = 1e-5
    dtype: Any = None
    param_dtype: Any = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Callable = nn.initializers.zeros
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array, use_running_average: bool | None = None) -> Array:
        average = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        shape = x.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        scale, bias, dtype = _scale_and_bias(self, x)
        if average:
            y = (x - mean.value) * (lax.rsqrt(var.value + self.epsilon) * scale) + bias
            return y.astype(dtype)
        y, batch_mean, batch_var = _normalize(None, self.epsilon, _images(x), scale, bias)
        if not self.is_initializing():
            old, new = self.momentum, 1 - self.momentum
            mean.value = old * mean.value + new * lax.stop_gradient(batch_mean[0])
            var.value = old * var.value + new * lax.stop_gradient(batch_var[0])
        return y.reshape(x.shape).astype(dtype)


class GroupNorm(nn.Module):
    """Group normalisation with the fields and parameters of `flax.linen.GroupNorm`.

    Takes [B, ..., C] to the same. Raises ValueError when C is no multiple of the groups.
    """

    num_groups: int = 32
    epsilon: float = 1e-6
    dtype: Any = None
    param_dtype: Any = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Callable = nn.initializers.zeros
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if x.shape[-1] % self.num_groups:
            raise ValueError(f"{x.shape[-1]} channels do not make {self.num_groups} equal groups")
        scale, bias, dtype = _scale_and_bias(self, x)
        y, _, _ = _normalize(self.num_groups, self.epsilon, _images(x), scale, bias)
        return y.reshape(x.shape).astype(dtype)


def _images(x: Array) -> Array:
    """[B, ..., C] as float32 [B, H, W, C]."""
    h = x.shape[1] if x.ndim > 2 else 1
    return x.reshape(x.shape[0], h, -1, x.shape[-1]).astype(jnp.float32)


def _scale_and_bias(module: nn.Module, x: Array) -> tuple[Array, Array, Any]:
    shape = x.shape[-1:]
    if module.use_scale:
        scale = param(module, "scale", module.scale_init, shape, module.param_dtype)
    else:
        scale = jnp.ones(shape)
    if module.use_bias:
        bias = param(module, "bias", module.bias_init, shape, module.param_dtype)
    else:
        bias = jnp.zeros(shape)
    dtype = nn.dtypes.canonicalize_dtype(x, scale, bias, dtype=module.dtype)
    return scale.astype(jnp.float32), bias.astype(jnp.float32), dtype


def _mean(groups: int | None, sums: Array, pixels: int) -> Array:
    """The mean behind sums over pixels [N, C]: of the batch, [1, C], or of each group, [N, C]."""
    n, c = sums.shape
    if groups is None:
        return sums.sum(0, keepdims=True) / (n * pixels)
    means = sums.reshape(n, groups, -1).sum(-1) / (pixels * c // groups)
    return jnp.repeat(means, c // groups, axis=1)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _normalize(groups, epsilon, x, scale, bias) -> tuple[Array, Array, Array]:
    """Normalised images, and the means and variances; the gradient is that of the images alone."""
    return _forward(groups, epsilon, x, scale, bias)[0]


@partial(jax.jit, static_argnums=(0, 1))  # layers of one shape are traced once
def _forward(groups, epsilon, x, scale, bias):
    pixels = x.shape[1] * x.shape[2]
    row = lax.stop_gradient(x[:, x.shape[1] // 2])
    shift = _mean(groups, row.sum(1), x.shape[2])  # on which the result does not depend
    moved = x - shift[:, None, None]
    mean = _mean(groups, sum_pixels(moved), pixels)
    var = jnp.maximum(_mean(groups, sum_pixels(moved * moved), pixels) - mean * mean, 0)
    inverse = lax.rsqrt(var + epsilon)
    y = (moved - mean[:, None, None]) * (inverse * scale)[:, None, None] + bias
    return (y, shift + mean, var), (x, shift, mean, inverse, scale)


@partial(jax.jit, static_argnums=(0, 1))
def _backward(groups, epsilon, residuals, gradients):
    """With h = (x - mean) / deviation: dx = (s g - mean(s g) - h mean(s g h)) / deviation."""
    x, shift, mean, inverse, scale = residuals
    g = gradients[0]
    pixels = x.shape[1] * x.shape[2]
    centred = (x - shift[:, None, None]) - mean[:, None, None]
    sum_g, sum_gx = sum_pixels(g), sum_pixels(g * centred)
    along = inverse**2 * _mean(groups, scale * sum_gx, pixels)
    away = _mean(groups, scale * sum_g, pixels)
    dx = inverse[:, None, None] * (scale * g - away[:, None, None] - centred * along[:, None, None])
    return dx, (sum_gx * inverse).sum(0), sum_g.sum(0)


_normalize.defvjp(_forward, _backward)
