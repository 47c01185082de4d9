"""Recordings through a trained network: its outputs, the texts in them, the choice of decoding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax.apps.speech.data import untokenize
from dljax.rnn.speech import ctc, decoding, error_rates, words
from dljax.rnn.speech.decoding import Decoding
from dljax.rnn.speech.front import Front
from dljax.rnn.speech.ngram import NGram
from dljax.train.supervised import State

AT_ONCE = 16  # recordings in one call, at most
SHORTEST = 8000  # samples: padded lengths are its doubles, so that few programs are compiled
MOST = 16 * AT_ONCE * SHORTEST  # samples in one call, padding included, of several recordings
WEIGHTS, BONUSES = (0.0, 0.3, 0.6, 1.0, 1.5), (0.0, 1.0, 2.0, 3.0)
CHOSEN_ON = 100  # recordings of the validation part


class Recogniser(NamedTuple):
    """A trained network for recordings of any length.

    classify: whether it tells words apart, or writes texts by CTC. symbols, characters: see
    SpeechData. language: the n-gram model of its training texts, where it has one.
    """

    model: nn.Module
    front: Front
    classify: bool
    symbols: tuple[str, ...]
    characters: bool
    language: NGram | None = None

    def text(self, tokens: Sequence[int]) -> str:
        return untokenize(tokens, self.symbols, self.characters)


def outputs(recogniser: Recogniser, state: State, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each recording the log probabilities [T', symbols], of a word [classes], one seed's."""
    front, statistics = recogniser.front, recogniser.front.statistics
    about = recogniser.model, front._replace(statistics=None), recogniser.classify, statistics
    found: list[np.ndarray] = [np.zeros(0)] * len(waves)
    for chosen, rows, size in pieces([len(wave) for wave in waves]):
        sound = np.zeros((rows, size), np.int16)
        samples = np.ones(rows, np.int32)
        for row, i in enumerate(chosen):
            sound[row, : len(waves[i])], samples[row] = waves[i], max(len(waves[i]), 1)
        log_p, frames = (np.asarray(x) for x in _compiled(*about, state, sound, samples))
        for row, i in enumerate(chosen):
            found[i] = log_p[row] if recogniser.classify else log_p[row, : frames[row]]
    return found


def pieces(lengths: Sequence[int]) -> Iterator[tuple[np.ndarray, int, int]]:
    """(recordings, rows, samples of a row) of each call for recordings of so many samples.

    Shorter ones first. Rows are a power of two, as few as hold the recordings, and fewer of long
    recordings: a call holds MOST samples, or one recording.
    """
    order = np.argsort(lengths, kind="stable")
    while len(order):
        rows = 2 ** min(AT_ONCE.bit_length() - 1, (len(order) - 1).bit_length())
        while rows > 1 and rows * _padded(lengths[order[:rows][-1]]) > MOST:
            rows //= 2
        chosen, order = order[:rows], order[rows:]
        yield chosen, rows, _padded(lengths[chosen[-1]])


def _padded(samples: int) -> int:
    return SHORTEST * 2 ** max(0, math.ceil(math.log2(max(samples, 1) / SHORTEST)))


def answer(recogniser: Recogniser, state: State, sound: Any, samples: Any) -> tuple[Any, Any]:
    """(log probabilities [B, classes] or [B, T', symbols], frames [B]) of sound [B, L]."""
    model, front = recogniser.model, recogniser.front
    if recogniser.classify:
        logits = words.predict_logits(model, state, front, sound, samples)
        return jax.nn.log_softmax(logits), samples
    logits, mask = ctc.predict_logits(model, state, front, sound, samples)
    return jax.nn.log_softmax(logits), mask.sum(1)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _compiled(
    model: nn.Module, front: Front, classify: bool, statistics: Any, state: State, sound: Any,
    samples: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """As `answer`, compiled once for each length."""
    recogniser = Recogniser(model, front._replace(statistics=statistics), classify, (), False)
    return answer(recogniser, state, sound, samples)


def seeds(states: State) -> int:
    """How many there are."""
    return len(jax.tree.leaves(states)[0])


def greedy_texts(recogniser: Recogniser, log_ps: Sequence[np.ndarray]) -> list[str]:
    """The texts of the best paths."""
    return [recogniser.text(decoding.greedy(log_p)) for log_p in log_ps]


def texts(recogniser: Recogniser, log_ps: Sequence[np.ndarray], how: Decoding) -> list[str]:
    """The texts by prefix beams; by the best path where the beam is 0."""
    if not how.beam:
        return greedy_texts(recogniser, log_ps)
    found = (decoding.prefix_beam(log_p, how, recogniser.language) for log_p in log_ps)
    return [recogniser.text(tokens) for tokens in found]


def choose(
    recogniser: Recogniser,
    log_ps: Sequence[np.ndarray],
    references: Sequence[str],
    beam: int,
) -> tuple[Decoding, list[dict[str, float]]]:
    """The weight and bonus of fewest word errors on recordings, and the table of all tried."""
    if not beam or recogniser.language is None:
        return Decoding(beam=beam), []
    table = []
    for weight in WEIGHTS:
        for bonus in BONUSES if weight else (0.0,):
            found = texts(recogniser, log_ps, Decoding(weight, bonus, beam))
            pairs = zip(references, found, strict=True)
            wrong = sum(error_rates.edits(a.split(), b.split()) for a, b in pairs)
            count = sum(len(text.split()) for text in references)
            table.append({"weight": weight, "bonus": bonus, "wer": wrong / count})
    best = min(table, key=lambda row: row["wer"])
    return Decoding(best["weight"], best["bonus"], beam), table
