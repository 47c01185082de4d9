"""Augmentation inside the training step: speed, noise at an SNR, masks in the spectrogram.

Functions of (key, batch of recordings float32 [B, L] of full scale 32768, samples int [B]) or of
(key, features [B, T, M]); each recording draws its own values.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array


def speed_perturbation(
    key: Array, sound: Array, samples: Array, low: float, high: float
) -> tuple[Array, Array]:
    """Plays each recording at a speed from `low` to `high`, its pitch with it (Ko et al. 2015).

    Returns (sound [B, ceil(L / low)], samples), by cubic (Catmull-Rom) interpolation: exact to
    1 % of the amplitude up to a quarter of the rate, weaker above.
    """
    span = (math.log(low), math.log(high))
    speed = jnp.exp(jax.random.uniform(key, (len(sound), 1), minval=span[0], maxval=span[1]))
    length = sound.shape[1]
    at = jnp.arange(math.ceil(length / low)) * speed
    begin = jnp.floor(at)
    t, index = at - begin, begin.astype(jnp.int32)

    def value(shift: int) -> Array:
        i = index + shift
        inside = (i >= 0) & (i < length)
        return jnp.where(inside, jnp.take_along_axis(sound, jnp.clip(i, 0, length - 1), 1), 0)

    a, b, c, d = (value(shift) for shift in (-1, 0, 1, 2))
    slope_b, slope_c = (c - a) / 2, (d - b) / 2
    y = b + t * (slope_b + t * (3 * (c - b) - 2 * slope_b - slope_c
                                + t * (2 * (b - c) + slope_b + slope_c)))  # fmt: skip
    samples = jnp.floor(samples / speed[:, 0]).astype(samples.dtype)
    return jnp.where(jnp.arange(y.shape[1]) < samples[:, None], y, 0), samples


def add_noise(key: Array, sound: Array, samples: Array, low: float, high: float) -> Array:
    """Adds noise at a signal-to-noise ratio from `low` to `high` dB, of a random colour.

    The noise is white, filtered by w_t + a w_(t-1), a from -1 to 1: from high-pass to low-pass. The
    ratio is that of the mean powers over the recording.
    """
    noise_key, ratio_key, colour_key = jax.random.split(key, 3)
    count, length = sound.shape
    white = jax.random.normal(noise_key, (count, length + 1))
    colour = jax.random.uniform(colour_key, (count, 1), minval=-1.0)
    noise = white[:, 1:] + colour * white[:, :-1]
    ratio = jax.random.uniform(ratio_key, (count, 1), minval=low, maxval=high)
    mask = jnp.arange(length) < samples[:, None]
    power = (sound**2 * mask).sum(1, keepdims=True) / samples[:, None]
    scale = jnp.sqrt(power / (1 + colour**2)) * 10 ** (-ratio / 20)
    return sound + noise * scale * mask


def spec_augment(
    key: Array,
    x: Array,
    mask: Array,
    *,
    frequency: int,
    time: int,
    frequency_masks: int = 2,
    time_masks: int = 2,
) -> Array:
    """Sets bands of filters and stretches of time to zero (Park et al. 2019, SpecAugment).

    x [B, T, M], normalised, so that zero is the mean; mask bool [B, T]. frequency, time: the widest
    band and the longest stretch; a stretch is no longer than a fifth of its recording.
    """
    count, steps, mels = x.shape
    frames = mask.sum(1, keepdims=True)
    keys = jax.random.split(key, 4)
    widths = jax.random.uniform(keys[0], (count, frequency_masks)) * (frequency + 1)
    starts = jax.random.uniform(keys[1], (count, frequency_masks)) * (mels - jnp.floor(widths) + 1)
    hidden = _inside(mels, starts, widths).any(1)
    longest = jnp.minimum(time, frames / 5)
    lengths = jax.random.uniform(keys[2], (count, time_masks)) * (longest + 1)
    starts = jax.random.uniform(keys[3], (count, time_masks)) * (frames - jnp.floor(lengths) + 1)
    silent = _inside(steps, starts, lengths).any(1)
    return jnp.where(hidden[:, None] | silent[..., None], 0, x)


def _inside(size: int, starts: Array, widths: Array) -> Array:
    """bool [B, K, size]: start <= i < start + width, in whole numbers."""
    starts, widths, i = jnp.floor(starts)[..., None], jnp.floor(widths)[..., None], jnp.arange(size)
    return (i >= starts) & (i < starts + widths)
