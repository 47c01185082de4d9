"""From the outputs of CTC to texts: best path, prefix beams with a language model, alignments."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from dljax.rnn.speech.ctc import BLANK
from dljax.rnn.speech.ngram import END, NGram

NEVER = -math.inf
LEAST = math.log(1e-3)  # symbols of a smaller probability in a frame do not extend a prefix
MOST = 10  # symbols, the blank among them, that are looked at in a frame
Tokens = tuple[int, ...]


class Decoding(NamedTuple):
    """How prefixes are weighed: log p(CTC) + weight log p(language model) + bonus tokens."""

    weight: float = 0.0
    bonus: float = 0.0
    beam: int = 16


def greedy(log_p: np.ndarray) -> Tokens:
    """The tokens of the best path: repetitions merged, blanks removed; log_p [T, symbols]."""
    best = np.asarray(log_p).argmax(-1)
    kept = (best != BLANK) & (best != np.concatenate([[BLANK], best[:-1]]))
    return tuple(int(x) for x in best[kept])


def prefix_beam(log_p: np.ndarray, how: Decoding, language: NGram | None = None) -> Tokens:
    """The best of the `how.beam` most probable prefixes, all their paths counted.

    Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition", algorithm 1:
    of each prefix the probability of its paths that end with a blank and that end with its last
    symbol. log_p [T, symbols].
    """
    added = _language_scores(how, language)
    beams: dict[Tokens, tuple[float, float]] = {(): (0.0, NEVER)}
    scores: dict[Tokens, float] = {(): 0.0}  # of the language model and the bonus
    for frame in np.asarray(log_p, np.float64):
        likely = np.argsort(-frame, kind="stable")[:MOST]
        symbols = [int(s) for s in likely if s != BLANK and frame[s] > LEAST]
        p_blank = float(frame[BLANK])
        after: dict[Tokens, list[float]] = {}
        for prefix, (blank, symbol) in beams.items():
            both = np.logaddexp(blank, symbol)
            own = after.setdefault(prefix, [NEVER, NEVER])
            own[0] = np.logaddexp(own[0], both + p_blank)
            last = prefix[-1] if prefix else BLANK
            if last != BLANK:
                own[1] = np.logaddexp(own[1], symbol + float(frame[last]))
            for s in symbols:
                longer = (*prefix, s)
                start = blank if s == last else both
                if start == NEVER:
                    continue
                if longer not in scores:
                    scores[longer] = scores[prefix] + added(s, prefix)
                new = after.setdefault(longer, [NEVER, NEVER])
                new[1] = np.logaddexp(new[1], start + float(frame[s]))
        best = heapq.nlargest(
            how.beam, after.items(), key=lambda x: np.logaddexp(*x[1]) + scores[x[0]]
        )
        beams = {prefix: (p[0], p[1]) for prefix, p in best}

    def whole(prefix: Tokens) -> float:
        end = how.weight * language.log_p(END, prefix) if language and how.weight else 0.0
        return float(np.logaddexp(*beams[prefix])) + scores[prefix] + end

    return max(beams, key=whole)


def _language_scores(how: Decoding, language: NGram | None):
    """(symbol, prefix) -> what the prefix gains when the symbol is added."""
    if language is None or not how.weight:
        return lambda symbol, prefix: how.bonus

    @cache
    def known(symbol: int, context: Tokens) -> float:
        return language.log_p(symbol, context)

    def added(symbol: int, prefix: Tokens) -> float:
        return how.weight * known(symbol, language.context(prefix)) + how.bonus

    return added


def alignment(log_p: np.ndarray, tokens: Sequence[int]) -> list[tuple[int, int]] | None:
    """The frames (first, last) of each token on the most probable path that writes the tokens.

    Viterbi's algorithm over blanks and tokens; None where there are too few frames.
    """
    log_p = np.asarray(log_p, np.float64)
    states = np.full(2 * len(tokens) + 1, BLANK)
    states[1::2] = tokens
    skip = np.zeros(len(states), bool)
    skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), NEVER)
    score[:2] = log_p[0, states[:2]]
    back = np.zeros((len(log_p), len(states)), int)
    for t in range(1, len(log_p)):
        stay = score
        one = np.concatenate([[NEVER], score[:-1]])
        two = np.where(skip, np.concatenate([[NEVER, NEVER], score[:-2]])[: len(states)], NEVER)
        moves = np.stack([stay, one, two])
        back[t] = moves.argmax(0)
        score = moves.max(0) + log_p[t, states]
    ends = [len(states) - 1] if len(states) == 1 else [len(states) - 1, len(states) - 2]
    state = max(ends, key=lambda s: score[s])
    if score[state] == NEVER:
        return None
    spans: list[tuple[int, int]] = [(0, 0)] * len(tokens)
    for t in range(len(log_p) - 1, -1, -1):
        if state % 2:
            token = state // 2
            last = spans[token][1] if spans[token] != (0, 0) else t
            spans[token] = (t, max(last, t))
        state -= back[t, state]
    return spans
