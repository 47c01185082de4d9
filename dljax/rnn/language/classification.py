"""Classification of texts of unequal length, and its baseline: tf-idf with logistic regression.

A batch holds "tokens" int [B, T], "length" int [B] (real tokens, at least one) and "label" int [B].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.data import feed
from dljax.data.tokens import BORDER, Tokens
from dljax.train import metrics, temperature
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step


def padded(tokens: Tokens, texts: Sequence[str], longest: int) -> dict[str, np.ndarray]:
    """Texts as "tokens" int32 [N, T] and "length" int32 [N], each after a border, cut at `longest`.

    T is the length of the longest one.
    """
    ids = [np.concatenate([[BORDER], tokens.encode(text)])[:longest] for text in texts]
    length = np.array([len(x) for x in ids], np.int32)
    table = np.full((len(ids), length.max()), BORDER, np.int32)
    for row, x in zip(table, ids, strict=True):
        row[: len(x)] = x
    return {"tokens": table, "length": length}


def logits_of(model: nn.Module, variables: Any, batch: Any, **settings: Any) -> Array:
    """Logits [B, classes] of a batch."""
    mask = jnp.arange(batch["tokens"].shape[1]) < batch["length"][:, None]
    return model.apply(variables, batch["tokens"], mask, **settings)


def task(model: nn.Module, tx: optax.GradientTransformation) -> Task:
    """Softmax classification by a model (tokens [B, T], mask [B, T]) -> logits."""

    def init(key: Key) -> State:
        return create_state(model.init(key, jnp.zeros((1, 2), jnp.int32), jnp.ones((1, 2))), tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        def loss(params):
            found = {"params": params}
            logits = logits_of(model, found, batch, train=True, rngs={"dropout": key})
            losses = metrics.softmax_loss(logits, batch["label"])
            return losses.mean(), (state.model_state, (losses, logits))

        state, (losses, logits), norm = gradient_step(state, tx, loss)
        accuracy = metrics.accuracy(logits, batch["label"])
        return state, {"loss": metrics.mean(losses), "accuracy": accuracy, "gradient_norm": norm}

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        logits, mask = logits_of(model, state.variables(), batch), batch[feed.MASK]
        return {
            "loss": metrics.cross_entropy(logits, batch["label"], mask),
            "accuracy": metrics.accuracy(logits, batch["label"], mask),
            "confusion": metrics.confusion(logits, batch["label"], mask),
            **temperature.sums_at_each(logits, batch["label"], mask),
        }

    return Task(init, step, evaluate)


def baselines(
    train: Sequence[str], label: np.ndarray, test: Sequence[str], test_label: np.ndarray
) -> dict[str, dict[str, float]]:
    """Test accuracy of the most frequent class, and of tf-idf of words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    frequent = np.bincount(label).argmax()
    found = {"most frequent class": {"accuracy": float(np.mean(test_label == frequent))}}
    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    try:
        x = words.fit_transform(train)
    except ValueError:  # no text has a word
        return found
    model = LogisticRegression(C=10, max_iter=100).fit(x, label)
    accuracy = float(model.score(words.transform(test), test_label))
    return found | {"tf-idf and logistic regression": {"accuracy": accuracy}}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds]: the ratios that are one number, and of evaluations how far they hold."""
    return metrics.scalars(sums) | (temperature.found(sums) if "nats_at" in sums else {})


def mean_probability(model: nn.Module, weights: tuple[State, Array], batch: Any) -> Array:
    """Probabilities [B, classes], the mean over seeds.

    weights: their States [S, ...], and the temperatures [S] that their logits are divided by.
    """

    def of_seed(pair: tuple[State, Array]) -> Array:
        state, divisor = pair
        return jax.nn.softmax(logits_of(model, state.variables(), batch) / divisor)

    return jax.lax.map(of_seed, weights).mean(0)
