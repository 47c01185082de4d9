"""The front end: log-mel spectrograms of batches of recordings, and their normalisation, in JAX.

Frames of `window` samples, a `hop` apart, none of them over an end (librosa's center=False), each
under a periodic Hann window; the power spectrum; triangular filters on a mel scale; the logarithm
of the power plus a floor. Two conventions of filters:

- 'htk': mel(f) = 2595 log10(1 + f / 700), filters of height 1 (Young et al., The HTK Book; as
  torchaudio's default);
- 'slaney': linear below 1 kHz and logarithmic above, filters of equal area (Slaney 1998, Auditory
  Toolbox; as librosa's default).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

FULL_SCALE = 32768.0
FLOOR = 1e-6  # of the power in a filter; a sine of full scale gives some thousands
BREAK, LINEAR, LOG_STEP = 1000.0, 200.0 / 3, math.log(6.4) / 27  # of Slaney's scale
SPREAD = 1e-2  # added to deviations
RANGE = 6.0  # of the logarithm of power: 26 dB
LOWEST_RATE = 1000  # in Hz: below, a window has too few frequencies for any filters


class FrontEnd(NamedTuple):
    """rate, low and high in Hz; window, hop and fft in samples; scale: 'htk' or 'slaney'."""

    rate: int = 8000
    window: int = 200
    hop: int = 80
    fft: int = 256
    mels: int = 40
    low: float = 40.0
    high: float = 4000.0
    scale: str = "htk"

    def frames(self, samples):
        """Number of frames in so many samples (a number or an array of them): at least 1."""
        return 1 + (samples - self.window).clip(0) // self.hop

    def samples(self, frames: int) -> int:
        """Number of samples that so many frames cover."""
        return (frames - 1) * self.hop + self.window


class Statistics(NamedTuple):
    """Of the training set: mean and deviation [M] of each filter's log power."""

    mean: np.ndarray
    std: np.ndarray


