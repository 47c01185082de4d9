"""Replay memories on the device: ring buffers of N environments, sampled in windows.

A memory holds rows, one for each time step, of N environments: [rows, N, ...]. A sample is a window
of n consecutive rows of one environment, so returns of n steps need nothing of their own. Rows are
added T at once, T a divisor of the number of rows. Uniform (Lin 1992) or prioritised (Schaul et al.
2016); both are pytrees and work under vmap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Replay(NamedTuple):
    """data [rows, N, ...]. next: the row to be written next. filled: rows that hold something."""

    data: Any
    next: Array
    filled: Array

    def shape(self) -> tuple[int, int]:
        """Rows and environments."""
        return jax.tree.leaves(self.data)[0].shape[:2]


def empty(rows: int, like: Any) -> Replay:
    """Room for so many rows; `like` is a trajectory [T, N, ...] (or its shapes).

    Raises ValueError unless T divides rows.
    """
    length = jax.tree.leaves(like)[0].shape[0]
    if rows % length:
        raise ValueError(f"a memory of {rows} rows can't be filled {length} at once")
    data = jax.tree.map(lambda x: jnp.zeros((rows, *x.shape[1:]), x.dtype), like)
    return Replay(data, jnp.int32(0), jnp.int32(0))


def add(replay: Replay, trajectory: Any) -> Replay:
    """With T more rows [T, N, ...], in place of the oldest ones where it is full."""
    rows, _ = replay.shape()
    length = jax.tree.leaves(trajectory)[0].shape[0]
    data = jax.tree.map(
        lambda x, new: jax.lax.dynamic_update_slice_in_dim(x, new, replay.next, 0),
        replay.data,
        trajectory,
    )
    filled = jnp.minimum(replay.filled + length, rows)
    return Replay(data, (replay.next + length) % rows, filled)


def windows(replay: Replay, age: Array, environment: Array, n: int) -> Any:
    """Windows [n, B, ...] that begin `age` rows after the oldest one, of those environments [B]."""
    rows, _ = replay.shape()
    row = (replay.next - replay.filled + age + jnp.arange(n)[:, None]) % rows
    return jax.tree.map(lambda x: x[row, environment], replay.data)


def sample(replay: Replay, key: Array, batch: int, n: int = 1) -> Any:
    """Windows [n, batch, ...], each equally likely; at least n rows have to be filled."""
    _, environments = replay.shape()
    age_key, environment_key = jax.random.split(key)
    age = jax.random.randint(age_key, (batch,), 0, replay.filled - n + 1)
    environment = jax.random.randint(environment_key, (batch,), 0, environments)
    return windows(replay, age, environment, n)


class Prioritised(NamedTuple):
    """replay, and the weight p^alpha [rows, N] of the window that begins at each of its entries.

    largest: of the priorities p so far, what new entries begin with.
    """

    replay: Replay
    weight: Array
    largest: Array


class Drawn(NamedTuple):
    """Windows [n, B, ...], importance weights [B] of at most 1, and where the windows begin."""

    windows: Any
    importance: Array
    place: tuple[Array, Array]


def prioritised(replay: Replay) -> Prioritised:
    """An empty memory with priorities."""
    return Prioritised(replay, jnp.zeros(replay.shape()), jnp.float32(1))


def add_prioritised(memory: Prioritised, trajectory: Any, alpha: float) -> Prioritised:
    """With T more rows, all of the largest priority so far (Schaul et al. 2016, algorithm 1)."""
    length = jax.tree.leaves(trajectory)[0].shape[0]
    new = jnp.full((length, memory.weight.shape[1]), memory.largest**alpha)
    weight = jax.lax.dynamic_update_slice_in_dim(memory.weight, new, memory.replay.next, 0)
    return Prioritised(add(memory.replay, trajectory), weight, memory.largest)


def sample_prioritised(
    memory: Prioritised, key: Array, batch: int, beta: Array | float, n: int = 1
) -> Drawn:
    """Windows with probability P = p^alpha / sum p^alpha, importance (size P)^-beta / its largest.

    Source: Schaul et al. 2016, equation 1 and section 3.4. By the cumulated weights of all entries:
    of a cost that grows with the memory, but one pass of a vector unit.
    """
    rows, environments = memory.weight.shape
    replay = memory.replay
    age = (jnp.arange(rows) - replay.next + replay.filled) % rows  # 0: the oldest row
    begins = age <= replay.filled - n
    weight = jnp.where(begins[:, None], memory.weight, 0.0).reshape(-1)
    total = jnp.cumsum(weight)
    # One draw from each of `batch` equal strata; the clip keeps rounding off the last entry.
    share = (jnp.arange(batch) + jax.random.uniform(key, (batch,))) / batch
    chosen = jnp.searchsorted(total, share * total[-1], side="right")
    last = rows * environments - 1 - jnp.argmax(weight[::-1] > 0)
    chosen = jnp.minimum(chosen, last)
    row, environment = chosen // environments, chosen % environments
    size = (replay.filled - n + 1) * environments
    importance = (size * weight[chosen] / total[-1]) ** -beta
    importance /= importance.max()
    return Drawn(windows(replay, age[row], environment, n), importance, (row, environment))


def reprioritise(
    memory: Prioritised, place: tuple[Array, Array], error: Array, alpha: float
) -> Prioritised:
    """With the priorities |error| [B] of drawn windows (proportional variant, section 3.3)."""
    priority = jnp.abs(error) + 1e-6
    weight = memory.weight.at[place].set(priority**alpha)
    return Prioritised(memory.replay, weight, jnp.maximum(memory.largest, priority.max()))
