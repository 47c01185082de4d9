"""Recordings with what is said in them, in the parts of a data set."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.sound.audio import UnreadableSound, read_sound, sound_rate

UNREADABLE_SHARE = 0.01
HELD_OUT = 0.2
SAID = {
    "stereo": "more than one channel: their mean is taken",
    "resampled": "resampled to {rate} Hz",
    "repaired": "a WAV with a faulty header (no true length, an odd chunk), read to its end",
    "clipped": "clipped",
    "silent": "silent",
}


class Entry(NamedTuple):
    """A recording that is not read yet. speaker: '' where it is not known."""

    file: Path
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Recordings:
    """waves: int16 [samples] each. texts, speakers, names: one for each; names are unique."""

    waves: tuple[np.ndarray, ...]
    texts: tuple[str, ...]
    speakers: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.waves)

    def pick(self, chosen: Sequence[int] | np.ndarray) -> "Recordings":
        """Those of the indices, in their order."""
        return Recordings(*(tuple(column[i] for i in chosen) for column in self.columns()))

    def columns(self) -> tuple[tuple, ...]:
        """The fields, one after another."""
        return self.waves, self.texts, self.speakers, self.names


class Speech(NamedTuple):
    """A data set of recordings.

    words: each text is one of a few words, which a classifier can tell apart. validation: None
    where the set has no such part. rate: in Hz, of all. notes: lines for the user.
    """

    name: str
    train: Recordings
    test: Recordings
    rate: int
    words: bool
    validation: Recordings | None = None
    notes: tuple[str, ...] = ()

    def everything(self) -> Recordings:
        """The recordings of all parts together."""
        parts = [part.columns() for part in (self.train, self.validation, self.test) if part]
        return Recordings(*(sum(columns, ()) for columns in zip(*parts, strict=True)))


def read_entries(
    parts: dict[str, list[Entry]], root: Path, rate: int
) -> tuple[dict[str, Recordings], int, tuple[str, ...]]:
    """(the recordings of each part, their rate, notes).

    rate: 0 takes the one that most files have. Up to one file in a hundred (and at least one) may
    be unreadable; it is skipped and named in the notes. Raises ValueError for more of them.
    """
    entries = [entry for part in parts.values() for entry in part]
    absent = [entry.file for entry in entries if not entry.file.is_file()]
    if absent:
        raise FileNotFoundError(f"{root} names sound files that are not there: {some(absent)}.")
    with ThreadPoolExecutor() as pool:
        rate = rate or _commonest_rate(pool, entries)
        read = dict(zip(entries, pool.map(lambda x: _read(x.file, rate), entries), strict=True))
    bad = {entry.file: found for entry, found in read.items() if isinstance(found, str)}
    if len(bad) > max(1, UNREADABLE_SHARE * len(entries)):
        named = [f"{file} ({why})" for file, why in bad.items()]
        raise ValueError(f"{len(bad)} files of {root} are not readable: {some(named)}.")
    notes = [f"skipped, not readable: {file} ({why})" for file, why in bad.items()]
    notes += _remarks({e: x.remarks for e, x in read.items() if e.file not in bad}, rate)

    def part(chosen: list[Entry]) -> Recordings:
        good = [entry for entry in chosen if entry.file not in bad]
        return Recordings(
            tuple(read[entry].samples for entry in good),
            tuple(entry.text for entry in good),
            tuple(entry.speaker for entry in good),
            tuple(_name(entry.file, root) for entry in good),
        )

    return {name: part(chosen) for name, chosen in parts.items()}, rate, tuple(notes)


def hold_out(recordings: Recordings, share: float) -> tuple[Recordings, Recordings, str]:
    """(rest, held out, a note on how): whole speakers where each is known and there are four.

    Otherwise that share of the recordings of each text that has several, or of all. Chosen by
    SHA-256 of the names: the same on every machine.
    """
    speakers = sorted(set(recordings.speakers), key=_digest)
    if "" not in speakers and len(speakers) >= 4 and not _few_texts(recordings):
        chosen = set(speakers[: max(1, round(share * len(speakers)))])
        held = [speaker in chosen for speaker in recordings.speakers]
        how = f"all recordings of {len(chosen)} of {len(speakers)} speakers, by hash"
    else:
        members: dict[str, list[int]] = {}
        for i, text in enumerate(recordings.texts):
            members.setdefault(text if _few_texts(recordings) else "", []).append(i)
        held = [False] * len(recordings)
        for group in members.values():
            group = sorted(group, key=lambda i: _digest(recordings.names[i]))
            for i in group[: min(max(1, round(share * len(group))), len(group) - 1)]:
                held[i] = True
        how = f"{share:.0%} of the recordings, by hash of their names"
    if not any(held) or all(held):
        raise ValueError("there are too few recordings to hold some of them out")
    indices = np.arange(len(recordings))
    return recordings.pick(indices[~np.array(held)]), recordings.pick(indices[held]), how


def by_speaker(
    recordings: Recordings, chosen: Sequence[str], flag: str
) -> tuple[Recordings, Recordings]:
    """(the recordings of other speakers, those of the chosen ones); ValueError for an unknown."""
    known = set(recordings.speakers)
    for speaker in chosen:
        if speaker not in known or not speaker:
            have = some(sorted(known - {""})) or "none, for the data names no speakers"
            raise ValueError(f"{flag}: there is no speaker {speaker!r}; there are: {have}")
    held = np.array([speaker in chosen for speaker in recordings.speakers])
    if held.all():
        raise ValueError(f"{flag}: no speaker is left to train on")
    indices = np.arange(len(recordings))
    return recordings.pick(indices[~held]), recordings.pick(indices[held])


def _few_texts(recordings: Recordings) -> bool:
    """Whether the texts are words to tell apart, each of them said often."""
    return len(recordings) >= 4 * len(set(recordings.texts))


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _name(file: Path, root: Path) -> str:
    folder = root if root.is_dir() else root.parent
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def _read(file: Path, rate: int):
    try:
        return read_sound(file, rate)
    except UnreadableSound as error:
        return str(error)


def _commonest_rate(pool: ThreadPoolExecutor, entries: list[Entry]) -> int:
    def rate(entry: Entry) -> int:
        try:
            return sound_rate(entry.file)
        except UnreadableSound:
            return 0

    counts = Counter(pool.map(rate, entries))
    del counts[0]
    if not counts:
        raise ValueError(f"no sound file is readable: {some([entry.file for entry in entries])}.")
    return counts.most_common(1)[0][0]


def _remarks(remarks: dict[Entry, tuple[str, ...]], rate: int) -> list[str]:
    """A line for each kind of remark, with the number of files and the first of them."""
    files: dict[str, list[Path]] = {}
    for entry, found in remarks.items():
        for remark in found:
            files.setdefault(remark, []).append(entry.file)
    return [
        f"{len(names)} of {len(remarks)} recordings: {SAID[remark].format(rate=rate)} "
        f"({some(names, 2)})"
        for remark, names in files.items()
    ]
