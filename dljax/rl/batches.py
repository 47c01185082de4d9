"""Minibatches of a rollout, for some epochs."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def flat(tree: Any) -> Any:
    """Arrays [T, N, ...] as [T N, ...]."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def shuffled(key: Array, samples: int, epochs: int, minibatches: int) -> Array:
    """Indices of the samples [epochs * minibatches, samples // minibatches], each once an epoch.

    By the swap-or-not shuffle (Hoang, Morris and Rogaway 2012): each round pairs every place i with
    k - i modulo n, k at random, and swaps a pair or not by a bit that hashes the larger of the two.
    It needs no sorting, which takes as long as an update on a CPU. After r rounds the place of a
    sample is uniform but for a share of 2^-r.
    """
    rounds = 12 + 2 * math.ceil(math.log2(max(samples, 2)))
    offsets, salts = jax.random.bits(key, (2, rounds, epochs, 1))
    n = jnp.uint32(samples)

    def swap(place, drawn):
        offset, salt = drawn
        offset %= n
        other = jnp.where(offset >= place, offset - place, offset + n - place)
        return jnp.where(_mixed(jnp.maximum(place, other) ^ salt) & 1, other, place), None

    place = jnp.broadcast_to(jnp.arange(samples, dtype=jnp.uint32), (epochs, samples))
    place, _ = jax.lax.scan(swap, place, (offsets, salts))
    return place.astype(jnp.int32).reshape(epochs * minibatches, -1)


def _mixed(x: Array) -> Array:
    """MurmurHash3's finaliser (Appleby 2011): each bit of the result depends on all those of x."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
