"""Predictions for images that are larger than what a network takes at once: overlapping windows.

Each window votes for its pixels with a weight that falls towards its border, where a network knows
least of the surroundings. Away from the borders of windows the result does not depend on them, as
long as the overlap is at least twice what the network sees to each side, and windows begin where
the network's coarsest map has a place: at multiples of its stride.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def starts(length: int, window: int, overlap: int, multiple: int = 1) -> np.ndarray:
    """First pixels of windows that cover `length`, neighbours sharing `overlap` pixels or more.

    All are multiples of `multiple`, so that the last window may reach beyond `length` by less.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"overlap must be from 0 to below the window's {window}, not {overlap}")
    if window - overlap < multiple:
        raise ValueError(f"overlap must leave {multiple} or more of the window's {window} pixels")
    if length <= window:
        return np.zeros(1, int)
    last = -(-(length - window) // multiple)  # in multiples, as the longest way between two
    gaps = -(-last // ((window - overlap) // multiple))
    return multiple * (np.arange(gaps + 1) * last // gaps)


def weight(window: tuple[int, int], overlap: int) -> np.ndarray:
    """How much each pixel of a window counts [h, w]: 1 inside, falling linearly over the overlap.

    The outer quarter of the overlap counts next to nothing: what a window sees there is cut off.
    """

    def ramp(length: int) -> np.ndarray:
        edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        dead = overlap / 4
        return np.clip((edge - dead) / max(overlap / 2, 1), 1e-6, 1)

    return np.outer(ramp(window[0]), ramp(window[1])).astype(np.float32)


def tiled(
    predict: Callable[[Array], Array],
    images: Array,
    window: tuple[int, int],
    overlap: int,
    multiple: int = 1,
) -> Array:
    """The weighted mean of a network's answers over windows: [B, H, W, C] to [B, H, W, K].

    predict: [B, h, w, C] -> [B, h, w, K], of the window's size. multiple: of what the first pixels
    of windows are multiples. Images that end before the last window are padded by mirroring. Can be
    traced: windows lie at fixed places and are taken one after another.
    """
    batch, height, width, _ = images.shape
    tops, lefts = (
        starts(length, side, overlap, multiple)
        for length, side in zip((height, width), window, strict=True)
    )
    rows, columns = (
        max(first[-1] + side - length, 0)
        for first, side, length in zip((tops, lefts), window, (height, width), strict=True)
    )
    if rows or columns:
        images = jnp.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="symmetric")
    full = images.shape[1:3]
    places = np.array([(i, j) for i in tops for j in lefts])
    share = jnp.asarray(weight(window, overlap))[None, :, :, None]

    def cut(place: Array) -> Array:
        first = (0, place[0], place[1], 0)
        return jax.lax.dynamic_slice(images, first, (batch, *window, images.shape[-1]))

    shape = jax.eval_shape(
        predict, jax.ShapeDtypeStruct((batch, *window, images.shape[-1]), images.dtype)
    )

    def one(carry: tuple[Array, Array], place: Array) -> tuple[tuple[Array, Array], None]:
        total, weights = carry
        first = (0, place[0], place[1], 0)
        answer = predict(cut(place)) * share

        def add(whole: Array, part: Array) -> Array:
            old = jax.lax.dynamic_slice(whole, first, part.shape)
            return jax.lax.dynamic_update_slice(whole, old + part, first)

        return (add(total, answer), add(weights, share)), None

    zeros = jnp.zeros((batch, *full, shape.shape[-1])), jnp.zeros((1, *full, 1))
    (total, weights), _ = jax.lax.scan(one, zeros, jnp.asarray(places))
    return (total / weights)[:, :height, :width]
