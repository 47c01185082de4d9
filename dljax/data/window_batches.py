"""Batches of windows, cut out of the rows of a series inside the compiled program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.data import feed
from dljax.data.feed import Batch, Examples, Feed

EVALUATION_BATCH = 256


class Cutter(NamedTuple):
    """Cuts windows out of rows [T, C + K1]: (rows, starts [B]) -> the batch."""

    window: int
    horizon: int
    columns: int
    covariates: int

    def __call__(self, rows: jax.Array, starts: jax.Array) -> Batch:
        def one(start):
            return jax.lax.dynamic_slice_in_dim(rows, start, self.window + self.horizon)

        pieces = jax.vmap(one)(starts)
        past, future = pieces[:, : self.window], pieces[:, self.window :]
        return {
            "past": past[..., : self.columns],
            "past_known": past[..., self.columns :],
            "future": future[..., : self.columns],
            "future_known": future[..., self.columns + self.covariates :],
        }

    def examples(self, rows: jax.Array, item: Any) -> Batch:
        """The same of an item of `examples`, with its mask."""
        return {**self(rows, item["start"]), feed.MASK: item[feed.MASK]}


def train_feed(values, known, starts, batch_size, cut: Cutter) -> Feed:
    """Training batches: the windows that begin at `starts`, a fresh order each epoch."""
    inner = feed.in_memory({"start": starts}, batch_size)
    arrays = {"rows": np.concatenate([values, known], -1), **inner.arrays}

    def batch(arrays: Any, item: Any) -> Batch:
        return cut(arrays["rows"], arrays["start"][item])

    return Feed(inner.chunk, batch, arrays)


def examples(values, known, starts, size, multiple, cut: Cutter) -> Examples:
    """Each of the windows once, in masked batches."""
    items = feed.examples({"start": starts}, size, multiple).items
    return Examples(items, cut.examples, np.concatenate([values, known], -1))


def held_out(values, known, starts, batch_size, multiple, cut: Cutter) -> tuple[Examples, Examples]:
    """The windows of the validation and of the test part, in batches of one size.

    starts: of each part's windows. batch_size: of training.
    """
    parts = starts["validation"], starts["test"]
    size = feed.common_batch(max(batch_size, EVALUATION_BATCH), *map(len, parts))
    validation, test = (examples(values, known, part, size, multiple, cut) for part in parts)
    return validation, test
