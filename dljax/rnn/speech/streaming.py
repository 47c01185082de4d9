"""A recording transcribed piece by piece, as it arrives, with the outputs of all at once.

For networks that see no future: a causal encoder in one direction, running or fixed normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.rnn.speech import features
from dljax.rnn.speech import front as fronts
from dljax.rnn.speech.front import Front


def pieces(wave: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The samples in pieces of `size`, the last one shorter."""
    for begin in range(0, len(wave), size):
        yield wave[begin : begin + size]


def stream(
    model: nn.Module, variables: Any, front: Front, arriving: Iterable[np.ndarray], strides: int = 8
) -> Iterator[np.ndarray]:
    """Log probabilities [T', symbols] of samples as they arrive (int16 pieces of any length).

    strides: outputs that are computed in one call. Raises ValueError for normalisation by the whole
    utterance, which knows the future.
    """
    if front.normalization in ("utterance", "level"):
        raise ValueError("normalisation over the whole utterance can't be streamed")
    spectrum, frames = front.spectrum, strides * model.encoder.stride

    @jax.jit
    def advance(state, sound, count):
        past, inner = state
        x = features.log_mel(sound, spectrum)
        mask = jnp.arange(frames)[None] < count
        past, x = fronts.normalized(front, x, mask, past)
        inner, logits, there = model.apply(variables, x, mask, inner, train=False)
        return (past, inner), jax.nn.log_softmax(logits)[0], there.sum()

    state = _beginning(model, variables, front, frames)
    waiting, whole, begun = np.zeros(0, np.int16), spectrum.samples(frames), False
    for piece in arriving:
        waiting = np.concatenate([waiting, piece])
        while len(waiting) >= whole:
            state, log_p, _ = advance(state, waiting[None, :whole], frames)
            waiting, begun = waiting[frames * spectrum.hop :], True
            yield np.asarray(log_p)
    if len(waiting) >= spectrum.window or not begun:
        count = int(spectrum.frames(np.int64(len(waiting))))
        padded = np.pad(waiting, (0, whole - len(waiting)))
        _, log_p, there = advance(state, padded[None], count)
        yield np.asarray(log_p)[: int(there)]


def _beginning(model: nn.Module, variables: Any, front: Front, frames: int) -> Any:
    """The state before the first piece: that of nothing but masked frames."""
    past = None
    if front.normalization == "running":
        past = features.no_past(1, front.statistics)
    x = jnp.zeros((1, frames, front.spectrum.mels))
    inner, _, _ = model.apply(variables, x, jnp.zeros((1, frames), bool), None, train=False)
    return past, inner
