"""The pictures of a run of speech recognition, drawn with plots/speech.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from dljax import plots
from dljax.apps.speech.transcription import Recogniser
from dljax.data.sources.sound import Recordings
from dljax.rnn.speech import augmentation, decoding, features
from dljax.rnn.speech import front as fronts

SHOWN_SECONDS = 8.0


def hop(recogniser: Recogniser) -> float:
    """Seconds between frames."""
    return recogniser.front.spectrum.hop / recogniser.front.spectrum.rate


def front_end(recogniser: Recogniser, recordings: Recordings, folder: Path) -> None:
    """front_end.png: a recording, normalised, faster, under noise, masked."""
    front, key = recogniser.front, jax.random.key(0)
    wave = recordings.waves[
        int(np.argsort([len(x) for x in recordings.waves])[len(recordings) // 2])
    ]
    wave = wave[: round(SHOWN_SECONDS * front.spectrum.rate)].astype(np.float32)

    @jax.jit
    def heard(sound: jax.Array, samples: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        x, mask = fronts.plain(front, sound, samples)
        fast, fewer = augmentation.speed_perturbation(key, sound, samples, 1.25, 1.25)
        noisy = augmentation.add_noise(key, sound, samples, 10.0, 10.0)
        masked = augmentation.spec_augment(
            key, x, mask, frequency=front.spectrum.mels // 5, time=max(1, x.shape[1] // 5)
        )
        plain, fast, noisy = (features.log_mel(s, front.spectrum) for s in (sound, fast, noisy))
        return [plain, x, fast, noisy, masked], fewer

    found, fewer = jax.device_get(heard(wave[None], np.array([len(wave)])))
    found[2] = found[2][:, : int(front.spectrum.frames(fewer[0]))]
    titles = (
        "log-mel spectrogram", f"normalised ({front.normalization})", "1.25 times as fast",
        "under noise at 10 dB", "SpecAugment",
    )  # fmt: skip
    panels = [(title, x[0]) for title, x in zip(titles, found, strict=True)]
    plots.speech.spectrograms(panels, hop(recogniser), folder / "front_end.png")


def mistakes(
    recogniser: Recogniser,
    recordings: Recordings,
    found: Sequence[str],
    wrong: Sequence[int],
    folder: Path,
) -> None:
    """mistakes.png: the spectrograms of words taken for others, the surest first; none if none."""
    if wrong:
        panels = [
            (
                f"{recordings.names[i]}: {recordings.texts[i]} → {found[i]}",
                fronts.log_mel(recogniser.front.spectrum, recordings.waves[i]),
            )
            for i in wrong[:6]
        ]
        plots.speech.spectrograms(panels, hop(recogniser), folder / "mistakes.png")


def aligned(
    recogniser: Recogniser,
    recordings: Recordings,
    log_ps: Sequence[np.ndarray],
    found: Sequence[str],
    chosen: Sequence[int],
    path: Path,
) -> None:
    """Recordings with the text found over the frames in which it was said."""
    items = [
        item(
            recogniser, recordings.waves[i], log_ps[i], found[i],
            f"{recordings.names[i]}: {found[i]}", recordings.texts[i],
        )
        for i in chosen
    ]  # fmt: skip
    plots.speech.alignments(items, path)


def item(
    recogniser: Recogniser,
    wave: np.ndarray,
    log_p: np.ndarray,
    text: str,
    title: str,
    reference: str = "",
) -> plots.speech.Alignment:
    """What plots.speech.alignments draws of a recording."""
    front = recogniser.front.spectrum
    return plots.speech.Alignment(
        title, fronts.log_mel(front, wave), len(wave) / front.rate,
        spans(recogniser, log_p, text), "" if reference == text else reference,
    )  # fmt: skip


def spans(recogniser: Recogniser, log_p: np.ndarray, text: str) -> list[tuple[str, float, float]]:
    """(symbol, begin, end) in seconds of each token of a text that CTC has written."""
    units = list(text) if recogniser.characters else text.split()
    tokens = [recogniser.symbols.index(x) for x in units]
    step = hop(recogniser) * recogniser.model.encoder.stride
    frames = decoding.alignment(log_p, tokens)
    if frames is None:
        return []
    return [(x, a * step, (b + 1) * step) for x, (a, b) in zip(units, frames, strict=True)]


def confused(counts: Sequence[tuple[str, str, int]], path: Path) -> None:
    """The most frequent confusions."""
    plots.speech.confusions(counts, path)


def noise(curves: Mapping[str, Sequence[float]], ratios: Sequence[float], path: Path) -> None:
    """Error rates over noise."""
    plots.speech.error_by_noise(curves, ratios, path)
