"""From a batch of recordings to normalised features: the first part of every network of speech."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.rnn.speech import augmentation, features
from dljax.rnn.speech.features import FrontEnd, Past, Statistics
from dljax.train.loop import Batch, Key

Normalization = Literal["utterance", "level", "running", "fixed"]


class Front(NamedTuple):
    """How features are made. normalization: see the functions of features.py named so."""

    spectrum: FrontEnd
    normalization: Normalization
    statistics: Statistics


class Augmentation(NamedTuple):
    """Ranges of what is drawn for each recording in training; None or 0 for none.

    speed: factors. noise: signal-to-noise ratios in dB. frequency: filters that a mask hides at
    most; time: seconds.
    """

    speed: tuple[float, float] | None = None
    noise: tuple[float, float] | None = None
    frequency: int = 0
    time: float = 0.0


def plain(front: Front, sound: Array, samples: Array) -> tuple[Array, Array]:
    """(features [B, T, M], mask bool [B, T]) of sound [B, L], of which samples [B] count."""
    x = features.log_mel(sound, front.spectrum)
    mask = features.valid(samples, x.shape[1], front.spectrum)
    return normalized(front, x, mask)[1], mask


def normalized(
    front: Front, x: Array, mask: Array, past: Past | None = None
) -> tuple[Past | None, Array]:
    """(the past after, normalised features); past: where x goes on a stream (running only)."""
    if front.normalization == "utterance":
        return None, features.normalize_utterance(x, mask)
    if front.normalization == "level":
        return None, features.normalize_level(x, mask)
    if front.normalization == "fixed":
        return None, features.normalize_fixed(x, mask, front.statistics)
    past = features.no_past(x.shape[0], front.statistics) if past is None else past
    return features.normalize_running(x, mask, past)


def augmented(
    front: Front, augment: Augmentation, key: Array, sound: Array, samples: Array
) -> tuple[Array, Array]:
    """As `plain`, of recordings that are changed at random."""
    speed_key, noise_key, mask_key = jax.random.split(key, 3)
    if augment.speed:
        sound, samples = augmentation.speed_perturbation(speed_key, sound, samples, *augment.speed)
    if augment.noise:
        sound = augmentation.add_noise(noise_key, sound, samples, *augment.noise)
    x, mask = plain(front, sound, samples)
    if augment.frequency or augment.time:
        x = augmentation.spec_augment(
            mask_key,
            x,
            mask,
            frequency=augment.frequency,
            time=round(augment.time * front.spectrum.rate / front.spectrum.hop),
        )
    return x, mask


def shortest(
    update: Callable[[int, Any, Batch, Key], Any], lengths: Sequence[int]
) -> Callable[[Any, Batch, Key], Any]:
    """The step of a Task that is computed on no more samples than its recordings have.

    update: (size, state, batch, key) -> (state, sums), on the first `size` samples. lengths: in
    samples; of them and the whole length L of a batch, the shortest that all recordings fit in is
    taken: a `lax.switch` between programs. Where seeds are vectorised (on a GPU), all are computed:
    give none there.
    """

    def step(state: Any, batch: Batch, key: Key) -> Any:
        whole = batch["sound"].shape[1]
        sizes = sorted({min(length, whole) for length in (*lengths, whole)})
        if len(sizes) == 1:
            return update(whole, state, batch, key)
        which = sum((batch["samples"].max() > size).astype(jnp.int32) for size in sizes[:-1])
        branches = [partial(update, size) for size in sizes]
        return jax.lax.switch(which, branches, state, batch, key)

    return step


def log_mel(spectrum: FrontEnd, wave: np.ndarray) -> np.ndarray:
    """`features.log_mel` of one recording [L] of any length, float32 [T, M], on the host.

    It is padded to a multiple of 64 frames, so that few programs are compiled.
    """
    frames = int(spectrum.frames(np.int64(len(wave))))
    size = spectrum.samples(-(-frames // 64) * 64)
    padded = np.pad(wave[:size], (0, max(0, size - len(wave))))
    return np.asarray(_log_mel(padded[None], spectrum))[0, :frames]


_log_mel = jax.jit(features.log_mel, static_argnames="front")


def statistics(spectrum: FrontEnd, waves: tuple[np.ndarray, ...], sample: int = 200) -> Statistics:
    """Mean and deviation of the features of up to `sample` recordings, evenly chosen."""
    chosen = np.unique(np.linspace(0, len(waves) - 1, sample).astype(int))
    rows = [log_mel(spectrum, waves[i][: 20 * spectrum.rate]) for i in chosen]
    every = np.concatenate(rows).astype(np.float64)
    return Statistics(every.mean(0).astype(np.float32), every.std(0).astype(np.float32))
