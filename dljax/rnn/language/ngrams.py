"""N-gram models with interpolated Kneser-Ney smoothing, over whole arrays of tokens.

    p_k(w | u) = max(c(u w) - D, 0) / c(u .) + (sum_w min(c(u w), D)) / c(u .) p_(k-1)(w | u')

u are the k - 1 tokens before w and u' is u without its first (Kneser & Ney 1995; Chen & Goodman
1999, equation 4.33). Of the highest order c are counts; below, the number of different tokens that
precede u' w. Before the first order stands the uniform distribution. A context that was never seen
leaves p_(k-1) as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Order(NamedTuple):
    """The k-grams of a text. keys: sorted, (identity of the first k - 1 tokens) V + the last.

    context: identity of those k - 1 tokens, int [G]. count: int [G]. preceded: int [G], different
    tokens before it (those at the beginning of the text have none).
    """

    keys: np.ndarray
    context: np.ndarray
    count: np.ndarray
    preceded: np.ndarray


class Model(NamedTuple):
    """Counts of all orders from 1 to `len(orders)`; the identity of a k-gram is its index."""

    vocabulary: int
    orders: tuple[Order, ...]

    def size(self, order: int) -> int:
        """The number of k-grams of a model of this order: those of all k up to it."""
        return sum(len(x.keys) for x in self.orders[:order])


def count(ids: np.ndarray, vocabulary: int, order: int) -> Model:
    """The k-grams of a text int [N], k = 1 .. order."""
    ids = np.asarray(ids, np.int64)
    orders: list[Order] = []
    identity = np.zeros(len(ids), np.int64)  # of the k-gram that ends at each token; -1: too early
    for k in range(1, order + 1):
        before = _before(identity, ids, k)
        there = np.flatnonzero(before >= 0)
        keys, first, index, counts = np.unique(
            before[there] * vocabulary + ids[there],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        place = there[first]
        if orders:  # one of these precedes the (k-1)-gram with which it ends
            preceded = np.bincount(identity[place], minlength=len(orders[-1].keys))
            orders[-1] = orders[-1]._replace(preceded=preceded)
        orders.append(Order(keys, before[place], counts, np.zeros(0, np.int64)))
        identity = np.full(len(ids), -1)
        identity[there] = index
    return Model(vocabulary, tuple(orders))


def log_losses(
    model: Model, ids: np.ndarray, order: int, discount: float | None = None
) -> np.ndarray:
    """-log p [N] of each token of another text after the order - 1 before it, in nats.

    discount: D of all counts; None: one each for counts of 1, 2 and more, estimated from the counts
    of counts (modified Kneser-Ney, Chen & Goodman 1999, equation 4.32).
    """
    ids = np.asarray(ids, np.int64)
    p, identity = np.full(len(ids), 1 / model.vocabulary), np.zeros(len(ids), np.int64)
    for k in range(1, order + 1):
        grams = model.orders[k - 1]
        counts = grams.count if k == order else grams.preceded
        removed = np.minimum(_discounts(counts, discount)[np.minimum(counts, 3)], counts)
        contexts = 1 if k == 1 else len(model.orders[k - 2].keys)
        total = np.bincount(grams.context, counts, contexts)
        freed = np.bincount(grams.context, removed, contexts)
        before = _before(identity, ids, k)
        seen = (before >= 0) & (total[before] > 0)
        key = before * model.vocabulary + ids
        place = np.minimum(np.searchsorted(grams.keys, key), len(grams.keys) - 1)
        known = (before >= 0) & (grams.keys[place] == key)
        kept = np.where(known, (counts - removed)[place], 0)
        divisor = np.where(seen, total[before], 1)
        p = np.where(seen, (kept + freed[before] * p) / divisor, p)
        identity = np.where(known, place, -1)
    return -np.log(p)


def _before(identity: np.ndarray, ids: np.ndarray, k: int) -> np.ndarray:
    """The identity of the k - 1 tokens before each token; -1 where there are not so many."""
    if k == 1:
        return np.zeros(len(ids), np.int64)
    return np.concatenate([[-1], identity[:-1]])


def _discounts(counts: np.ndarray, discount: float | None) -> np.ndarray:
    """D of the counts 0, 1, 2 and 3 or more [4]."""
    if discount is not None:
        return np.array([0, discount, discount, discount])
    n = [max(int((counts == i).sum()), 1) for i in range(1, 5)]
    share = n[0] / (n[0] + 2 * n[1])
    return np.clip([0, *(i - (i + 1) * share * n[i] / n[i - 1] for i in (1, 2, 3))], 0, None)
