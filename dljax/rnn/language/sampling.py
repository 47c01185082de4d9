"""Text from a language model: each token is drawn, and read as the next one.

The distribution is that of the logits over a temperature, of which the tail may be cut: the tokens
beyond the `top_k` likeliest (Fan et al. 2018), and those beyond the likeliest ones that together
have a probability of `top_p` (nucleus sampling, Holtzman et al. 2020).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.data.tokens import BORDER, UNKNOWN, Tokens

BLOCK = 16  # tokens drawn in one call


class Sample(NamedTuple):
    """What is sampled in each evaluation: so many tokens at a temperature, after a border."""

    length: int
    temperature: float


def filtered(logits: Array, temperature: Array, top_k: int, top_p: Array) -> Array:
    """Logits [..., V] over the temperature, -inf for what is not to be drawn.

    top_k: 0 keeps all. top_p: 1 keeps all; the likeliest token always stays. Equally likely tokens
    at the edge stay together.
    """
    logits = logits / temperature
    if top_k:
        least = jax.lax.top_k(logits, min(top_k, logits.shape[-1]))[0][..., -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    down = jnp.sort(logits, axis=-1)[..., ::-1]
    before = jnp.cumsum(jax.nn.softmax(down), axis=-1) - jax.nn.softmax(down)
    least = jnp.where((before < top_p) | (top_p >= 1), down, jnp.inf).min(-1, keepdims=True)
    return jnp.where(logits < least, -jnp.inf, logits)


def forbidden(tokens: Tokens) -> np.ndarray:
    """Bool [V]: the tokens that are no text."""
    never = np.zeros(len(tokens.names), bool)
    never[BORDER] = True
    never[UNKNOWN] |= tokens.kind == "characters"
    return never


@partial(jax.jit, static_argnames=("model", "count", "top_k"))
def draw(
    model: Any,
    variables: Any,
    carries: Any,
    logits: Array,
    key: Array,
    never: Array,
    temperature: Array,
    top_p: Array,
    *,
    count: int,
    top_k: int,
) -> tuple[Any, Array, Array]:
    """Draws `count` tokens after logits [B, V]: the carries and logits after them, tokens [B, n].

    never: bool [V], tokens that are not drawn. A temperature of 0 takes the likeliest token.
    """

    def one(state: Any, key: Array) -> tuple[Any, Array]:
        carries, logits = state
        logits = jnp.where(never, -jnp.inf, logits.astype(jnp.float32))
        cut = filtered(logits, jnp.maximum(temperature, 1e-6), top_k, top_p)
        token = jnp.where(
            temperature > 0, jax.random.categorical(key, cut), jnp.argmax(logits, axis=-1)
        )
        carries, logits = model.apply(variables, token[:, None], carries)
        return (carries, logits[:, -1]), token

    (carries, logits), drawn = jax.lax.scan(one, (carries, logits), jax.random.split(key, count))
    return carries, logits, drawn.T


def draw_sample(model: Any, variables: Any, tokens: Tokens, sample: Sample) -> Array:
    """Tokens [length] after a border, the same ones for the same variables."""
    ids = jnp.full((1, 1), BORDER, jnp.int32)
    carries, logits = model.apply(variables, ids, model.start(1))
    _, _, drawn = draw(
        model, variables, carries, logits[:, -1], jax.random.key(0), forbidden(tokens),
        jnp.float32(sample.temperature), jnp.float32(1), count=sample.length, top_k=0,
    )  # fmt: skip
    return drawn[0]


def stream(
    model: Any,
    variables: Any,
    tokens: Tokens,
    prompt: str,
    length: int,
    key: Array,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Iterator[str]:
    """Pieces of text as they are drawn, together at least `length` characters long.

    The network first reads a border and the prompt.
    """
    ids = np.concatenate([[BORDER], tokens.encode(prompt)]).astype(np.int32)
    carries, logits = jax.jit(model.apply)(variables, ids[None], model.start(1))
    logits, decoder, never = logits[:, -1], _decoder(), forbidden(tokens)
    written, number = 0, 0
    while written < length:
        carries, logits, drawn = draw(
            model, variables, carries, logits, jax.random.fold_in(key, number), never,
            jnp.float32(temperature), jnp.float32(top_p), count=BLOCK, top_k=top_k,
        )  # fmt: skip
        text = decoder.decode(tokens.decode_bytes(np.asarray(drawn[0])))
        text, number = text[: length - written], number + 1
        written += len(text)
        yield text


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")(errors="replace")
