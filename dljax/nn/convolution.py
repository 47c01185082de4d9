"""Two-dimensional convolution that stays fast inside `lax.scan` on a CPU, with its definition.

What it computes is `conv_reference`: a sum over the window, in plain `jax.numpy`. `conv` computes
the same:

- On a GPU or TPU it is `lax.conv_general_dilated` and its autodiff gradient.
- On a CPU, XLA has a fast routine only for convolutions whose dimensions are in the canonical order
  NHWC, HWIO, NHWC. Autodiff makes transposed ones; a compiler pass repairs them outside loops but
  not inside scans, where they run 10 to 80 times slower. So both gradients are written as canonical
  convolutions (`_window_conv`), a 1x1 convolution as a matrix product, one whose
  kernel is a multiple of its stride as a few of them, and a depthwise one as a sum of products.
- On a CPU and inside `native.library(...)`, all but depthwise ones are in C++ (dljax.nn.native).

`lax.platform_dependent` chooses between the two when the program is lowered, in the forward and in
the backward pass alike. Gradients of any order work in reverse mode.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from dljax.nn import native
from dljax.nn.depthwise import depthwise
from dljax.nn.parameters import param
from dljax.nn.spatial_sum import add_bias
from dljax.nn.window import (
    Padding,
    Pads,
    Pair,
    gradient_pads,
    output_size,
    pad_pairs,
    padded,
    pair,
)  # fmt: skip

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class Spec(NamedTuple):
    """What is static in a convolution: strides, explicit pads, dilation of the window, groups.

    library: of dljax.nn.native, what its functions are registered as; None: they are not used.
    """

    strides: tuple[int, int]
    pads: Pads
    dilation: tuple[int, int]
    groups: int
    library: str | None


def conv(
    x: Array,
    w: Array,
    *,
    strides: Pair = 1,
    padding: Padding = "SAME",
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Convolve images [N, H, W, I] with a kernel [KH, KW, I // groups, O] to [N, H', W', O].

    `padding` is 'SAME', 'VALID', one number for all sides, or ((top, bottom), (left, right)).
    Output channels O are split into `groups` runs, each of which sees its own run of I // groups
    input channels. Mixed dtypes are promoted; a CPU computes bfloat16 in float32.
    Raises ValueError when shapes and groups do not fit.
    """
    spec = _spec(x.shape, w.shape, strides, padding, dilation, groups)
    dtype = jnp.promote_types(x.dtype, w.dtype)
    return _conv(spec, x.astype(dtype), w.astype(dtype))


