"""Three-dimensional convolution that stays fast inside `lax.scan` on a CPU, with its definition.

XLA:CPU's own routine for volumes reaches a tenth of what its routine for images does, and its
gradients inside a loop a thirtieth. So on a CPU a convolution with a kernel of depth KD is the sum
of KD convolutions of images (nn/convolution.py), each of the slices at one place of the window,
which lie in the batch axis; volumes of few channels have the KD slices beside each other as
channels of one image instead. On a GPU or TPU it is `lax.conv_general_dilated`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from dljax.nn.convolution import conv
from dljax.nn.parameters import param
from dljax.nn.spatial_sum import add_bias
from dljax.nn.window import output_size, pad_pairs

DIMENSIONS = ("NDHWC", "DHWIO", "NDHWC")
FEW = 8  # channels, below which slices are stacked


class Spec(NamedTuple):
    """What is static in a convolution: strides and explicit pads of depth, height and width."""

    strides: tuple[int, int, int]
    pads: tuple[tuple[int, int], ...]


def conv3d(
    x: Array, w: Array, *, strides: int | Sequence[int] = 1, padding: str | int = "SAME"
) -> Array:
    """Convolve volumes [N, D, H, W, I] with a kernel [KD, KH, KW, I, O] to [N, D', H', W', O].

    strides: one number, or three. padding: 'SAME', 'VALID', or one number for all sides.
    Raises ValueError when shapes do not fit.
    """
    spec = _spec(x.shape, w.shape, strides, padding)
    dtype = jnp.promote_types(x.dtype, w.dtype)
    return _conv(spec, x.astype(dtype), w.astype(dtype))


def conv3d_reference(
    x: Array, w: Array, *, strides: int | Sequence[int] = 1, padding: str | int = "SAME"
) -> Array:
    """The definition, by XLA's own convolution of volumes."""
    return _lax(_spec(x.shape, w.shape, strides, padding), x, w)


class Conv3D(nn.Module):
    """A layer of `conv3d` with the fields and parameters of `flax.linen.Conv`.

    Takes [N, D, H, W, I] to [N, D', H', W', features].
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: str | int = "SAME"
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = param(self, "kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = param(self, "bias", self.bias_init, (self.features,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = conv3d(x, kernel, strides=self.strides, padding=self.padding)
        if bias is None:
            return y
        rows = y.reshape(y.shape[0], -1, *y.shape[3:])
        return add_bias(rows, bias).reshape(y.shape)


def _spec(x_shape, w_shape, strides, padding) -> Spec:
    if len(x_shape) != 5 or len(w_shape) != 5 or x_shape[4] != w_shape[3]:
        raise ValueError(
            f"conv3d wants x [N,D,H,W,I] and w [KD,KH,KW,I,O], got {x_shape} and {w_shape}"
        )
    strides = (strides,) * 3 if isinstance(strides, int) else tuple(strides)
    if len(strides) != 3 or not all(isinstance(s, int) and s > 0 for s in strides):
        raise ValueError(f"strides must be a positive integer or three of them, got {strides!r}")
    size, kernel = x_shape[1:4], w_shape[:3]
    deep, _ = pad_pairs(padding, size[:2], kernel[:2], strides[:2])
    pads = (deep, *pad_pairs(padding, size[1:], kernel[1:], strides[1:]))
    for axis in range(3):
        output_size(size[axis], kernel[axis], strides[axis], pads[axis])
    return Spec(strides, pads)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(spec: Spec, x: Array, w: Array) -> Array:
    return _forward(spec, x, w)


@partial(jax.jit, static_argnums=0)
def _forward(spec: Spec, x: Array, w: Array) -> Array:
    return lax.platform_dependent(x, w, cpu=partial(_slices, spec), default=partial(_lax, spec))


@partial(jax.jit, static_argnums=0)
def _backward(spec: Spec, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    def gradient(f, x, w, g):
        return jax.vjp(partial(f, spec), x, w)[1](g)

    return lax.platform_dependent(
        *residuals, g, cpu=partial(gradient, _slices), default=partial(gradient, _lax)
    )


_conv.defvjp(lambda spec, x, w: (_forward(spec, x, w), (x, w)), _backward)


def _lax(spec: Spec, x: Array, w: Array) -> Array:
    return lax.conv_general_dilated(x, w, spec.strides, spec.pads, dimension_numbers=DIMENSIONS)


def _slices(spec: Spec, x: Array, w: Array) -> Array:
    """The CPU's form: images of slices, `spec.strides[0]` apart, for each place in depth."""
    (stride, *strides), (deep, *pads) = spec
    x = jnp.pad(x, ((0, 0), deep, (0, 0), (0, 0), (0, 0)))
    n, depth, height, width, i = x.shape
    kd, kh, kw, _, o = w.shape
    out = (depth - kd) // stride + 1
    images = partial(conv, strides=tuple(strides), padding=tuple(pads))

    def at(a: int) -> Array:
        return x[:, a : a + (out - 1) * stride + 1 : stride].reshape(-1, height, width, i)

    if i < FEW and kd > 1:
        kernel = w.transpose(1, 2, 0, 3, 4).reshape(kh, kw, kd * i, o)
        y = images(jnp.concatenate([at(a) for a in range(kd)], -1), kernel)
    else:
        y = sum(images(at(a), w[a]) for a in range(kd))
    return y.reshape(n, out, *y.shape[1:])
