"""Sound files as mono samples: WAV of every kind, FLAC, OGG, MP3, resampled to one rate.

Decoding is libsndfile's (package soundfile), resampling soxr's: scipy's default loses 8.7 dB just
below the new band edge. A WAV whose header gives no true length (0 or 0xFFFFFFFF, as programs write
that stream into a pipe, or more than there is) is read to its end, and one with an odd chunk that
is not padded is read all the same: libsndfile alone refuses it.
"""

import io
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64"}
FULL_SCALE = 32768
CLIPPED_SHARE = 0.001  # of the samples at full scale, from which on a recording counts as clipped
SILENT = 1e-4  # largest deviation from the mean, as a share of full scale, of a silent recording


class UnreadableSound(ValueError):
    """The file is no sound that can be decoded."""


class Sound(NamedTuple):
    """samples: int16 [N], mono. rate: in Hz. remarks: what was done to it or is odd about it."""

    samples: np.ndarray
    rate: int
    remarks: tuple[str, ...] = ()


def read_sound(path: Path | str, rate: int = 0) -> Sound:
    """Decodes a file: the mean of its channels, at `rate` Hz (0: its own).

    Remarks are among 'stereo' (more than one channel), 'resampled', 'silent', 'clipped' and
    'repaired' (a WAV with such a fault). Raises UnreadableSound.
    """
    content = Path(path).read_bytes()
    repaired = _repaired(content)
    values, own = _decode(repaired or content)
    remarks = ["repaired"] if repaired else []
    if values.shape[1] > 1:
        remarks.append("stereo")
    if not len(values):
        raise UnreadableSound("it has no samples")
    if not np.isfinite(values).all():
        raise UnreadableSound("it has samples that are not finite")
    if np.mean(np.abs(values).max(1) >= 1 - 1.5 / FULL_SCALE) > CLIPPED_SHARE:
        remarks.append("clipped")
    mono = values.mean(1)
    if np.abs(mono - mono.mean()).max() < SILENT:
        remarks.append("silent")
    if rate and own != rate:
        mono = resample(mono, own, rate)
        remarks.append("resampled")
    return Sound(to_int16(mono), rate or own, tuple(remarks))


def sound_rate(path: Path | str) -> int:
    """The rate of a file in Hz, read off its header. Raises UnreadableSound."""
    soundfile = _soundfile()
    try:
        return soundfile.info(str(path)).samplerate
    except soundfile.SoundFileError:
        return read_sound(path).rate


def resample(samples: np.ndarray, rate: float, new: float) -> np.ndarray:
    """Samples float [N] at another rate; the quality 'HQ' of soxr."""
    try:
        import soxr
    except ImportError:
        raise ValueError("resampling needs the package soxr: pip install soxr") from None
    return soxr.resample(np.asarray(samples, np.float32), rate, new)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples of full scale 1 as int16, clipped."""
    scaled = np.round(np.asarray(samples, np.float64) * FULL_SCALE)
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _soundfile():
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: without libsndfile
        raise ValueError("sound files need the package soundfile: pip install soundfile") from None
    return soundfile


def _decode(content: bytes) -> tuple[np.ndarray, int]:
    """(float32 [N, channels] of full scale 1, rate)."""
    soundfile = _soundfile()
    try:
        return soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise UnreadableSound(reason or type(error).__name__) from None


def _repaired(content: bytes) -> bytes | None:
    """A WAV of faulty chunks as its format and its samples alone; None for one without fault.

    Faults: a `data` chunk whose length is not there, and a chunk of an odd length before it that is
    not followed by a byte of padding.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    at, form, faulty = 12, b"", False
    while at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        left = len(content) - at - 8
        if name == b"fmt ":
            form = content[at + 8 : at + 8 + size]
        if name == b"data":
            block = max(1, struct.unpack_from("<H", form, 12)[0]) if len(form) >= 16 else 1
            cut = not 0 < size <= left
            if left < block or not (cut or faulty):
                return None
            body = content[at + 8 : at + 8 + (left // block * block if cut else size)]
            whole = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"data", body)
            return b"RIFF" + struct.pack("<I", len(whole)) + whole
        at += 8 + size
        if size % 2:
            padded = content[at : at + 1] == b"\0"
            faulty, at = faulty or not padded, at + padded
    return None


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
