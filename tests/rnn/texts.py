"""A small text, its tokens, and tasks that learn it."""

import numpy as np

from dljax.data import text, tokens
from dljax.nn.language import RecurrentLM
from dljax.nn.recurrent.layers import LSTM, Stack
from dljax.nn.transformer import TransformerLM
from dljax.rnn.language import modeling
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
