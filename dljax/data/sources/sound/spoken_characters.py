"""The embedded recordings: 36 spoken characters of one synthetic voice, of the package captcha."""

import importlib.util
from pathlib import Path

import numpy as np

from dljax.data.sources.sound.audio import FULL_SCALE, read_sound, resample, to_int16
from dljax.data.sources.sound.recordings import Recordings, Speech

RATE = 8000
SPEEDS = {"train": (0.9, 1.0, 1.12), "validation": (0.94, 1.06), "test": (0.95, 1.05)}
VOICE = "captcha"


def load_spoken_characters() -> Speech:
    """The digits 0 to 9 and the letters a to z, once each, at a few speeds: words to be joined.

    Synthetic: one recording of each by one voice (8 bit, 8 kHz, BSD licence). The parts differ in
    speed alone, so results say that strings are read under noise, nothing about other voices.
    Raises ValueError where the package captcha is not installed.
    """
    found = importlib.util.find_spec("captcha")
    folder = Path(found.origin).parent / "data" if found else None
    if folder is None or not folder.is_dir():
        raise ValueError("spoken_characters needs the package captcha: pip install captcha")
    names = sorted(path.name for path in folder.iterdir() if len(path.name) == 1)
    waves = {name: read_sound(folder / name / "default.wav", RATE).samples for name in names}

    def part(speeds: tuple[float, ...]) -> Recordings:
        chosen = [(name, speed) for name in names for speed in speeds]
        return Recordings(
            tuple(_at_speed(waves[name], speed) for name, speed in chosen),
            tuple(name.lower() for name, _ in chosen),
            (VOICE,) * len(chosen),
            tuple(f"{name}_{speed:g}" for name, speed in chosen),
        )

    return Speech(
        "spoken_characters",
        part(SPEEDS["train"]),
        part(SPEEDS["test"]),
        RATE,
        words=True,
        validation=part(SPEEDS["validation"]),
        notes=("synthetic: one recording of each character by one voice, at several speeds",),
    )


def _at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    if speed == 1:
        return samples
    return to_int16(resample(samples / np.float32(FULL_SCALE), RATE * speed, RATE))
