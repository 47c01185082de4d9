"""What the loop takes its batches from: the data contract.

The batch of a step is a pure function of (seed, step), so resuming needs no iterator state and a
seed trained beside others sees what it would see alone. A feed has three parts: arrays that lie on
the device for the whole run, a host function that makes the small items of a chunk of steps, and a
pure function, run inside the compiled program, that makes the batch of one item.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.data import class_balance
from dljax.data.streaming import Stream

Batch = Any
Item = Any

MASK = "example_mask"
"""The feed's own key in an evaluation batch: 1 for an example, 0 for padding; no data has it."""


def _identity(arrays: Any, item: Item) -> Batch:
    del arrays
    return item


class Feed(NamedTuple):
    """Training batches.

    arrays: pytree, put on the device once and passed to the program as an argument.
    chunk: (seed, step, k) -> items [k, batch, ...] of steps step .. step+k-1, as numpy arrays.
    batch: (arrays, item) -> the task's batch; pure, traced.
    rows: batch size, where `chunk` takes a slice of the rows to make as its last argument, so that
    each of several processes makes its own; 0: it makes all.
    """

    chunk: Callable[..., Item]
    batch: Callable[[Any, Item], Batch] = _identity
    arrays: Any = ()
    rows: int = 0

    def item_bytes(self) -> int:
        """Size of one step's item on the host."""
        one = (slice(0, 1),) if self.rows else ()
        return max(self.rows, 1) * sum(x.nbytes for x in jax.tree.leaves(self.chunk(0, 0, 1, *one)))


class Examples(NamedTuple):
    """Evaluation batches, each example exactly once, the last batch padded and masked.

    Parts whose batches are made by the same function, of the same shapes, share one program.

    items: () -> iterator of items [batch, ...]; batches carry MASK, float32 [batch].
    arrays, batch: as in Feed. rows: as in Feed, of `items`.
    """

    items: Callable[..., Iterator[Item]]
    batch: Callable[[Any, Item], Batch] = _identity
    arrays: Any = ()
    rows: int = 0


def batches(examples: Examples) -> Iterator[Batch]:
    """Each evaluation batch, with its MASK, for what looks at examples outside of the loop."""
    return (examples.batch(examples.arrays, item) for item in examples.items())


def empty() -> Feed:
    """The feed of a task that makes its own data (reinforcement learning): its batch is ()."""
    return Feed(chunk=lambda seed, step, k: (), batch=lambda arrays, item: ())


def in_memory(
    arrays: dict[str, np.ndarray],
    batch_size: int,
    pick: Callable[[int], np.ndarray] | None = None,
    weights: np.ndarray | None = None,
) -> Feed:
    """Batches gathered on the device from arrays [examples, ...].

    pick: seed -> indices of the examples that this seed trains on; by default all.
    weights: [examples], how often each is drawn (`class_balance.draw`); by default all alike.

    Each epoch is a fresh permutation, or a fresh draw of as many examples by the weights: a pure
    function of (seed, epoch). A batch may run over the end of an epoch, so none is ever dropped.
    """
    n = _length(arrays)
    if not 0 < batch_size <= n:
        raise ValueError(f"batch_size={batch_size} must be between 1 and the {n} training examples")

    @functools.lru_cache(maxsize=64)
    def order(seed: int, epoch: int) -> np.ndarray:
        picked = n if pick is None else pick(seed)
        random = np.random.default_rng([seed, epoch])
        if weights is None:
            return random.permutation(picked).astype(np.int32)
        index = np.arange(n) if pick is None else picked
        return index[class_balance.draw(random, weights[index])].astype(np.int32)

    def chunk(seed: int, step: int, k: int) -> np.ndarray:
        n = len(order(seed, 0))
        first, end = step * batch_size, (step + k) * batch_size
        epochs = [
            order(seed, e)[max(first - e * n, 0) : end - e * n]
            for e in range(first // n, -(-end // n))
        ]
        return np.concatenate(epochs).reshape(k, batch_size)

    return Feed(chunk, lambda arrays, index: jax.tree.map(lambda x: x[index], arrays), arrays)


def examples(arrays: dict[str, np.ndarray], batch_size: int, multiple: int = 1) -> Examples:
    """All of arrays [examples, ...] once, in order, in masked batches.

    The batch is at most `batch_size`, no larger than the data needs, and a multiple of `multiple`.
    """
    n = _length(arrays)
    size = -(-min(batch_size, n) // multiple) * multiple

    def items() -> Iterator[Item]:
        for first in range(0, n, size):
            index = np.arange(first, first + size)
            batch = {name: x[np.minimum(index, n - 1)] for name, x in arrays.items()}
            yield {**batch, MASK: (index < n).astype(np.float32)}

    return Examples(items)


def common_batch(batch_size: int, *lengths: int) -> int:
    """The `batch_size` of `examples` with which parts of so many examples share one program.

    That of the shortest part (0: there is none), unless the others' would be four times as large.
    """
    sizes = [min(batch_size, n) for n in lengths if n]
    return min(sizes) if 4 * min(sizes) >= max(sizes) else batch_size


def _check_keys(arrays: dict[str, np.ndarray]) -> None:
    if not isinstance(arrays, Mapping):
        raise ValueError(
            'arrays must be a dict, such as {"image": images, "label": labels}, not a '
            f"{type(arrays).__name__}"
        )
    if MASK in arrays:
        raise ValueError(f"{MASK!r} is the feed's own key: give the array of the data another name")


def _length(arrays: dict[str, np.ndarray]) -> int:
    _check_keys(arrays)
    lengths = {name: len(x) for name, x in arrays.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise ValueError(f"arrays of a data set must have the same, non-zero length, not {lengths}")
    return next(iter(lengths.values()))


def streamed(stream: Stream) -> Feed:
    """Batches read from a stream, the next chunk while the device works on this one."""
    return Feed(stream.chunk, rows=stream.batch_size)


def streamed_examples(stream: Stream) -> Examples:
    """All examples of a stream once, one masked batch at a time."""

    def items(rows: slice = slice(None)) -> Iterator[Item]:
        for batch, mask in stream.evaluation_batches(rows):
            _check_keys(batch)
            yield {**batch, MASK: mask}

    return Examples(items, rows=stream.batch_size)
