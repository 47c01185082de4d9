"""The recordings of a Config: their parts, vocabulary, batches, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dljax.apps.configs.speech_recognition import Config
from dljax.data import utterances
from dljax.data.feed import Examples, Feed
from dljax.data.record import DataRecord
from dljax.data.sources.cache import crc
from dljax.data.sources.layout import some
from dljax.data.sources.sound import Recordings, Speech, by_speaker, hold_out, load_speech
from dljax.data.utterances import Flat, Joining
from dljax.rnn.speech.ctc import UNKNOWN
from dljax.rnn.speech.features import FrontEnd, front_end

EVALUATION_BATCH = 64
DRAWN = 2000  # strings by which the longest one is limited
VALIDATION, TEST = 1, 2  # seeds of rendered strings
SPECIAL = ("<blank>",)


class SpeechData(NamedTuple):
    """The recordings of a run, and its batches.

    words: a classifier's, one class a recording. symbols: classes, or for CTC the blank and the
    tokens of texts. characters: a token is a character of the text, else a word. single: what
    strings were joined from. lengths: see `front.shortest`.
    """

    name: str
    rate: int
    words: bool
    characters: bool
    symbols: tuple[str, ...]
    train: Recordings
    validation: Recordings
    test: Recordings
    single: dict[str, Recordings]
    feed: Feed
    validation_examples: Examples
    test_examples: Examples
    lengths: tuple[int, ...]
    longest: int
    record: DataRecord
    notes: tuple[str, ...]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of each text's tokens; unknown ones are left out."""
        return tokenize(texts, self.symbols, self.characters)


def tokenize(texts: Sequence[str], symbols: tuple[str, ...], characters: bool) -> list[list[int]]:
    """The numbers of each text's characters, or of its words."""
    known = {symbol: i for i, symbol in enumerate(symbols)}
    units = [list(text) if characters else text.split() for text in texts]
    return [[known[x] for x in text if x in known] for text in units]


def reference(texts: Sequence[str], symbols: tuple[str, ...], characters: bool) -> list[list[int]]:
    """As `tokenize`, but with UNKNOWN for what training never had, so that it counts as wrong."""
    numbers = {symbol: i for i, symbol in enumerate(symbols)}
    units = [list(text) if characters else text.split() for text in texts]
    return [[numbers.get(x, UNKNOWN) for x in text] for text in units]


def unknown_note(
    name: str, texts: Sequence[str], symbols: tuple[str, ...], characters: bool
) -> tuple[str, ...]:
    """A line on what the texts of a part have and training never had, if there is any."""
    units = set().union(*(set(text) if characters else set(text.split()) for text in texts))
    unknown = sorted(units - set(symbols))
    if not unknown:
        return ()
    return (f"{name} has what training never had, and counts as wrong: {some(unknown)}",)


def untokenize(tokens: Sequence[int], symbols: tuple[str, ...], characters: bool) -> str:
    """The text of some tokens."""
    return ("" if characters else " ").join(symbols[i] for i in tokens)


def spectrum(config: Config, rate: int) -> FrontEnd:
    """The front end of a Config at a rate."""
    return front_end(rate, config.mels, config.mel_scale, config.lowest)


