"""Language models: a network that reads tokens and predicts the next one after each.

All have one interface, which hides what they remember of the past (the carries):

    carries = model.start(batch)
    carries, logits = model.apply(variables, tokens, carries)         # [B, T] -> [B, T, V]
    carries, logits = model.apply(variables, tokens, carries)         # the T tokens after those

Reading a text in parts of any length, passing the carries on, equals reading it at once.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.parameters import param
from dljax.nn.recurrent.layers import Stack

EMBEDDING = nn.initializers.normal(0.02)


class RecurrentLM(nn.Module):
    """A recurrent stack between tokens and logits.

    stack: of one direction. tied: the input embeddings, of the stack's width, are the output
    weights too (Press & Wolf 2017); otherwise the first layer reads tokens one-hot, so that its
    kernel holds an embedding of each. norm: normalises the stack's outputs (Ba et al. 2016).
    dropout: of them; with the stack's `variational`, one mask for all times.
    """

    vocabulary: int
    stack: Stack
    tied: bool = False
    norm: bool = False
    dropout: float = 0.0

    def setup(self):
        dtype = self.stack.dtype
        if self.tied:
            self.embedding = nn.Embed(
                self.vocabulary, self.stack.features, dtype=dtype, embedding_init=EMBEDDING
            )
            self.bias = param(self, "bias", nn.initializers.zeros_init(), (self.vocabulary,))
        else:
            self.head = nn.Dense(self.vocabulary, dtype=dtype)
        if self.norm:
            self.last_norm = nn.LayerNorm(dtype=dtype)
        axes = (1,) if self.stack.variational else ()
        self.drop = nn.Dropout(self.dropout, broadcast_dims=axes)

    def start(self, batch: int) -> Any:
        """The carries before the first token."""
        return self.stack.start(batch)

    def __call__(
        self, tokens: Array, carries: Any = None, train: bool = False
    ) -> tuple[Any, Array]:
        """Tokens int [B, T] -> the carries after them, logits [B, T, V] of the token after each.

        `train` needs the rng "dropout" where there is any.
        """
        carries, h = self.encode(tokens, carries, train)
        h = self.drop(h, deterministic=not train)
        if self.tied:
            return carries, self.embedding.attend(h) + self.bias
        return carries, self.head(h)

    def encode(self, tokens: Array, carries: Any = None, train: bool = False) -> tuple[Any, Array]:
        """Tokens int [B, T] -> the carries after them, the features [B, T, F] after each."""
        if self.tied:
            x = self.embedding(tokens)
        else:
            x = jax.nn.one_hot(tokens, self.vocabulary, dtype=self.stack.dtype or jnp.float32)
        carries, h = self.stack(x, carries, train=train)
        return carries, self.last_norm(h) if self.norm else h


class TextClassifier(nn.Module):
    """A recurrent stack over tokens, its outputs pooled over time, and a dense layer.

    stack: usually bidirectional. embedding: width of the tokens' embeddings; 0: one-hot. The mean
    and the maximum over the real times are concatenated. dropout: of both.
    """

    vocabulary: int
    classes: int
    stack: Stack
    embedding: int = 0
    dropout: float = 0.0

    @nn.compact
    def __call__(self, tokens: Array, mask: Array, train: bool = False) -> Array:
        """Tokens int [B, T], mask [B, T] (1 real, 0 padding) -> logits [B, classes].

        A text has one real token at least. `train` needs the rng "dropout" where there is any.
        """
        dtype = self.stack.dtype or jnp.float32
        if self.embedding:
            x = nn.Embed(self.vocabulary, self.embedding, dtype=dtype)(tokens)
        else:
            x = jax.nn.one_hot(tokens, self.vocabulary, dtype=dtype)
        _, h = self.stack(x, mask=mask, train=train)
        real = mask[..., None] > 0
        mean = h.sum(1) / real.sum(1)  # outputs are zero in padding
        top = jnp.where(real, h, -jnp.inf).max(1)
        pooled = jnp.concatenate([mean, top], -1)
        pooled = nn.Dropout(self.dropout, deterministic=not train)(pooled)
        return nn.Dense(self.classes, dtype=dtype, name="head")(pooled)
