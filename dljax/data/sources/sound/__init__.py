"""Recordings of speech from the kinds of `--dataset` value that speech recognition takes.

    load_speech("spoken_characters")     # embedded, synthetic, needs no network
    load_speech("fsdd/")                 # files named DIGIT_SPEAKER_INDEX.wav
    load_speech("words/")                # a folder per word
    load_speech("an4/")                  # manifests of JSON lines, or one such file
    load_speech("kaldi/")                # wav.scp and text

What comes back is a `Speech`: recordings int16 at one rate, with their texts and speakers.
"""

import os
from pathlib import Path

from dljax.data.sources.part_names import scored_part
from dljax.data.sources.sound.audio import Sound, UnreadableSound, read_sound, sound_rate
from dljax.data.sources.sound.layouts import (
    folder_per_word,
    folders_beside,
    fsdd,
    kaldi,
    manifests,
    sound_files,
)
from dljax.data.sources.sound.recordings import (
    HELD_OUT,
    Recordings,
    Speech,
    by_speaker,
    hold_out,
    read_entries,
)
from dljax.data.sources.sound.spoken_characters import load_spoken_characters

__all__ = [
    "Recordings",
    "Sound",
    "Speech",
    "UnreadableSound",
    "by_speaker",
    "hold_out",
    "load_speech",
    "read_sound",
    "sound_files",
    "sound_rate",
    "speech_to_score",
]

KINDS = (
    "'spoken_characters', a folder with a folder of recordings per word, one with FSDD's names, a "
    "manifest of JSON lines (or a folder of them), or Kaldi's wav.scp and text"
)


def load_speech(dataset: str, rate: int = 0) -> Speech:
    """Reads a data set of recordings into memory.

    Args:
      dataset: see `KINDS`. A set without a test part has a fifth held out.
      rate: in Hz, that all recordings are resampled to; 0: the one that most of them have.

    Raises:
      FileNotFoundError, ValueError: one line that says what is wrong and what to do.
    """
    if dataset == "spoken_characters":
        return _embedded(rate)
    parts, rate, words, notes = _read(dataset, rate)
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
        notes += (f"{dataset} has no test part: its validation part serves as one",)
    elif "test" not in parts:
        parts["train"], parts["test"], how = hold_out(parts["train"], HELD_OUT)
        notes += (f"{dataset} has no test part: it is {how}",)
    return Speech(
        dataset, parts["train"], parts["test"], rate, words, parts.get("validation"), notes
    )


def speech_to_score(dataset: str, rate: int) -> tuple[Recordings, tuple[str, ...]]:
    """(the test part of a data set that has parts, or else all of it, notes); as `load_speech`."""
    if dataset == "spoken_characters":
        speech = _embedded(rate)
        parts, notes = {"test": speech.test}, speech.notes
    else:
        parts, _, _, notes = _read(dataset, rate)
    part = scored_part(parts)
    which = "all" if len(parts) == 1 and part == "train" else f"the {part} part:"
    return parts[part], (*notes, f"{which} {len(parts[part])} recordings are scored")


def _embedded(rate: int) -> Speech:
    if rate not in (0, 8000):
        raise ValueError("spoken_characters are recordings of 8000 Hz: leave out --rate.")
    return load_spoken_characters()


def _read(dataset: str, rate: int) -> tuple[dict[str, Recordings], int, bool, tuple[str, ...]]:
    """(the parts that a folder or file has, their rate, whether they are words, notes)."""
    root = Path(os.path.expanduser(dataset))
    if not root.exists():
        if os.sep in dataset or dataset.startswith((".", "~")):
            raise FileNotFoundError(f"There is no folder or file {dataset}.")
        raise ValueError(f"Unknown data set {dataset!r}: --dataset takes {KINDS}.")
    layouts = [(manifests, False)]
    if root.is_dir():
        layouts += [(kaldi, False), (fsdd, True), (folder_per_word, True)]
    found = next(((x, *layout) for layout in layouts if (x := layout[0](root))), None)
    if found is None:
        raise ValueError(f"{dataset} holds no speech that is read here: --dataset takes {KINDS}.")
    entries, layout, words = found
    parts, rate, notes = read_entries(entries, root, rate)
    beside = folders_beside(root) if layout is folder_per_word else ()
    return parts, rate, words, (*beside, *notes)
