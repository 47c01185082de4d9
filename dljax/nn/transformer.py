"""A small causal transformer with a memory, called as the recurrent networks of language.py.

Blocks as of GPT-2 (Radford et al. 2019: normalised inputs, attention, then two dense layers) with
rotary positions (Su et al. 2021). The carries hold the keys and values of the last `memory` tokens
of each block (Dai et al. 2019, "Transformer-XL", section 3.2), so a text can be read in parts: all
tokens of a part at once, each attends to the `memory` tokens before it.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

KERNEL = nn.initializers.normal(0.02)


class TransformerLM(nn.Module):
    """A causal transformer between tokens and logits; embeddings and output weights are shared.

    features: width, a multiple of 2 * heads. memory: tokens that each token attends to besides
    itself. dropout: of the embeddings, and of what each half of a block adds.
    """

    vocabulary: int
    features: int
    depth: int
    heads: int
    memory: int
    dropout: float = 0.0
    dtype: Any = None

    def setup(self):
        if self.features % (2 * self.heads):
            raise ValueError(f"features={self.features} is no multiple of 2 * heads={self.heads}")
        self.embedding = nn.Embed(
            self.vocabulary, self.features, dtype=self.dtype, embedding_init=KERNEL
        )
        self.blocks = [
            Block(self.features, self.heads, self.memory, self.depth, self.dropout, self.dtype)
            for _ in range(self.depth)
        ]
        self.last_norm = nn.LayerNorm(dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def start(self, batch: int) -> tuple[Any, ...]:
        """The carries before the first token: no keys, and how many there are."""
        size = (batch, self.memory, self.heads, self.features // self.heads)
        empty = jnp.zeros(size, self.dtype or jnp.float32)
        return ((empty, empty, jnp.zeros(batch, jnp.int32)),) * self.depth

    def __call__(
        self, tokens: Array, carries: Any = None, train: bool = False
    ) -> tuple[Any, Array]:
        """Tokens int [B, T] -> the carries after them, logits [B, T, V] of the token after each.

        `train` needs the rng "dropout" where there is any.
        """
        carries, h = self.encode(tokens, carries, train)
        return carries, self.embedding.attend(h)

    def encode(self, tokens: Array, carries: Any = None, train: bool = False) -> tuple[Any, Array]:
        """Tokens int [B, T] -> the carries after them, the features [B, T, F] after each."""
        carries = self.start(len(tokens)) if carries is None else carries
        x, after = self.drop(self.embedding(tokens), deterministic=not train), []
        for block, carry in zip(self.blocks, carries, strict=True):
            carry, x = block(x, carry, train)
            after.append(carry)
        return tuple(after), self.last_norm(x)


class Block(nn.Module):
    """Attention and two dense layers, each on normalised inputs and added to them."""

    features: int
    heads: int
    memory: int
    depth: int
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, carry: Any, train: bool) -> tuple[Any, Array]:
        def dense(features: int, name: str, scale: float = 1.0) -> nn.Dense:
            kernel = nn.initializers.normal(0.02 * scale)
            return nn.Dense(
                features, use_bias=False, dtype=self.dtype, kernel_init=kernel, name=name
            )

        drop = nn.Dropout(self.dropout, deterministic=not train)
        small = (2 * self.depth) ** -0.5  # so that the sum over blocks begins at a size of 1
        split = (*x.shape[:2], self.heads, self.features // self.heads)
        joined = dense(3 * self.features, "qkv")(nn.LayerNorm(dtype=self.dtype)(x))
        q, k, v = (y.reshape(split) for y in jnp.split(joined, 3, axis=-1))
        keys, values, count = carry
        keys, values = jnp.concatenate([keys, k], 1), jnp.concatenate([values, v], 1)
        y = attend(q, keys, values, count, self.memory).reshape(x.shape)
        x = x + drop(dense(self.features, "out", small)(y))
        y = dense(4 * self.features, "up")(nn.LayerNorm(dtype=self.dtype)(x))
        x = x + drop(dense(self.features, "down", small)(nn.gelu(y)))
        kept = keys[:, -self.memory :], values[:, -self.memory :]
        return (*kept, jnp.minimum(count + split[1], self.memory)), x


def attend(q: Array, keys: Array, values: Array, count: Array, memory: int) -> Array:
    """Attention of each query to the key at its place and the `memory` before it.

    q [B, T, H, D]; keys, values [B, memory + T, H, D], of which the first memory - count [B] are
    empty. Returns [B, T, H, D].
    """
    length, total = q.shape[1], keys.shape[1]
    query = jnp.arange(length)[:, None] + memory
    key = jnp.arange(total)
    near = (key <= query) & (key >= query - memory)
    there = key >= memory - count[:, None]
    q, keys = rotated(q, query[:, 0]), rotated(keys, key)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, keys).astype(jnp.float32) * q.shape[-1] ** -0.5
    scores = jnp.where(near & there[:, None, None, :], scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores).astype(values.dtype), values)


def rotated(x: Array, position: Array) -> Array:
    """x [B, T, H, D] with pairs of features turned by angles that grow with the position [T].

    The product of two rotated vectors depends on the difference of their positions alone.
    """
    half = x.shape[-1] // 2
    rate = 10000.0 ** (-jnp.arange(half) / half)
    angle = (position[:, None] * rate)[:, None, :]
    cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
