"""Arithmetic of windows that slide over images, shared by convolution, pooling and shapes."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

Pair = int | Sequence[int]
Pads = tuple[tuple[int, int], tuple[int, int]]
Padding = str | int | Sequence[Sequence[int]]


def pair(value: Pair, name: str) -> tuple[int, int]:
    """One positive number for both axes, or one for each."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v > 0 for v in pair):
        raise ValueError(f"{name} must be a positive integer or two of them, got {value!r}")
    return pair


def pad_pairs(
    padding: Padding,
    size: tuple[int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Pads:
    """Explicit ((top, bottom), (left, right)) of a padding, for an image of `size` (H, W).

    'SAME' gives ceil(size / stride) outputs, with the odd pixel of padding below and right.
    """
    if padding == "VALID":
        return ((0, 0), (0, 0))
    if padding == "SAME":
        pads = []
        for n, k, s, d in zip(size, kernel, strides, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            pads.append((total // 2, total - total // 2))
        return tuple(pads)
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    if isinstance(padding, str):
        raise ValueError(f"padding must be 'SAME', 'VALID', a number or pairs, got {padding!r}")
    pads = tuple(tuple(p) if isinstance(p, Sequence) else (p, p) for p in padding)
    if len(pads) != 2 or any(len(p) != 2 for p in pads):
        raise ValueError(f"padding must be ((top, bottom), (left, right)), got {padding!r}")
    return pads


def output_size(n: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int = 1) -> int:
    """How many places a window takes along an axis of n pixels; ValueError when it has none."""
    room = n + sum(pads) - dilation * (kernel - 1) - 1
    if room < 0:
        span = dilation * (kernel - 1) + 1
        raise ValueError(f"a window of {span} does not fit into {n} pixels padded by {pads}")
    return room // stride + 1


def gradient_pads(
    n: int,
    kernel: int,
    out: int,
    stride: int,
    pads: tuple[int, int],
    hole: int = 1,
    dilation: int = 1,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pads with which the gradients of images and of kernel are windows again, along an axis.

    Of n pixels, `hole` apart, that windows of `kernel` see at `out` places: the first for `out`
    pixels, `stride` apart, and the flipped kernel; the second for the images as they are.
    """
    low, high = pads
    reach = dilation * (kernel - 1)
    unseen = hole * (n - 1) + 1 + low + high - reach - 1 - stride * (out - 1)
    return (reach - low, reach - high + unseen), (low, high - unseen)


def padded(x: Array, pads: Pads, fill: float = 0, holes: tuple[int, int] = (1, 1)) -> Array:
    """Images [N, H, W, C] with `fill` around and between pixels; negative pads cut pixels off."""
    if pads == ((0, 0), (0, 0)) and holes == (1, 1):
        return x
    widths = ((0, 0, 0), *((*p, hole - 1) for p, hole in zip(pads, holes, strict=True)), (0, 0, 0))
    return lax.pad(x, jnp.asarray(fill, x.dtype), widths)
