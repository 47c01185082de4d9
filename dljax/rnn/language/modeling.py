"""Language modelling by truncated backpropagation through time, the state carried between steps.

    p(x_1 .. x_N) = prod_t p(x_t | x_1 .. x_(t-1)),   loss = -mean_t log p(x_t | ...)

The network's carries are part of the Task's State: one for each row of the batch, which reads a
stream of its own (data/text.py). They are set to their start where a stream begins.
"""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import PartitionSpec as P

from dljax.data import feed
from dljax.data.tokens import Tokens
from dljax.rnn.language.sampling import Sample, draw_sample
from dljax.train import metrics, supervised
from dljax.train.loop import Array, Key, Sums, Task

CHUNK = 128  # tokens that evaluation reads at once


class State(struct.PyTreeNode):
    """model: parameters and optimiser. carries: what the network remembers of each stream [B]."""

    model: supervised.State
    carries: Any

    @property
    def params(self) -> Any:
        return self.model.params

    def variables(self) -> dict[str, Any]:
        """What the network is evaluated with."""
        return self.model.variables()


def task(
    model: Any,
    tx: optax.GradientTransformation,
    tokens: Tokens,
    batch_size: int,
    length: int,
    sample: Sample | None = None,
) -> Task:
    """The Task of a network with the interface of nn/language.py.

    Batches are those of data/text.py: tokens int [batch_size, length + 1], reset bool [batch_size];
    in evaluation tokens int [S, L + 1], scored bool [S, L], L a multiple of CHUNK.
    Sums: "loss", nats a token; in evaluation also "nats" a character and "nats_per_byte", and the
    tokens of a "sample" if there is to be one.
    """
    characters, sizes = (jnp.asarray(x, jnp.float32) for x in (tokens.characters, tokens.bytes))

    def init(key: Key) -> State:
        variables = model.init(key, jnp.zeros((1, 1), jnp.int32))
        return State(supervised.create_state(variables, tx), model.start(batch_size))

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        chex.assert_shape(batch["tokens"], (batch_size, length + 1))
        fresh = batch["reset"]
        carries = jax.tree.map(
            lambda start, now: jnp.where(fresh.reshape(-1, *[1] * (now.ndim - 1)), start, now),
            model.start(batch_size),
            state.carries,
        )

        def loss(params):
            after, logits = model.apply(
                {"params": params},
                batch["tokens"][:, :-1],
                carries,
                train=True,
                rngs={"dropout": key},
            )
            losses = metrics.softmax_loss(logits, batch["tokens"][:, 1:])
            return losses.mean(), (state.model.model_state, (after, metrics.mean(losses)))

        trained, (after, mean), norm = supervised.gradient_step(state.model, tx, loss)
        return State(trained, after), {"loss": mean, "gradient_norm": norm}

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        found = losses(model, state.variables(), batch["tokens"])
        target = batch["tokens"][:, 1:]
        weight = batch["scored"] * batch[feed.MASK][:, None]
        total = jnp.where(weight > 0, found, 0).sum()
        sums = {
            "loss": (total, weight.sum()),
            "nats": (total, (weight * characters[target]).sum()),
            "nats_per_byte": (total, (weight * sizes[target]).sum()),
        }
        if sample:
            drawn = draw_sample(model, state.variables(), tokens, sample).astype(jnp.float32)
            sums["sample"] = drawn, jnp.ones_like(drawn)
        return sums

    return Task(init, step, evaluate, State(P(), P("data")))


def losses(
    model: Any, variables: Any, tokens: Array, carries: Any = None, *, last: bool = False
) -> Any:
    """-log p [S, L] of tokens[:, 1:] [S, L + 1], each after those before it.

    L is less than CHUNK or in whole CHUNKs. last: returns the carries after them too.
    """
    streams, length = tokens.shape[0], tokens.shape[1] - 1
    size = min(CHUNK, length)

    def read(carries: Any, first: Array) -> tuple[Any, Array]:
        part = jax.lax.dynamic_slice_in_dim(tokens, first, size + 1, axis=1)
        carries, logits = model.apply(variables, part[:, :-1], carries)
        return carries, metrics.softmax_loss(logits, part[:, 1:])

    carries = model.start(streams) if carries is None else carries
    carries, found = jax.lax.scan(read, carries, jnp.arange(0, length, size))
    found = jnp.swapaxes(found, 0, 1).reshape(streams, length)
    return (found, carries) if last else found


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """The metrics of an evaluation [seeds]: those of the Sums, bits and perplexity."""
    values = metrics.scalars(sums)
    if "nats" in values:
        values["bits"] = values["nats"] / np.log(2)
        values["perplexity"] = np.exp(values["nats"])
    return values
