"""Small recordings with known contents: tones that stand for words."""

import numpy as np

from dljax.data import utterances
from dljax.data.sources.sound import Recordings
from dljax.nn.speech_encoder import SpeechClassifier, SpeechEncoder, SpeechTagger
from dljax.rnn.speech import ctc, features, words
from dljax.rnn.speech import front as fronts
from dljax.rnn.speech.front import Augmentation, Front
from dljax.train import optim

RATE = 2000
PITCHES = {"low": 200, "mid": 420, "high": 700}
SPECTRUM = features.front_end(RATE, mels=8)._replace(low=60.0)
FLAT = features.Statistics(np.full(8, -6, np.float32), np.full(8, 3, np.float32))
SMALL = {"channels": (4, 4), "features": 8, "dropout": 0.1}


def tone(pitch: float, seconds: float, random: np.random.Generator) -> np.ndarray:
    """A tone of a random phase under some noise, int16."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * (pitch * t + random.uniform())) + 0.1 * random.normal(size=len(t))
    return np.round(8000 * wave).astype(np.int16)


def tones(count: int, seed: int = 0) -> Recordings:
    """Words of 0.1 to 0.2 s, said by two speakers, one of them higher."""
    random = np.random.default_rng(seed)
    texts = [list(PITCHES)[i] for i in random.integers(0, 3, count)]
    speakers = [("ann", "bob")[i] for i in random.integers(0, 2, count)]
    waves = [
        tone(PITCHES[text] * (1.1 if who == "ann" else 1), random.uniform(0.1, 0.2), random)
        for text, who in zip(texts, speakers, strict=True)
    ]
    names = tuple(f"{i:03d}_{seed}" for i in range(count))
    return Recordings(tuple(waves), tuple(texts), tuple(speakers), names)


def flat(recordings: Recordings, first: int = 0) -> utterances.Flat:
    symbols = sorted(PITCHES)
    return utterances.flatten(recordings, [[symbols.index(x) + first] for x in recordings.texts])


def front(normalization="fixed") -> Front:
    return fronts.Front(SPECTRUM, normalization, FLAT)


def classifier(**settings):
    model = SpeechClassifier(3, SpeechEncoder(**SMALL))
    augment = Augmentation((0.9, 1.1), (10.0, 30.0), 1, 0.02)
    tx = optim.optimizer("adamw", 2e-2)
    return words.task(model, tx, front=front(), classes=3, augment=augment, **settings)


def tagger(bidirectional: bool = True) -> SpeechTagger:
    encoder = SpeechEncoder(**SMALL, bidirectional=bidirectional, causal=not bidirectional)
    return SpeechTagger(4, encoder)


def transcriber(lengths=()):
    tx = optim.optimizer("adamw", 2e-2, clip_norm=5.0)
    augment = Augmentation((0.9, 1.1), (10.0, 30.0), 1, 0.02)
    return ctc.task(tagger(), tx, front=front(), augment=augment, lengths=lengths)


def joining(most: int = 3) -> utterances.Joining:
    return utterances.Joining(1, most, 0.05, RATE)


def strings(count: int, seed: int = 0) -> Recordings:
    """Fixed strings of one to three tones."""
    return utterances.render(tones(40, seed), joining(), count, seed, (20.0, 20.0))


def tokens(texts):
    return [[1 + sorted(PITCHES).index(word) for word in text.split()] for text in texts]
