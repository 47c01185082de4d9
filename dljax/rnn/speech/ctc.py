"""Strings: a Task that learns where nothing but what is said is known, not when (CTC).

Graves et al. 2006, "Connectionist temporal classification". Symbol 0 is the blank; the tokens of a
text are symbols from 1 on, or UNKNOWN where the text has what no symbol stands for. State: that of
train/supervised.py. A batch holds "sound" [B, L], "samples" [B], "tokens" [B, U] and "count" [B]
(data/utterances.py), at evaluation "example_mask".

An utterance of fewer frames than its text needs (one a token, and one between two equal ones) has
no path: optax returns a finite loss of about 1e5 for it, whose gradient means nothing. Such ones
weigh nothing here, and `too_short` counts them.
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

BLANK = 0
UNKNOWN = -1  # a token that the network can't write: an error in evaluation, none of the loss


def frames_needed(tokens: Array, count: Array) -> Array:
    """The fewest frames [B] in which CTC can write tokens [B, U], of which count [B] are there."""
    pairs = (tokens[:, 1:] == tokens[:, :-1]) & (jnp.arange(1, tokens.shape[1]) < count[:, None])
    return count + pairs.sum(1)


def known(tokens: Array, count: Array) -> tuple[Array, Array]:
    """(tokens [B, U] without UNKNOWN ones, zeros in their place at the end, count [B])."""
    there = tokens != UNKNOWN
    order = jnp.argsort(~there, axis=1, stable=True)
    left = jnp.take_along_axis(jnp.where(there, tokens, 0), order, 1)
    return left, count - (~there).sum(1)


def ctc_loss(logits: Array, mask: Array, tokens: Array, count: Array) -> tuple[Array, Array]:
    """(loss in nats [B], whether there is a path [B]); the loss is 0 where there is none.

    logits [B, T, symbols], mask [B, T], tokens [B, U], count [B].
    """
    absent = (jnp.arange(tokens.shape[1]) >= count[:, None]).astype(jnp.float32)
    losses = optax.ctc_loss(logits, 1.0 - mask, tokens, absent, blank_id=BLANK)
    possible = frames_needed(tokens, count) <= mask.sum(1)
    return jnp.where(possible, losses, 0), possible


def greedy_edits(logits: Array, mask: Array, tokens: Array, count: Array) -> Array:
    """Edit distance [B] between the tokens and the best path's, repetitions merged, blanks removed.

    Levenshtein's recursion, a row for each symbol that the path writes; insertions along a row are
    a running minimum.
    """
    best = jnp.where(mask, logits.argmax(-1), BLANK)
    before = jnp.pad(best, ((0, 0), (1, 0)))[:, :-1]
    written = (best != BLANK) & (best != before)
    index = jnp.arange(tokens.shape[1] + 1)

    def one(row, now):
        symbol, wrote = now
        changed = row[:, :-1] + (tokens != symbol[:, None])
        least = jnp.minimum(row[:, 1:] + 1, changed)
        least = jnp.concatenate([row[:, :1] + 1, least], 1)
        least = jax.lax.cummin(least - index, axis=1) + index
        return jnp.where(wrote[:, None], least, row), None

    rows = jnp.broadcast_to(index, (len(tokens), len(index)))
    rows, _ = jax.lax.scan(one, rows, (best.T, written.T))
    return jnp.take_along_axis(rows, count[:, None], 1)[:, 0]


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    front: Front,
    augment: Augmentation = Augmentation(),  # noqa: B008
    lengths: Sequence[int] = (),
) -> Task:
    """Transcription by CTC.

    model: called as model.apply(variables, features [B, T, M], mask [B, T], train=bool) -> (state,
    logits [B, T', symbols], mask [B, T']); may use the rng "dropout". lengths: see
    `front.shortest`.

    `error_rate` of an evaluation is that of the best path: edits over tokens, unknown ones among
    them; its `loss` is over the known ones.
    """

    def init(key: Key) -> State:
        blank = jnp.zeros((1, 16, front.spectrum.mels))
        return create_state(model.init(key, blank, jnp.ones((1, 16), bool)), tx)

    def update(size: int, state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = jax.random.split(key)
        sound, tokens, count = batch["sound"][:, :size], batch["tokens"], batch["count"]
        x, mask = fronts.augmented(front, augment, augment_key, sound, batch["samples"])

        def loss(params):
            (_, logits, there), model_state = model.apply(
                {"params": params, **state.model_state},
                x,
                mask,
                train=True,
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            values, possible = ctc_loss(logits, there, tokens, count)
            mean = (values / jnp.maximum(count, 1)).mean()
            return mean, (model_state, (values, possible))

        state, (values, possible), norm = gradient_step(state, tx, loss)
        return state, {
            "loss": (values.sum(), (count * possible).sum().astype(jnp.float32)),
            "too_short": metrics.mean(~possible),
            "gradient_norm": norm,
        }

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        logits, there = predict_logits(model, state, front, batch["sound"], batch["samples"])
        tokens, count, weight = batch["tokens"], batch["count"], batch["example_mask"]
        written, fewer = known(tokens, count)
        values, possible = ctc_loss(logits, there, written, fewer)
        edits = greedy_edits(logits, there, tokens, count)
        characters = (count * weight).sum()
        return {
            "loss": (
                jnp.where(weight > 0, values, 0).sum(),
                (fewer * possible * weight).sum(),
            ),
            "error_rate": (jnp.where(weight > 0, edits, 0).sum().astype(jnp.float32), characters),
            "sentence_error_rate": metrics.mean(edits > 0, weight),
            "too_short": metrics.mean(~possible, weight),
        }

    return Task(init, fronts.shortest(update, lengths), evaluate)


def predict_logits(
    model: nn.Module, state: State, front: Front, sound: Array, samples: Array
) -> tuple[Array, Array]:
    """(logits [B, T', symbols], mask [B, T']) of sound [B, L], of which samples [B] count."""
    x, mask = fronts.plain(front, sound, samples)
    _, logits, mask = model.apply(state.variables(), x, mask, train=False)
    return logits, mask
