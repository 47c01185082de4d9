"""A recording transcribed piece by piece, as it arrives, with the outputs of all at once.

For networks that see no future: a causal encoder in one direction, running or fixed normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.rnn.speech import features
from dljax.rnn.speech import front as fronts
from dljax.rnn.speech.features import FrontEnd, Statistics
from dljax.rnn.speech.front import Front, Normalization


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
    advance = partial(_advance, model, spectrum, front.normalization, front.statistics, variables)
    past = features.no_past(1, front.statistics) if front.normalization == "running" else None
    state = past, _beginning(model, variables, frames, spectrum.mels)
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


@partial(jax.jit, static_argnums=(0, 1, 2))
def _advance(
    model: nn.Module,
    spectrum: FrontEnd,
    normalization: Normalization,
    statistics: Statistics,
    variables: Any,
    state: Any,
    sound: Array,
    count: Array,
) -> tuple[Any, Array, Array]:
    """(state after, log probabilities, number of them that count) of the next samples."""
    past, inner = state
    x = features.log_mel(sound, spectrum)
    mask = jnp.arange(x.shape[1])[None] < count
    past, x = fronts.normalized(Front(spectrum, normalization, statistics), x, mask, past)
    inner, logits, there = model.apply(variables, x, mask, inner, train=False)
    return (past, inner), jax.nn.log_softmax(logits)[0], there.sum()


@partial(jax.jit, static_argnums=(0, 2, 3))
def _beginning(model: nn.Module, variables: Any, frames: int, mels: int) -> Any:
    """The network's state before the first piece: that of nothing but masked frames."""
    x, mask = jnp.zeros((1, frames, mels)), jnp.zeros((1, frames), bool)
    return model.apply(variables, x, mask, None, train=False)[0]
