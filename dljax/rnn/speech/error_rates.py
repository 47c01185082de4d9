"""Word and character error rates, their intervals, and what was taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

REPETITIONS = 1000
ABSENT = ""  # in place of a token that one side lacks

Pairs = list[tuple[Hashable, Hashable]]


class Rate(NamedTuple):
    """Edits over tokens of the references, with the 95 % interval of the bootstrap."""

    value: float
    low: float
    high: float


def align(reference: Sequence[Hashable], found: Sequence[Hashable]) -> Pairs:
    """Pairs of tokens with the fewest edits (Levenshtein 1966); ABSENT for a deletion or insertion.

    Of several such alignments, the one that substitutes as late as possible from the end.
    """
    n, m = len(reference), len(found)
    cost = np.zeros((n + 1, m + 1), int)
    cost[:, 0], cost[0] = np.arange(n + 1), np.arange(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            changed = cost[i - 1, j - 1] + (reference[i - 1] != found[j - 1])
            cost[i, j] = min(changed, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    pairs: Pairs = []
    i, j = n, m
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (reference[i - 1] != found[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((reference[i], found[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((reference[i], ABSENT))
        else:
            j -= 1
            pairs.append((ABSENT, found[j]))
    return pairs[::-1]


def edits(reference: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions between two sequences."""
    row = list(range(len(found) + 1))
    for i, a in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(found, 1):
            before, row[j] = row[j], min(before + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def word_error_rate(references: Sequence[str], found: Sequence[str], seed: int = 0) -> Rate:
    """Over words: texts are split at white space."""
    return rate([text.split() for text in references], [text.split() for text in found], seed)


def character_error_rate(references: Sequence[str], found: Sequence[str], seed: int = 0) -> Rate:
    """Over characters, spaces included."""
    return rate(references, found, seed)


def rate(references: Sequence[Sequence], found: Sequence[Sequence], seed: int = 0) -> Rate:
    """All edits over all tokens of the references, with its interval.

    The interval: utterances are drawn with replacement (Bisani & Ney 2004), and 2.5 % of the rates
    lie on either side of it. Raises ValueError where no reference has a token.
    """
    pairs = zip(references, found, strict=True)
    counts = np.array([(edits(a, b), len(a)) for a, b in pairs], float).reshape(-1, 2)
    if not counts[:, 1].sum():
        raise ValueError("no reference has a token to be wrong about")
    random = np.random.default_rng(seed)
    drawn = counts[random.integers(0, len(counts), (REPETITIONS, len(counts)))].sum(1)
    rates = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.percentile(rates, [2.5, 97.5])
    total = counts.sum(0)
    return Rate(float(total[0] / total[1]), float(low), float(high))


def confusions(references: Sequence[Sequence], found: Sequence[Sequence]) -> Counter:
    """How often each token was taken for another: (token, found) -> count, right ones too."""
    pairs = zip(references, found, strict=True)
    return Counter(pair for a, b in pairs for pair in align(a, b))