def front_end(rate: int, mels: int = 40, scale: str = "htk", low: float = 40.0) -> FrontEnd:
    """Windows of 25 ms, 10 ms apart, and filters from `low` Hz to half the rate.

    Raises ValueError for a rate that is too low, and where no frequency lies above `low`.
    """
    if rate < LOWEST_RATE:
        raise ValueError(
            f"recordings of {rate} Hz are too coarse for windows of 25 ms: give --rate of "
            f"{LOWEST_RATE} or more"
        )
    if low >= rate / 2:
        raise ValueError(
            f"--lowest={low:g} leaves no frequency for the filters: recordings of {rate} Hz end at "
            f"{rate / 2:g} Hz; lower --lowest"
        )
    window = rate // 40
    fft = 2 ** math.ceil(math.log2(window))
    return FrontEnd(rate, window, rate // 100, fft, mels, low, rate / 2, scale)


def to_mel(hertz: np.ndarray, scale: str) -> np.ndarray:
    """Frequencies in Hz as mels of the scale."""
    hertz = np.asarray(hertz, np.float64)
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    above = BREAK / LINEAR + np.log(np.maximum(hertz, BREAK) / BREAK) / LOG_STEP
    return np.where(hertz < BREAK, hertz / LINEAR, above)


def to_hertz(mels: np.ndarray, scale: str) -> np.ndarray:
    """The inverse of `to_mel`."""
    mels = np.asarray(mels, np.float64)
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    knee = BREAK / LINEAR
    return np.where(
        mels < knee, mels * LINEAR, BREAK * np.exp(LOG_STEP * (np.maximum(mels, knee) - knee))
    )


def mel_filters(front: FrontEnd) -> np.ndarray:
    """The filters, float32 [fft // 2 + 1, mels]: triangles over the frequencies of the spectrum.

    Raises ValueError where a filter is so narrow that it covers no frequency.
    """
    bins = np.linspace(0, front.rate / 2, front.fft // 2 + 1)
    ends = np.linspace(*to_mel(np.array([front.low, front.high]), front.scale), front.mels + 2)
    edges = to_hertz(ends, front.scale)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    filters = np.maximum(0, np.minimum(rising, falling))
    if front.scale == "slaney":
        filters *= 2 / (right - left)
    if not filters.any(0).all():
        high = front.low > front.high / 4
        raise ValueError(
            f"{front.mels} filters are too many for {front.fft // 2 + 1} frequencies: lower "
            "--mels" + (" or --lowest" if high else "")
        )
    return filters.astype(np.float32)


def power_mel(sound: Array, front: FrontEnd) -> Array:
    """The power in each filter, float32 [B, T, mels], of samples [B, L] of full scale 32768."""
    frames = front.frames(np.int64(sound.shape[1]))
    pieces = -(-front.window // front.hop)
    whole = (int(frames) + pieces - 1) * front.hop
    x = sound.astype(jnp.float32)[:, :whole] / FULL_SCALE
    x = jnp.pad(x, ((0, 0), (0, whole - x.shape[1]))).reshape(-1, whole // front.hop, front.hop)
    x = jnp.concatenate([x[:, i : i + int(frames)] for i in range(pieces)], -1)
    real, imaginary = (
        jnp.matmul(x[..., : front.window], waves, precision="highest") for waves in fourier(front)
    )
    return (real**2 + imaginary**2) @ mel_filters(front)


def fourier(front: FrontEnd) -> tuple[np.ndarray, np.ndarray]:
    """The windowed waves whose products with a frame are the real and imaginary spectrum.

    Two float32 [window, fft // 2 + 1]. Two matrix products in place of `jnp.fft.rfft`: they are
    small beside the network, and jaxlib 0.11.2's transform does not get along with steps that are
    shared by several virtual CPU devices.
    """
    time = np.arange(front.window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * time / front.window)
    turns = 2 * np.pi * time[:, None] * np.arange(front.fft // 2 + 1) / front.fft
    return tuple((hann[:, None] * wave(turns)).astype(np.float32) for wave in (np.cos, np.sin))


def log_mel(sound: Array, front: FrontEnd) -> Array:
    """log(power + FLOOR), float32 [B, T, mels], of samples [B, L]; T = front.frames(L)."""
    return jnp.log(power_mel(sound, front) + FLOOR)


def valid(samples: Array, frames: int, front: FrontEnd) -> Array:
    """bool [B, frames]: the frames of recordings of so many samples [B]."""
    return jnp.arange(frames) < front.frames(samples)[:, None]


def normalize_utterance(x: Array, mask: Array) -> Array:
    """Each filter minus its mean over the frames of its own recording, over the deviation.

    x [B, T, M], mask bool [B, T]; padding becomes zero.
    """
    weight = mask[..., None].astype(x.dtype)
    count = weight.sum(1, keepdims=True)
    mean = (x * weight).sum(1, keepdims=True) / count
    centred = (x - mean) * weight
    std = jnp.sqrt((centred**2).sum(1, keepdims=True) / count)
    return centred / (std + SPREAD)


def normalize_fixed(x: Array, mask: Array, statistics: Statistics) -> Array:
    """By the mean and deviation of the training set; arguments as above."""
    return jnp.where(mask[..., None], (x - statistics.mean) / (statistics.std + SPREAD), 0)


def normalize_level(x: Array, mask: Array) -> Array:
    """The level above the recording's own, in RANGE of it; arguments as `normalize_utterance`.

    The recording's level is that of its mean power, which the spoken word sets and the noise of a
    room does not; what lies more than RANGE below is cut off, and with it that noise. For single
    words, whose mean spectrum says what they are: one number for all filters.
    """
    weight = mask[..., None].astype(x.dtype)
    power = (jnp.exp(x) * weight).sum((1, 2)) / (weight.sum((1, 2)) * x.shape[2])
    above = jnp.maximum(x - jnp.log(power)[:, None, None], -RANGE)
    return jnp.where(mask[..., None], (above + RANGE / 2) / (RANGE / 4), 0)


class Past(NamedTuple):
    """What running normalisation knows: sums over frames [B, M], and their number [B, 1]."""

    sums: Array
    squares: Array
    count: Array


def no_past(batch: int, statistics: Statistics, weight: float = 50.0) -> Past:
    """Before the first frame: the training set's, worth so many frames."""
    mean, square = statistics.mean, statistics.mean**2 + statistics.std**2
    sums, squares = (jnp.broadcast_to(weight * x, (batch, len(mean))) for x in (mean, square))
    return Past(sums, squares, jnp.full((batch, 1), weight))


def normalize_running(x: Array, mask: Array, past: Past) -> tuple[Past, Array]:
    """By the mean and deviation of all frames up to each one, itself included: for streams.

    Returns the past for the next piece of the same stream, and [B, T, M].
    """
    weight = mask[..., None].astype(x.dtype)
    count = past.count[:, None] + jnp.cumsum(weight, 1)
    sums = past.sums[:, None] + jnp.cumsum(x * weight, 1)
    squares = past.squares[:, None] + jnp.cumsum(x**2 * weight, 1)
    mean = sums / count
    std = jnp.sqrt(jnp.maximum(squares / count - mean**2, 0))
    last = Past(sums[:, -1], squares[:, -1], count[:, -1])
    return last, (x - mean) * weight / (std + SPREAD)