def conv_reference(
    x: Array,
    w: Array,
    *,
    strides: Pair = 1,
    padding: Padding = "SAME",
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """The definition: y[n, p, q, o] is the sum of x[n, p s + a d, q s + b d, i] w[a, b, i, o].

    It runs over a, b and the inputs i of o's group; s is the stride, d the dilation, x is padded.
    """
    spec = _spec(x.shape, w.shape, strides, padding, dilation, groups)
    (sh, sw), pads, (dh, dw), groups, _ = spec
    kh, kw, i, o = w.shape
    x = padded(x, pads)
    n, height, width, _ = x.shape
    oh = (height - dh * (kh - 1) - 1) // sh + 1
    ow = (width - dw * (kw - 1) - 1) // sw + 1
    y = jnp.zeros((n, oh, ow, groups, o // groups), jnp.promote_types(x.dtype, w.dtype))
    for a in range(kh):
        for b in range(kw):
            rows = slice(a * dh, a * dh + (oh - 1) * sh + 1, sh)
            columns = slice(b * dw, b * dw + (ow - 1) * sw + 1, sw)
            patch = x[:, rows, columns].reshape(n, oh, ow, groups, i)
            y += jnp.einsum("nhwgi,igo->nhwgo", patch, w[a, b].reshape(i, groups, o // groups))
    return y.reshape(n, oh, ow, o)


class Conv(nn.Module):
    """A convolutional layer with the fields and parameters of `flax.linen.Conv`, on `conv`.

    Takes [..., H, W, I] to [..., H', W', features]; parameters `kernel` and, unless
    `use_bias=False` (as before a BatchNorm), `bias`.
    """

    features: int
    kernel_size: Sequence[int]
    strides: Pair = 1
    padding: Padding = "SAME"
    kernel_dilation: Pair = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (*self.kernel_size, x.shape[-1] // self.feature_group_count, self.features)
        kernel = param(self, "kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = param(self, "bias", self.bias_init, (self.features,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = conv(
            x.reshape(-1, *x.shape[-3:]),
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation=self.kernel_dilation,
            groups=self.feature_group_count,
        )
        y = y if bias is None else add_bias(y, bias)
        return y.reshape(*x.shape[:-3], *y.shape[1:])


def _spec(x_shape, w_shape, strides, padding, dilation, groups) -> Spec:
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ValueError(f"conv wants x [N,H,W,I] and w [KH,KW,I,O], got {x_shape} and {w_shape}")
    if x_shape[3] != w_shape[2] * groups or w_shape[3] % groups:
        raise ValueError(
            f"conv of {x_shape[3]} channels in {groups} groups does not fit a kernel {w_shape}"
        )
    strides, dilation = pair(strides, "strides"), pair(dilation, "dilation")
    pads = pad_pairs(padding, x_shape[1:3], w_shape[:2], strides, dilation)
    for axis in (0, 1):
        output_size(x_shape[1 + axis], w_shape[axis], strides[axis], pads[axis], dilation[axis])
    return Spec(strides, pads, dilation, groups, native.library.value)


# The choice between platforms


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(spec: Spec, x: Array, w: Array) -> Array:
    return _forward(spec, x, w)


@partial(jax.jit, static_argnums=0)
def _forward(spec: Spec, x: Array, w: Array) -> Array:
    return lax.platform_dependent(x, w, cpu=partial(_cpu, spec), default=partial(_lax, spec))


@partial(jax.jit, static_argnums=0)
def _backward(spec: Spec, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    def gradient(f, x, w, g):
        return jax.vjp(partial(f, spec), x, w)[1](g)

    return lax.platform_dependent(
        *residuals, g, cpu=partial(gradient, _cpu), default=partial(gradient, _lax)
    )


_conv.defvjp(lambda spec, x, w: (_forward(spec, x, w), (x, w)), _backward)


def _lax(spec: Spec, x: Array, w: Array) -> Array:
    return lax.conv_general_dilated(
        x,
        w,
        spec.strides,
        spec.pads,
        rhs_dilation=spec.dilation,
        feature_group_count=spec.groups,
        dimension_numbers=DIMENSIONS,
    )


# The CPU's forms


def _cpu(spec: Spec, x: Array, w: Array) -> Array:
    dtype = x.dtype
    if dtype in (jnp.bfloat16, jnp.float16):
        return _cpu(spec, x.astype(jnp.float32), w.astype(jnp.float32)).astype(dtype)
    if spec.groups > 1 and w.shape[2] == 1:
        return _depthwise(spec, x, w)
    if spec.groups > 1:
        return _grouped(spec, x, w)
    if spec.library and dtype == jnp.float32 and x.size:
        geometry = (spec.library, spec.strides, spec.pads, spec.dilation)
        return native.conv(geometry, x, w)
    if w.shape[:2] == (1, 1):
        return _pointwise(spec, x, w)
    whole = not any(k % s for k, s in zip(w.shape, spec.strides, strict=False))
    if whole and min(spec.strides) > 1 and spec.dilation == (1, 1):
        return _blocks(spec, x, w)
    if any(p < 0 or p >= k for pads, k in zip(spec.pads, w.shape[:2], strict=True) for p in pads):
        x, spec = padded(x, spec.pads), spec._replace(pads=((0, 0), (0, 0)))
    return _window_conv(spec.strides, spec.pads, (1, 1), spec.dilation, x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _window_conv(strides, pads, holes, dilation, x: Array, w: Array) -> Array:
    """A convolution in canonical dimensions whose gradients are such convolutions again.

    `holes` spreads the pixels of x apart with zeros between them (lhs_dilation). The fast routine
    wants 24 or more output channels and several input channels. Where there are fewer, neighbouring
    outputs of a row become channels of one; with one input channel, whole rows do.
    """
    (n, _, width, i), (_, kw, _, o) = x.shape, w.shape
    out = output_size(width, kw, strides[1], pads[1], dilation[1]) if holes[1] == 1 else 0
    if i == 1 and 0 < out * o <= 512 and width <= 32:
        w = _wide(w, strides[1], dilation[1], pads[1][0], out, width).reshape(-1, 1, width, out * o)
        x, strides, pads = x.reshape(n, -1, 1, width), (strides[0], 1), (pads[0], (0, 0))
        dilation = (dilation[0], 1)
    elif out and strides[1] == 1 and 1 < kw <= 7 and (f := _at_once(out, o)) > 1:
        w = _wide(w, 1, dilation[1], 0, f, f + dilation[1] * (kw - 1))
        strides, dilation = (strides[0], f), (dilation[0], 1)
    y = lax.conv_general_dilated(x, w, strides, pads, holes, dilation, dimension_numbers=DIMENSIONS)
    return y.reshape(n, y.shape[1], -1, o)


def _at_once(out: int, channels: int) -> int:
    """How many neighbouring outputs of `out` in a row to compute as channels of one."""
    return next((f for f in range(1, 9) if out % f == 0 and f * channels >= 24), 1)


def _wide(w: Array, stride: int, dilation: int, low: int, outputs: int, width: int) -> Array:
    """A kernel [KH, width, I, outputs O] for so many neighbouring outputs of [KH, KW, I, O].

    Output t sees with its column b the pixel t stride + b dilation - low.
    """
    kh, kw, i, o = w.shape
    b, pixel, t = jnp.ogrid[:kw, :width, :outputs]
    patch = (pixel == t * stride + b * dilation - low).astype(w.dtype)
    return jnp.einsum("abio,bpt->apito", w, patch).reshape(kh, width, i, outputs * o)


def _window_conv_backward(strides, pads, holes, dilation, residuals, g):
    x, w = residuals
    axes = zip(x.shape[1:3], w.shape[:2], g.shape[1:3], strides, pads, holes, dilation, strict=True)
    dx_pads, dw_pads = zip(*(gradient_pads(*axis) for axis in axes), strict=True)
    flipped = jnp.transpose(w[::-1, ::-1], (0, 1, 3, 2))
    dx = _window_conv(holes, dx_pads, strides, dilation, g, flipped)
    # Whole pixels move first and channels after, by a product with the identity, which XLA does
    # not fuse: one transpose (3, 1, 2, 0) takes five times as long, for neighbours in its result
    # come from different images. The images stay an axis of their own, so that of a batch that is
    # split over devices each sums its own share.
    pixels = jnp.transpose(x, (1, 2, 0, 3))
    channels = jnp.einsum("ij,hwnj->ihwn", jnp.eye(x.shape[3], dtype=x.dtype), pixels)
    kernel = jnp.transpose(g, (1, 2, 0, 3))
    dw = _window_conv(dilation, dw_pads, holes, strides, channels, kernel)
    return dx, jnp.transpose(dw, (1, 2, 0, 3))


_window_conv.defvjp(lambda *args: (_window_conv(*args), args[4:]), _window_conv_backward)


def _pointwise(spec: Spec, x: Array, w: Array) -> Array:
    x = padded(x, spec.pads)[:, :: spec.strides[0], :: spec.strides[1]]
    return (x.reshape(-1, x.shape[3]) @ w[0, 0]).reshape(*x.shape[:3], w.shape[3])


def _blocks(spec: Spec, x: Array, w: Array) -> Array:
    """A kernel of whole strides: matrix products of the image cut into blocks of a stride."""
    (sh, sw), (kh, kw, i, o) = spec.strides, w.shape
    x = padded(x, spec.pads)
    n, h, wide = x.shape[0], x.shape[1] // sh, x.shape[2] // sw
    blocks = x[:, : h * sh, : wide * sw].reshape(n, h, sh, wide, sw, i)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, h, wide, sh * sw * i)
    rows, columns = h - kh // sh + 1, wide - kw // sw + 1
    y = 0.0
    for a in range(kh // sh):
        for b in range(kw // sw):
            part = w[a * sh : (a + 1) * sh, b * sw : (b + 1) * sw].reshape(-1, o)
            patch = blocks[:, a : a + rows, b : b + columns].reshape(-1, sh * sw * i)
            y += patch @ part
    return y.reshape(n, rows, columns, o)


def _depthwise(spec: Spec, x: Array, w: Array) -> Array:
    x = jnp.repeat(x, w.shape[3] // spec.groups, axis=3)
    return depthwise(spec.strides, spec.pads, (1, 1), spec.dilation, x, w[:, :, 0])


def _grouped(spec: Spec, x: Array, w: Array) -> Array:
    """One group after another."""
    one = partial(_cpu, spec._replace(groups=1))
    x = jnp.moveaxis(x.reshape(*x.shape[:3], spec.groups, -1), 3, 0)
    w = jnp.moveaxis(w.reshape(*w.shape[:3], spec.groups, -1), 3, 0)
    y = jnp.moveaxis(lax.map(lambda pair: one(*pair), (x, w)), 0, 3)
    return y.reshape(*y.shape[:3], -1)
