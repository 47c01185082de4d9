"""The simple method for words: MFCCs at fixed shares of a recording, a support vector machine."""

from __future__ import annotations

import numpy as np
from scipy.fft import dct

from dljax.data.sources.sound import Recordings
from dljax.rnn.speech.features import FLOOR, FULL_SCALE, FrontEnd, mel_filters

COEFFICIENTS, TIMES = 20, 10
SHORTEST, GAP = 6, 4  # frames of a segment, and of a pause between two


def mfcc(wave: np.ndarray, front: FrontEnd) -> np.ndarray:
    """Mel-frequency cepstral coefficients [T, COEFFICIENTS] of int16 samples, in numpy.

    The orthonormal DCT-II of the log-mel spectrum (Davis & Mermelstein 1980).
    """
    x = np.pad(wave.astype(np.float64) / FULL_SCALE, (0, max(0, front.window - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(x, front.window)[:: front.hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(front.window) / front.window)
    power = np.abs(np.fft.rfft(frames * window, front.fft)) ** 2 @ mel_filters(front)
    return dct(np.log(power + FLOOR), norm="ortho")[:, :COEFFICIENTS]


def cepstra(recordings: Recordings, front: FrontEnd) -> np.ndarray:
    """Features [N, TIMES COEFFICIENTS + 1]: MFCCs at equal distances, and the log of the length."""
    return np.stack([fixed_length(mfcc(wave, front)) for wave in recordings.waves])


def fixed_length(x: np.ndarray) -> np.ndarray:
    """Coefficients [T, C] at TIMES places and log T, in one row."""
    places = np.linspace(0, len(x) - 1, TIMES)
    low = places.astype(int)
    high, share = np.minimum(low + 1, len(x) - 1), (places - low)[:, None]
    return np.append(((1 - share) * x[low] + share * x[high]).ravel(), np.log(len(x)))


def mfcc_svm(train: Recordings, test: Recordings, front: FrontEnd) -> dict[str, dict[str, float]]:
    """{'mfcc_svm': {'accuracy': ...}}: standardised features, RBF kernel, C = 10."""
    model = svm(train, front)
    found = model.predict(cepstra(test, front))
    return {"mfcc_svm": {"accuracy": float(np.mean(found == np.array(test.texts)))}}


def svm(train: Recordings, front: FrontEnd):
    """The fitted scikit-learn pipeline; it predicts texts from `cepstra`."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    model = make_pipeline(StandardScaler(), SVC(C=10))
    return model.fit(cepstra(train, front), np.array(train.texts))


def classify_segments(model, wave: np.ndarray, front: FrontEnd) -> list[str]:
    """The words of a string that is cut at its pauses, each classified alone; model: of `svm`."""
    rows = [fixed_length(mfcc(wave[a:b], front)) for a, b in segments(wave, front)]
    return [str(word) for word in model.predict(np.stack(rows))] if rows else []


def segments(wave: np.ndarray, front: FrontEnd) -> list[tuple[int, int]]:
    """(first sample, end) of what is louder than half-way between the quiet and the loud frames.

    Half-way in decibels, between the 5th and the 95th percentile of the frames' power.
    """
    x = np.pad(wave.astype(np.float64), (0, max(0, front.window - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(x, front.window)[:: front.hop]
    level = 10 * np.log10(np.var(frames, axis=1) + 1)
    loud = level > np.mean(np.percentile(level, [5, 95]))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    found: list[tuple[int, int]] = []
    for begin, end in edges.reshape(-1, 2):
        if found and begin - found[-1][1] < GAP:
            begin = found.pop()[0]
        found.append((begin, end))
    return [
        (a * front.hop, (b - 1) * front.hop + front.window) for a, b in found if b - a >= SHORTEST
    ]
