"""Single words: a Task that classifies recordings.

State: that of train/supervised.py. A batch holds "sound" [B, L], "samples" [B] and "tokens" [B, U],
of which the first is the class (data/utterances.py); evaluation batches hold "example_mask" too.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dljax.rnn.speech import front as fronts
from dljax.rnn.speech.front import Augmentation, Front
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    front: Front,
    classes: int,
    augment: Augmentation = Augmentation(),  # noqa: B008
    label_smoothing: float = 0.0,
    lengths: Sequence[int] = (),
) -> Task:
    """Softmax classification of recordings.

    model: called as model.apply(variables, features [B, T, M], mask [B, T], train=bool) -> logits
    [B, classes]; may use the rng "dropout". lengths: see `front.shortest`.
    """

    def init(key: Key) -> State:
        blank = jnp.zeros((1, 16, front.spectrum.mels))
        return create_state(model.init(key, blank, jnp.ones((1, 16), bool)), tx)

    def update(size: int, state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = jax.random.split(key)
        sound, labels = batch["sound"][:, :size], batch["tokens"][:, 0]
        x, mask = fronts.augmented(front, augment, augment_key, sound, batch["samples"])

        def loss(params):
            logits, model_state = model.apply(
                {"params": params, **state.model_state},
                x,
                mask,
                train=True,
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            values = metrics.softmax_loss(logits, jax.nn.one_hot(labels, classes), label_smoothing)
            return values.mean(), (model_state, (logits, values))

        state, (logits, values), norm = gradient_step(state, tx, loss)
        return state, {
            "loss": metrics.mean(values),
            "accuracy": metrics.accuracy(logits, labels),
            "gradient_norm": norm,
        }

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        logits = predict_logits(model, state, front, batch["sound"], batch["samples"])
        labels, mask = batch["tokens"][:, 0], batch["example_mask"]
        return {
            "loss": metrics.cross_entropy(logits, labels, mask),
            "accuracy": metrics.accuracy(logits, labels, mask),
            "per_class_accuracy": metrics.per_class_accuracy(logits, labels, mask),
            "confusion": metrics.confusion(logits, labels, mask),
        }

    return Task(init, fronts.shortest(update, lengths), evaluate)


def predict_logits(
    model: nn.Module, state: State, front: Front, sound: Array, samples: Array
) -> Array:
    """Logits float32 [B, classes] of sound [B, L], of which samples [B] count."""
    x, mask = fronts.plain(front, sound, samples)
    return model.apply(state.variables(), x, mask, train=False)
