"""Diagnostic problems of the memory of recurrent networks.

The adding problem (Hochreiter & Schmidhuber 1997, experiment 4, in the form of Le, Jaitly & Hinton
2015): a sequence of pairs, a number from [0, 1] and a marker; two markers are 1, one in each half,
and the target at the end is the sum of their two numbers. The constant prediction 1, the mean, has
a squared error of 1/6; a network has to carry two numbers over the whole length to do better.

Sequential images: the class of an image that is read row by row, or pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dljax.data import feed
from dljax.nn.recurrent.layers import Stack
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step

TEST = 0xADD  # the root key of the adding problem's test sequences

Sequences = tuple[Array, Array | None]  # [B, T, I] and their mask [B, T], None without padding


class Reader(nn.Module):
    """A recurrent stack and a dense layer on its last state: [B, T, I] -> [B, outputs]."""

    stack: Stack
    outputs: int

    def setup(self):
        self.head = nn.Dense(self.outputs)

    def __call__(self, x: Array, mask: Array | None = None, train: bool = False) -> Array:
        carries, _ = self.stack(x, mask=mask, train=train)
        return self.outputs_of(jax.tree.leaves(carries[-1])[0])  # h is the first of every carry

    def outputs_of(self, h: Array) -> Array:
        """The outputs of the last layer's state h [B, F]."""
        return self.head(h)


def adding(key: Key, length: int) -> tuple[Array, Array]:
    """One sequence [length, 2] of numbers and markers, and the target sum, a scalar."""
    value_key, first_key, second_key = (jax.random.fold_in(key, i) for i in range(3))
    values = jax.random.uniform(value_key, (length,))
    half = length // 2
    first = jax.random.randint(first_key, (), 0, half)
    second = jax.random.randint(second_key, (), half, length)
    time = jnp.arange(length)
    markers = ((time == first) | (time == second)).astype(jnp.float32)
    return jnp.stack([values, markers], axis=-1), jnp.sum(values * markers)


def squared_error(outputs: Array, target: Array) -> Array:
    """The adding problem's loss [B] of outputs [B, 1] against sums [B]."""
    chex.assert_shape(outputs, (*target.shape, 1))
    return (outputs[:, 0] - target) ** 2


def adding_task(
    model: nn.Module, tx: optax.GradientTransformation, *, length: int, batch_size: int
) -> Task:
    """The adding problem on fresh sequences in each step; the loop's batch is ().

    Evaluation batches hold "index" int [B], of fixed test sequences, and "example_mask" [B]. The
    loss is the squared error. Raises ValueError for a length below 2.
    """
    if length < 2:
        raise ValueError(f"the adding problem needs a length of at least 2, not {length}")
    generate = jax.vmap(lambda key: adding(key, length))

    def drawn(batch: Any, key: Key) -> tuple[Sequences, Array]:
        x, target = generate(jax.random.split(key, batch_size))
        return (x, None), target

    def fixed(batch: dict[str, Array]) -> tuple[Sequences, Array]:
        root = jax.random.key(TEST)
        x, target = generate(jax.vmap(lambda i: jax.random.fold_in(root, i))(batch["index"]))
        return (x, None), target

    def measured(outputs: Array, target: Array, mask: Array | None) -> tuple[Array, Sums]:
        error = squared_error(outputs, target)
        return error, {"loss": metrics.mean(error, mask)}

    return _task(model, tx, (1, length, 2), drawn, fixed, measured)


def classification_task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    shape: tuple[int, int],
    sequences: Callable[[dict[str, Array]], Sequences],
) -> Task:
    """Softmax classification of sequences.

    Batches hold "label" int [B], those of evaluation "example_mask" [B] too. shape: (T, I) of a
    sequence. sequences: batch -> ([B, T, I], mask [B, T] or None); the mask is 0 in padding.
    """

    def measured(logits: Array, label: Array, mask: Array | None) -> tuple[Array, Sums]:
        values = metrics.softmax_loss(logits, label)
        accuracy = metrics.accuracy(logits, label, mask)
        return values, {"loss": metrics.mean(values, mask), "accuracy": accuracy}

    def read(batch: dict[str, Array]) -> tuple[Sequences, Array]:
        return sequences(batch), batch["label"]

    return _task(model, tx, (1, *shape), lambda batch, key: read(batch), read, measured)


def rows(batch: dict[str, Array]) -> Sequences:
    """Images uint8 [B, H, W, C] as sequences [B, H, W C] of their rows, in 0..1."""
    images = batch["image"].astype(jnp.float32) / 255
    return images.reshape(*images.shape[:2], -1), None


def pixels(batch: dict[str, Array]) -> Sequences:
    """Images uint8 [B, H, W, C] as sequences [B, H W, C] of their pixels, in 0..1."""
    images = batch["image"].astype(jnp.float32) / 255
    return images.reshape(images.shape[0], -1, images.shape[-1]), None


def _task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    shape: tuple[int, int, int],
    train_data: Callable[[Any, Key], tuple[Sequences, Array]],
    test_data: Callable[[dict[str, Array]], tuple[Sequences, Array]],
    measured: Callable[[Array, Array, Array | None], tuple[Array, Sums]],
) -> Task:
    def init(key: Key) -> State:
        return create_state(model.init(key, jnp.zeros(shape)), tx)

    def step(state: State, batch: Any, key: Key) -> tuple[State, Sums]:
        data_key, dropout_key = (jax.random.fold_in(key, i) for i in range(2))
        (x, mask), target = train_data(batch, data_key)
        chex.assert_shape(x, (None, *shape[1:]))

        def loss(params):
            rngs = {"dropout": dropout_key}
            outputs = model.apply({"params": params}, x, mask, train=True, rngs=rngs)
            values, sums = measured(outputs, target, None)
            return values.mean(), (state.model_state, sums)

        state, sums, gradient_norm = gradient_step(state, tx, loss)
        return state, {**sums, "gradient_norm": gradient_norm}

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        (x, mask), target = test_data(batch)
        chex.assert_shape(x, (None, *shape[1:]))
        return measured(model.apply(state.variables(), x, mask), target, batch[feed.MASK])[1]

    return Task(init, step, evaluate)
