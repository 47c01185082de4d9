"""A small text, its tokens, and tasks that learn it."""

import numpy as np

from dljax.data import text, tokens
from dljax.nn.language import RecurrentLM, TextClassifier
from dljax.nn.recurrent.layers import GRU, LSTM, Stack
from dljax.nn.transformer import TransformerLM
from dljax.rnn.language import classification, modeling
from dljax.train import optim

TEXT = "the cat sat on the mat, the dog lay on the rug.\n" * 30
TOKENS = tokens.characters(TEXT)
V = len(TOKENS.names)
BATCH, LENGTH = 16, 12


def ids(content: str = TEXT) -> np.ndarray:
    return text.encoded(TOKENS, (content,))


def lstm(**settings) -> RecurrentLM:
    return RecurrentLM(V, Stack(12, 1, LSTM, variational=True), **settings)


def task(model=None, sample=None):
    model = model or lstm(dropout=0.1)
    tx = optim.optimizer("adamw", 3e-2, clip_norm=1.0)
    return modeling.task(model, tx, TOKENS, BATCH, LENGTH, sample)


def transformer_task():
    return task(TransformerLM(V, 8, 1, 2, memory=6, dropout=0.1))


def one_each(count: int) -> dict[str, np.ndarray]:
    """Streams of eight tokens, of which the last one alone is scored."""
    all_ids = ids()
    tokens = np.stack([all_ids[7 * i : 7 * i + 9] for i in range(count)])
    return {"tokens": tokens, "scored": np.arange(8) == np.full((count, 1), 7)}


def labelled(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Texts of 1 to 9 letters, one class more of "a", the other of "t"."""
    random = np.random.default_rng(seed)
    label = np.arange(count) % 2
    odds = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]])
    made = ["".join(random.choice(list("ath"), random.integers(1, 10), p=odds[x])) for x in label]
    arrays = classification.padded(TOKENS, [*made, "t" * 9], 12)  # the longest sets the width
    return {name: x[:count] for name, x in arrays.items()} | {"label": label.astype(np.int32)}


def classifier():
    model = TextClassifier(V, 2, Stack(6, 1, GRU, bidirectional=True), dropout=0.1)
    return classification.task(model, optim.optimizer("adamw", 1e-2, clip_norm=1.0))