def load(config: Config, multiple: int = 1) -> SpeechData:
    """Reads, splits and tokenises. multiple: what evaluation batches must be a multiple of.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    speech = load_speech(config.dataset, config.rate)
    speech, notes = split(config, speech)
    joined = config.joined()
    if joined and not speech.words:
        raise ValueError("--join joins single words, and this data set has whole texts")
    if joined or not speech.words:
        return _strings(config, speech, notes, joined, multiple)
    return _words(config, speech, notes, multiple)


def split(config: Config, speech: Speech) -> tuple[Speech, list[str]]:
    """The parts that --test_speakers, --validation_speakers and --validation ask for."""
    notes = list(speech.notes)
    clean = [with_plain_texts(x) for x in (speech.train, speech.test)]
    speech = speech._replace(
        train=clean[0],
        test=clean[1],
        validation=speech.validation and with_plain_texts(speech.validation),
    )
    if config.test_speakers:
        rest, test = by_speaker(speech.everything(), config.test_speakers, "test_speakers")
        speech = speech._replace(train=rest, test=test, validation=None)
        notes.append(f"tested on all recordings of {', '.join(config.test_speakers)}")
    if config.validation_speakers:
        train, held = by_speaker(speech.train, config.validation_speakers, "validation_speakers")
        speech = speech._replace(train=train, validation=held)
    elif speech.validation is None:
        train, held, how = hold_out(speech.train, config.validation)
        speech = speech._replace(train=train, validation=held)
        notes.append(f"validation: {how}")
    return speech, notes


def with_plain_texts(recordings: Recordings) -> Recordings:
    """White space in texts as single spaces."""
    return replace(recordings, texts=tuple(" ".join(text.split()) for text in recordings.texts))


def _words(config: Config, speech: Speech, notes: list[str], multiple: int) -> SpeechData:
    classes = tuple(sorted(set(speech.train.texts)))
    if len(classes) < 2:
        raise ValueError(f"{speech.name} has one word only ({classes[0]}): two are needed")
    for name, part in _parts(speech).items():
        if strange := sorted(set(part.texts) - set(classes)):
            raise ValueError(
                f"{speech.name}: {name} has words that no training recording has: {some(strange)}"
            )
    flats = {name: _flat(part, classes) for name, part in _parts(speech).items()}
    limit = round(config.seconds * speech.rate) or max(x.longest() for x in flats.values())
    cut = sum((flat.samples > limit).sum() for flat in flats.values())
    if cut:
        notes.append(f"{cut} recordings are longer than {config.seconds:g} s: their ends are cut")
    feed = utterances.training(flats["train"], config.batch_size, limit, by_length=True)
    return SpeechData(
        speech.name,
        speech.rate,
        True,
        False,
        classes,
        speech.train,
        speech.validation,
        speech.test,
        {},
        feed,
        *(utterances.examples(flats[x], EVALUATION_BATCH, limit, multiple)
          for x in ("validation", "test")),
        _groups(config.length_groups, feed, flats["train"], limit),
        limit,
        record(_parts(speech), speech.rate, classes),
        tuple(notes),
    )  # fmt: skip


def _strings(
    config: Config, speech: Speech, notes: list[str], joined: tuple[int, ...], multiple: int
) -> SpeechData:
    characters = config.units == "characters" or (config.units == "auto" and not joined)
    single, joining = {}, None
    if joined:
        if characters:
            raise ValueError("words that are joined have --units=words")
        single, joining = _parts(speech), Joining(*joined, config.pause, speech.rate)
        speech, more = _rendered(config, speech, joining)
        notes += more
    train = speech.train
    units = [set(text) if characters else set(text.split()) for text in train.texts]
    if joined:
        units = [set(single["train"].texts)]
    symbols = (*SPECIAL, *sorted(set().union(*units)))
    for name in ("validation", "test"):
        notes += unknown_note(name, getattr(speech, name).texts, symbols, characters)
    if joined:
        flat = _flat(single["train"], symbols)
        limit = _longest_string(flat, single["train"].speakers, joining)
        joining = joining._replace(limit=limit)
        speakers = single["train"].speakers
        feed = utterances.joined_training(flat, speakers, joining, config.batch_size, limit)
    else:
        train, more = usable(config, train, symbols, characters, speech.rate)
        notes += more
        speech = speech._replace(train=train)
        flat = utterances.flatten(train, tokenize(train.texts, symbols, characters))
        limit = flat.longest()
        feed = utterances.training(flat, config.batch_size, limit, by_length=True)
    held = {
        name: utterances.flatten(part, reference(part.texts, symbols, characters))
        for name, part in _parts(speech).items()
        if name != "train"
    }
    return SpeechData(
        speech.name,
        speech.rate,
        False,
        characters,
        symbols,
        train,
        speech.validation,
        speech.test,
        single,
        feed,
        *(utterances.examples(held[x], EVALUATION_BATCH, held[x].longest(), multiple)
          for x in ("validation", "test")),
        _groups(config.length_groups, feed, flat, limit),
        limit,
        record(_parts(speech) | single, speech.rate, symbols),
        tuple(notes),
    )  # fmt: skip


def usable(
    config: Config, train: Recordings, symbols: tuple[str, ...], characters: bool, rate: int
) -> tuple[Recordings, list[str]]:
    """Without recordings longer than --seconds, and those too short for their text, with notes."""
    notes, tokens = [], tokenize(train.texts, symbols, characters)
    front, stride = spectrum(config, rate), int(np.prod(config.strides))
    fastest = config.speed[1] if config.speed else 1.0
    limit = config.seconds * rate or np.inf
    kept = []
    for i, (wave, text) in enumerate(zip(train.waves, tokens, strict=True)):
        frames = -(-int(front.frames(np.int64(len(wave) / fastest))) // stride)
        needed = len(text) + sum(a == b for a, b in pairwise(text))
        if len(wave) <= limit and needed <= frames:
            kept.append(i)
    long = sum(len(wave) > limit for wave in train.waves)
    if long:
        notes.append(f"{long} training recordings are longer than {config.seconds:g} s: left out")
    if short := len(train) - long - len(kept):
        notes.append(
            f"{short} training recordings are too short for their text (one frame of "
            f"{10 * stride} ms a token, one more between equal ones): left out"
        )
    if not kept:
        raise ValueError("no training recording is long enough for its text, nor short enough")
    return train.pick(kept), notes


def _rendered(config: Config, speech: Speech, joining: Joining) -> tuple[Speech, list[str]]:
    """Validation and test as fixed strings, half as many of the former."""
    noise = config.string_noise or None
    count = config.strings
    validation = utterances.render(
        speech.validation, joining, max(1, count // 2), VALIDATION, noise
    )
    test = utterances.render(speech.test, joining, count, TEST, noise)
    level = f"under noise at {noise[0]:g} to {noise[1]:g} dB" if noise else "without noise"
    notes = [
        f"strings of {joining.fewest} to {joining.most} recordings of one speaker, pauses up to "
        f"{joining.pause:g} s; tested {level}"
    ]
    return speech._replace(validation=validation, test=test), notes


def _flat(part: Recordings, symbols: tuple[str, ...]) -> Flat:
    return utterances.flatten(part, [[symbols.index(text)] for text in part.texts])


def _parts(speech: Speech) -> dict[str, Recordings]:
    return {"train": speech.train, "validation": speech.validation, "test": speech.test}


def _longest_string(flat: Flat, speakers: Sequence[str], joining: Joining) -> int:
    """What 98 % of the strings of the most recordings are no longer than, in samples."""
    random, most = np.random.default_rng(0), joining._replace(fewest=joining.most)
    drawn = utterances.draw_strings(random, speakers, most, DRAWN, flat.samples)
    return int(np.quantile(utterances.string_samples(drawn, flat.samples), 0.98))


def _groups(count: int, feed: Feed, flat: Flat, limit: int) -> tuple[int, ...]:
    """Lengths in samples for which training has programs of its own, the longest not among them."""
    items = feed.chunk(0, 0, 50)
    longest = [
        min(
            limit,
            utterances.string_samples({n: x[i] for n, x in items.items()}, flat.samples).max(),
        )
        for i in range(50)
    ]
    return tuple(sorted({int(np.quantile(longest, q)) for q in np.linspace(0, 1, count + 1)[1:-1]}))


def record(parts: dict[str, Recordings], rate: int, symbols: tuple[str, ...]) -> DataRecord:
    """What was read: counts, minutes, and digests of samples and texts."""
    summary = {
        "recordings": {name: len(part) for name, part in parts.items()},
        "minutes": {
            name: round(sum(map(len, part.waves)) / rate / 60, 2) for name, part in parts.items()
        },
        "speakers": {name: len(set(part.speakers) - {""}) for name, part in parts.items()},
        "rate": rate,
    }
    digests = {
        name: f"{crc(np.concatenate(part.waves)):08x} "
        f"{crc(np.frombuffer(chr(10).join(part.texts).encode(), np.uint8)):08x}"
        for name, part in parts.items()
    }
    return DataRecord(summary, digests, {"symbols": list(symbols)})
