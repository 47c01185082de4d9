"""An n-gram model of the texts that were trained on, for decoding.

Interpolated Witten-Bell smoothing (Witten & Bell 1991): a context h that was followed by d(h)
different symbols in n(h) places gives

    p(c | h) = (n(h c) + d(h) p(c | h')) / (n(h) + d(h)),   h' = h without its first symbol,

and the empty context falls back on the uniform distribution. Decoding asks for one symbol at a
time, of texts that may be few, for which the counts of counts that Kneser-Ney needs
(`rnn.language.ngrams`, for whole arrays) mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

END = 0  # the number of the end of a text; it stands where CTC has its blank
BEGIN = -1


class NGram(NamedTuple):
    """counts: context -> {symbol: count}; order: symbols of a context and its successor."""

    order: int
    symbols: int
    counts: dict[tuple[int, ...], dict[int, int]]

    def context(self, past: tuple[int, ...]) -> tuple[int, ...]:
        """What of the symbols so far the next one depends on."""
        if self.order == 1:
            return ()
        size = self.order - 1
        return ((BEGIN,) * size + past)[-size:]

    def log_p(self, symbol: int, past: tuple[int, ...]) -> float:
        """Natural log of the probability that `symbol` (END: nothing more) follows the past."""
        p, context = 1 / self.symbols, self.context(past)
        for begin in range(len(context), -1, -1):
            known = self.counts.get(context[begin:])
            if known:
                p = (known.get(symbol, 0) + len(known) * p) / (sum(known.values()) + len(known))
        return math.log(p)


def fit(texts: Sequence[Sequence[int]], order: int, symbols: int) -> NGram:
    """Counts texts of symbols 1 to symbols - 1; ValueError for an order below 1."""
    if order < 1:
        raise ValueError(f"an n-gram model is of order 1 or more, not {order}")
    counts: dict[tuple[int, ...], dict[int, int]] = {}
    for text in texts:
        padded = (BEGIN,) * (order - 1) + tuple(text) + (END,)
        for end in range(order - 1, len(padded)):
            for size in range(order):
                found = counts.setdefault(padded[end - size : end], {})
                found[padded[end]] = found.get(padded[end], 0) + 1
    return NGram(order, symbols, counts)


def perplexity(model: NGram, texts: Sequence[Sequence[int]]) -> float:
    """Of texts, their ends included."""
    total, count = 0.0, 0
    for text in texts:
        for i, symbol in enumerate((*text, END)):
            total += model.log_p(symbol, tuple(text[:i]))
            count += 1
    return math.exp(-total / count)
