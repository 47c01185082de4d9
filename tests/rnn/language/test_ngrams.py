"""Kneser-Ney against a second implementation that counts with dictionaries, and by hand."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from dljax.rnn.language import ngrams

TEXT = np.random.default_rng(0).choice(5, 400, p=[0.4, 0.3, 0.15, 0.1, 0.05])
OTHER = np.random.default_rng(1).integers(0, 6, 60)  # 5 never occurs in TEXT
V = 6


def slow(text, vocabulary, order, discount):
    """p(w | context) by the formula, with dictionaries."""
    grams = {k: Counter(tuple(text[i - k + 1 : i + 1]) for i in range(k - 1, len(text)))
             for k in range(1, order + 1)}  # fmt: skip
    counts = {order: grams[order]}
    for k in range(1, order):
        preceded = defaultdict(set)
        for gram in grams[k + 1]:
            preceded[gram[1:]].add(gram[0])
        counts[k] = Counter({gram: len(x) for gram, x in preceded.items()})

    def p(word, context):
        k = len(context) + 1
        below = p(word, context[1:]) if k > 1 else 1 / vocabulary
        following = {g[-1]: n for g, n in counts[k].items() if g[:-1] == context and n}
        total = sum(following.values())
        if not total:
            return below
        removed = sum(min(n, discount) for n in following.values())
        return (max(following.get(word, 0) - discount, 0) + removed * below) / total

    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_against_dictionaries(order):
    model = ngrams.count(TEXT, V, 4)
    losses = ngrams.log_losses(model, OTHER, order, 0.75)
    p = slow(TEXT.tolist(), V, order, 0.75)
    for t in range(order, len(OTHER)):
        context = tuple(OTHER[t - order + 1 : t].tolist())
        assert np.exp(-losses[t]) == pytest.approx(p(int(OTHER[t]), context), rel=1e-9), t


@pytest.mark.parametrize("discount", [0.75, None])
def test_probabilities_sum_to_one(discount):
    model = ngrams.count(TEXT, V, 3)
    for context in ([0, 1], [4, 4], [5, 2], [5, 5]):
        total = sum(
            np.exp(-ngrams.log_losses(model, np.array([*context, word]), 3, discount)[-1])
            for word in range(V)
        )
        assert total == pytest.approx(1, abs=1e-9)


def test_by_hand():
    """abab: a 2, b 2; ab 2, ba 1. b follows a always: (2 - 0.5 + 0.5 p_1(b)) / 2."""
    model = ngrams.count(np.array([0, 1, 0, 1]), 2, 2)
    assert [model.size(k) for k in (1, 2)] == [2, 4]
    np.testing.assert_array_equal(model.orders[1].count, [2, 1])
    np.testing.assert_array_equal(model.orders[0].preceded, [1, 1])
    p = np.exp(-ngrams.log_losses(model, np.array([0, 1]), 2, 0.5))
    # p_1 has the continuation counts 1 and 1: (1 - 0.5 + 1 * 0.5) / 2 = 0.5
    np.testing.assert_allclose(p, [0.5, (2 - 0.5 + 0.5 * 0.5) / 2])


def test_discounts_by_hand():
    """Chen and Goodman's: of n_1 .. n_4 = 4, 2, 1, 1 the share Y is 0.5."""
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4])
    expected = [0, 1 - 2 * 0.5 * 2 / 4, 2 - 3 * 0.5 * 1 / 2, 3 - 4 * 0.5 * 1 / 1]
    np.testing.assert_allclose(ngrams._discounts(counts, None), expected)


def test_a_higher_order_is_better_on_what_repeats():
    text = np.tile([0, 1, 2, 0, 1, 3], 50)
    model = ngrams.count(text, 4, 4)
    means = [ngrams.log_losses(model, text, k, 0.75).mean() for k in (1, 2, 3, 4)]
    assert means[0] > means[1] > means[3] and means[3] < 0.1
