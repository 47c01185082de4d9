"""A text as tokens in streams: batches for truncated backpropagation, and streams to score.

Training reads the text in as many streams as the batch has rows: row b reads the b-th part of it,
`length` tokens a step, and the state of the network is carried from step to step. At the end of
an epoch all rows begin again, a few tokens further on, with a fresh state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.feed import Examples, Feed
from dljax.data.feed import examples as masked_examples
from dljax.data.tokens import BORDER, Tokens

WARM_UP = 512  # tokens that a stream of `streams` reads before those that it scores


class Split(NamedTuple):
    """Parts of a text, each a tuple of documents: the first part is trained on."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def split(documents: Sequence[str], validation: float, test: float) -> Split:
    """Cuts a text by position, at int(share * characters), within a document where that falls so.

    Raises ValueError where a part that was asked for would be empty.
    """
    total = sum(map(len, documents))
    first = int(total * (1 - validation - test) + 1e-6)
    second = int(total * (1 - test) + 1e-6)
    parts = Split(
        *(_between(documents, *ends) for ends in ((0, first), (first, second), (second, total)))
    )
    for name, share, part in zip(parts._fields, (1, validation, test), parts, strict=True):
        if share and not part:
            raise ValueError(f"a text of {total} characters is too short for a {name} part")
    return parts


def _between(documents: Sequence[str], begin: int, end: int) -> tuple[str, ...]:
    """The documents, or parts of them, between two positions of all characters."""
    parts, position = [], 0
    for text in documents:
        part = text[max(begin - position, 0) : max(end - position, 0)]
        parts += [part] if part else []
        position += len(text)
    return tuple(parts)


def encoded(tokens: Tokens, documents: Sequence[str]) -> np.ndarray:
    """All documents as one array int32 [N], each after a border."""
    border = np.array([BORDER], np.int32)
    return np.concatenate([x for text in documents for x in (border, tokens.encode(text))])


def feed(ids: np.ndarray, batch_size: int, length: int) -> Feed:
    """Batches of a step: tokens int32 [B, length + 1], and reset bool [B] where streams begin.

    ids: int32 [N]. A token is read and then predicts the next one, so neighbours in time share one
    token. Raises ValueError for a text that is too short.
    """
    steps = (len(ids) - 1) // (batch_size * length)
    if steps < 1:
        raise ValueError(
            f"the training part has {len(ids)} tokens, fewer than the {batch_size * length + 1} of "
            "one step: lower batch_size or bptt"
        )
    rest = len(ids) - 1 - steps * batch_size * length

    def one(seed: int, step: int) -> dict[str, np.ndarray]:
        epoch, position = divmod(step, steps)
        offset = np.random.default_rng([seed, epoch]).integers(rest + 1)
        row = np.arange(batch_size, dtype=np.int64)
        first = offset + (row * steps + position) * length
        return {"first": first.astype(np.int32), "reset": np.full(batch_size, position == 0)}

    def chunk(seed: int, step: int, k: int) -> dict[str, np.ndarray]:
        items = [one(seed, step + i) for i in range(k)]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def batch(arrays: Any, item: Any) -> dict[str, Any]:
        index = item["first"][:, None] + np.arange(length + 1)
        return {"tokens": arrays["ids"][index], "reset": item["reset"]}

    return Feed(chunk, batch, {"ids": ids})


def streams(ids: np.ndarray, count: int, multiple: int, warm_up: int = WARM_UP) -> dict[str, Any]:
    """Every token of a text but the first once, in `count` streams.

    A stream begins with the `warm_up` tokens before those that it scores (the first one with the
    first token), so that its state is nearly that of one long stream.
    Returns tokens int32 [count, L + 1] and scored bool [count, L]: whether tokens[:, 1:] counts; L
    is a multiple of `multiple`.
    """
    total = len(ids) - 1
    count = max(min(count, total), 1)
    ends = np.linspace(0, total, count + 1).round().astype(int)
    begins = np.maximum(ends[:-1] - warm_up, 0)
    width = -(-int((ends[1:] - begins).max()) // multiple) * multiple
    tokens = np.full((count, width + 1), BORDER, np.int32)
    scored = np.zeros((count, width), bool)
    for row, (begin, first, end) in enumerate(zip(begins, ends[:-1], ends[1:], strict=True)):
        tokens[row, : end - begin + 1] = ids[begin : end + 1]
        scored[row, first - begin : end - begin] = True
    return {"tokens": tokens, "scored": scored}


def examples(
    ids: np.ndarray, count: int, multiple: int, batch_multiple: int = 1, warm_up: int = WARM_UP
) -> Examples:
    """The `streams` of a text, all in one batch."""
    arrays = streams(ids, count, multiple, warm_up)
    return masked_examples(arrays, len(arrays["tokens"]), batch_multiple)
