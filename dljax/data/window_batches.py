"""Batches of windows, cut out of the rows of a series inside the compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dljax.data import feed
from dljax.data.feed import Batch, Examples, Feed

EVALUATION_BATCH = 256


def cutter(
    window: int, horizon: int, columns: int, covariates: int
) -> Callable[[jax.Array, jax.Array], Batch]:
    """(rows [T, C + K1], starts [B]) -> the batch."""

    def cut(rows: jax.Array, starts: jax.Array) -> Batch:
        def one(start):
            return jax.lax.dynamic_slice_in_dim(rows, start, window + horizon)

        pieces = jax.vmap(one)(starts)
        past, future = pieces[:, :window], pieces[:, window:]
        return {
            "past": past[..., :columns],
            "past_known": past[..., columns:],
            "future": future[..., :columns],
            "future_known": future[..., columns + covariates :],
        }

    return cut


def train_feed(values, known, starts, batch_size, cut) -> Feed:
    """Training batches: the windows that begin at `starts`, a fresh order each epoch."""
    inner = feed.in_memory({"start": starts}, batch_size)
    arrays = {"rows": np.concatenate([values, known], -1), **inner.arrays}

    def batch(arrays: Any, item: Any) -> Batch:
        return cut(arrays["rows"], arrays["start"][item])

    return Feed(inner.chunk, batch, arrays)


def examples(values, known, starts, size, multiple, cut) -> Examples:
    """Each of the windows once, in masked batches."""
    inner = feed.examples({"start": starts}, size, multiple)
    arrays = {"rows": np.concatenate([values, known], -1), **inner.arrays}

    def batch(arrays: Any, item: Any) -> Batch:
        picked = inner.batch({"start": arrays["start"]}, item)
        return {**cut(arrays["rows"], picked["start"]), feed.MASK: picked[feed.MASK]}

    return Examples(inner.chunks, batch, arrays)
