"""Batches of a data set larger than memory, each a pure function of (seed, step).

A source is anything with `len(source)` and `source[index] -> dict of arrays`; one that also has
`__getitems__(indices) -> list of dicts` is called for several examples at once. Every epoch visits
each example once in its own order; the order comes from grain's index shuffle, a permutation that
is computed index by index, so that neither an order nor a position is ever stored.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

Batch = dict[str, np.ndarray]

ROUNDS = 4
"""Rounds of grain's block cipher; its own default for shuffling."""


class Stream(NamedTuple):
    """Batches of a source; made by `stream`, closed by `close` or a with block."""

    source: Sequence
    batch_size: int
    transform: Callable[[dict], dict] | None
    threads: int
    pool: ThreadPoolExecutor

    def batch_at(self, seed: int, step: int) -> Batch:
        """The batch of a step: arrays [batch_size, ...]; the same for the same seed and step.

        Example j of step s is at position p = s batch_size + j of a stream of epochs without end:
        epoch p // N, each in its own order. Batches run over the ends of epochs.
        """
        first = step * self.batch_size
        return self._read(order(seed, range(first, first + self.batch_size), len(self.source)))

    def chunk(self, seed: int, step: int, count: int, rows: slice = slice(None)) -> Batch:
        """The batches of `count` steps from `step` on: arrays [count, batch_size, ...].

        rows: those of each batch that are read; one of several processes reads its own alone.
        """
        size = self.batch_size
        steps = (range(s * size, (s + 1) * size)[rows] for s in range(step, step + count))
        positions = [position for row in steps for position in row]
        batch = self._read(order(seed, positions, len(self.source)))
        return {
            name: array.reshape(count, len(positions) // count, *array.shape[1:])
            for name, array in batch.items()
        }

    def evaluation_batches(self, rows: slice = slice(None)) -> Iterator[tuple[Batch, np.ndarray]]:
        """Every example once, in the source's order, in batches of `batch_size` with their masks.

        The last batch is filled up with copies of the last example read; the mask float32
        [batch_size] is 1 for examples and 0 for such copies. rows: as in `chunk`.
        """
        total, last = len(self.source), None
        for first in range(0, total, self.batch_size):
            wanted = range(first, first + self.batch_size)[rows]
            mask = (np.array(wanted) < total).astype(np.float32)
            indices = [index for index in wanted if index < total]
            if not indices and last is None:
                indices = [total - 1]  # an example to fill up with
            batch = self._read(indices) if indices else last
            missing = len(wanted) - len(indices) if indices else len(wanted) - 1
            batch = {
                name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
                for name, array in batch.items()
            }
            last = {name: array[-1:] for name, array in batch.items()}
            yield batch, mask

    def close(self) -> None:
        """Ends the reading threads."""
        self.pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _read(self, indices: Sequence[int]) -> Batch:
        share = -(-len(indices) // self.threads)
        shares = [indices[first : first + share] for first in range(0, len(indices), share)]
        examples = [example for part in self.pool.map(self._examples, shares) for example in part]
        return {name: np.stack([e[name] for e in examples]) for name in examples[0]}

    def _examples(self, indices: Sequence[int]) -> list[dict]:
        if hasattr(self.source, "__getitems__"):
            examples = self.source.__getitems__(indices)
        else:
            examples = [self.source[index] for index in indices]
        return [self.transform(e) for e in examples] if self.transform else examples


def stream(
    source: Sequence,
    batch_size: int,
    transform: Callable[[dict], dict] | None = None,
    threads: int = 8,
) -> Stream:
    """Reads a random-access source in batches, with bounded memory.

    Args:
      source: `len(source)` examples, `source[index]` a dict of arrays or numbers of fixed
        shapes. It is called from several threads.
      batch_size: examples in a batch; it may exceed the length of the source.
      transform: applied to each example, for instance to resize it or to choose fields.
      threads: examples read at the same time.

    Raises:
      ValueError: the source is empty, or the batch size is not positive.
    """
    if not len(source):
        raise ValueError("The source to stream from has no examples.")
    if batch_size < 1:
        raise ValueError(f"The batch size must be positive, not {batch_size}.")
    return Stream(source, batch_size, transform, threads, ThreadPoolExecutor(threads))


def order(seed: int, positions: Sequence[int], length: int) -> list[int]:
    """Indices of the examples at positions of the endless stream of shuffled epochs."""
    from grain.experimental import index_shuffle

    seeds: dict[int, int] = {}
    indices = []
    for position in positions:
        epoch, place = divmod(position, length)
        if epoch not in seeds:
            seeds[epoch] = int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
        shuffled = index_shuffle(place, max_index=length - 1, seed=seeds[epoch], rounds=ROUNDS)
        indices.append(shuffled)
    return indices
