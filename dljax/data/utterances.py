"""Recordings as batches for the loop: as they are, or joined to strings while training.

All samples of a part lie in one array on the device; a batch is cut out of it inside the compiled
program. Its keys: "sound" float32 [B, L] (of full scale 32768), "samples" int32 [B], "tokens" int32
[B, U] and "count" int32 [B], how many of them are there. The rest of a row is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.data.feed import MASK, Batch, Examples, Feed, Item
from dljax.data.feed import examples as masked_examples
from dljax.data.sources.sound import Recordings

NONE = -1  # in place of a piece that a string does not have
TRIES = 1000  # to draw a string that fits
POOL = 8  # batches whose recordings are sorted by length among themselves


class Flat(NamedTuple):
    """Recordings end to end.

    wave: int16 [all samples]. start, samples: int32 [N]. tokens: int32 [N, U]; count: int32 [N].
    """

    wave: np.ndarray
    start: np.ndarray
    samples: np.ndarray
    tokens: np.ndarray
    count: np.ndarray

    def longest(self) -> int:
        """Samples of the longest recording."""
        return int(self.samples.max())


class Joining(NamedTuple):
    """How recordings of one speaker are joined to a string.

    fewest, most: recordings in a string. pause: seconds of silence, from 0 to so many, before each
    recording and after the last. limit: samples that a string has at most; 0: any number.
    """

    fewest: int
    most: int
    pause: float
    rate: int
    limit: int = 0


def flatten(recordings: Recordings, tokens: Sequence[Sequence[int]]) -> Flat:
    """Recordings with the tokens of each text."""
    samples = np.array([len(wave) for wave in recordings.waves], np.int32)
    width = max(1, max(map(len, tokens)))
    table = np.zeros((len(tokens), width), np.int32)
    for row, text in zip(table, tokens, strict=True):
        row[: len(text)] = text
    return Flat(
        np.concatenate(recordings.waves),
        np.concatenate([[0], np.cumsum(samples)[:-1]]).astype(np.int32),
        samples,
        table,
        np.array([len(text) for text in tokens], np.int32),
    )


def training(flat: Flat, batch_size: int, length: int, by_length: bool = False) -> Feed:
    """Each recording once an epoch, cut to `length` samples.

    by_length: the recordings of a batch are of similar length, for tasks that are quicker then.
    Raises ValueError for a batch larger than the set.
    """
    n = len(flat.start)
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size={batch_size} must be between 1 and the {n} recordings")

    @lru_cache(maxsize=16)
    def order(seed: int, epoch: int) -> np.ndarray:
        random = np.random.default_rng([seed, epoch])
        shuffled = random.permutation(n)
        if not by_length:
            return shuffled.astype(np.int32)
        batches = []
        for begin in range(0, n, POOL * batch_size):
            pool = shuffled[begin : begin + POOL * batch_size]
            pool = pool[np.argsort(flat.samples[pool], kind="stable")]
            batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        return np.concatenate([batches[i] for i in random.permutation(len(batches))]).astype(
            np.int32
        )

    def chunk(seed: int, step: int, k: int) -> Item:
        first, end = step * batch_size, (step + k) * batch_size
        epochs = [
            order(seed, e)[max(first - e * n, 0) : end - e * n]
            for e in range(first // n, -(-end // n))
        ]
        pieces = np.concatenate(epochs).reshape(k, batch_size, 1)
        return {"pieces": pieces, "pauses": np.zeros((k, batch_size, 2), np.int32)}

    return Feed(chunk, partial(assemble, length=length), flat._asdict())


def joined_training(
    flat: Flat, speakers: Sequence[str], joining: Joining, batch_size: int, length: int
) -> Feed:
    """Strings of recordings of one speaker, other ones in every step; all of a batch equally long.

    Each recording must have one token.
    """
    if flat.tokens.shape[1] != 1 or (flat.count != 1).any():
        raise ValueError("recordings are joined where each is one word")

    def chunk(seed: int, step: int, k: int) -> Item:
        drawn = [
            draw_strings(
                np.random.default_rng([seed, i]), speakers, joining, batch_size, flat.samples
            )
            for i in range(step, step + k)
        ]
        return {name: np.stack([one[name] for one in drawn]) for name in drawn[0]}

    return Feed(chunk, partial(assemble, length=length), flat._asdict())


def draw_strings(
    random: np.random.Generator,
    speakers: Sequence[str],
    joining: Joining,
    count: int,
    samples: np.ndarray,
) -> Item:
    """Which recordings make `count` strings, and the pauses before each and at the end.

    {"pieces": [B, S], "pauses": [B, S + 1]}. A speaker is drawn with the probability of a recording
    of theirs. The strings have the same number of pieces, S is the most that there may be, and the
    rest is NONE. A string over the limit is drawn again. samples: of each recording.
    """
    names = np.asarray(speakers)
    size = random.integers(joining.fewest, joining.most + 1)
    longest = round(joining.pause * joining.rate)

    def one() -> Item:
        own = np.flatnonzero(names == names[random.integers(len(names))])
        pieces = np.full(joining.most, NONE, np.int32)
        pieces[:size] = random.choice(own, size)
        pauses = random.integers(0, longest + 1, joining.most + 1).astype(np.int32)
        pauses[size:-1] = 0
        return {"pieces": pieces, "pauses": pauses}

    drawn = []
    for _ in range(count):
        tries = (one() for _ in range(TRIES))
        fitting = (
            x for x in tries if not joining.limit or string_samples(x, samples) <= joining.limit
        )
        if (found := next(fitting, None)) is None:
            raise ValueError(f"no string of {size} recordings fits in {joining.limit} samples")
        drawn.append(found)
    return {name: np.stack([x[name] for x in drawn]) for name in ("pieces", "pauses")}


def string_samples(item: Item, samples: np.ndarray) -> np.ndarray:
    """Samples of each string [B] of an item, of recordings of so many samples."""
    there = item["pieces"] != NONE
    own = np.where(there, samples[np.where(there, item["pieces"], 0)], 0)
    return own.sum(-1) + item["pauses"].sum(-1)


def assemble(arrays: dict[str, Array], item: Item, length: int) -> Batch:
    """The batch of an item: pieces int [B, S], pauses int [B, S + 1] in samples before each."""
    pieces, pauses = item["pieces"], item["pauses"]
    there = pieces != NONE
    chosen = jnp.where(there, pieces, 0)
    samples = jnp.where(there, arrays["samples"][chosen], 0)
    begin = jnp.cumsum(pauses[:, :-1] + samples, 1) - samples
    begin = jnp.where(there, begin, jnp.iinfo(jnp.int32).max)
    total = samples.sum(1) + pauses.sum(1)
    total = jnp.minimum(total, length)
    t = jnp.arange(length)
    slot = (t[None, :, None] >= begin[:, None]).sum(-1) - 1
    picked = jnp.maximum(slot, 0)
    offset = t - jnp.take_along_axis(begin, picked, 1)
    inside = (slot >= 0) & (offset < jnp.take_along_axis(samples, picked, 1))
    start = jnp.take_along_axis(arrays["start"][chosen], picked, 1)
    index = jnp.where(inside & (t < total[:, None]), start + offset, 0)
    wave = arrays["wave"][index].astype(jnp.float32)
    wave = jnp.where(inside & (t < total[:, None]), wave, 0)
    tokens = arrays["tokens"][chosen[:, 0]] if pieces.shape[1] == 1 else arrays["tokens"][chosen, 0]
    count = there.sum(1) if pieces.shape[1] > 1 else arrays["count"][chosen[:, 0]]
    tokens = jnp.where(jnp.arange(tokens.shape[1]) < count[:, None], tokens, 0)
    return {
        "sound": wave,
        "samples": total.astype(jnp.int32),
        "tokens": tokens,
        "count": count.astype(jnp.int32),
    }


def examples(flat: Flat, batch_size: int, length: int, multiple: int = 1) -> Examples:
    """Each recording once, in order, cut to `length` samples, in masked batches."""
    n = len(flat.start)
    order = {
        "pieces": np.arange(n, dtype=np.int32)[:, None],
        "pauses": np.zeros((n, 2), np.int32),
    }

    def batch(arrays: dict[str, Array], item: Item) -> Batch:
        return {**assemble(arrays, item, length), MASK: item[MASK]}

    items = masked_examples(order, batch_size, multiple).items
    return Examples(items, batch, flat._asdict())


def render(
    recordings: Recordings,
    joining: Joining,
    count: int,
    seed: int,
    noise: tuple[float, float] | None,
) -> Recordings:
    """So many strings as recordings, their texts joined by spaces: for validation and test.

    noise: signal-to-noise ratios in dB that are drawn from, of white noise over the whole string,
    pauses too; None: none. The strings do not depend on the noise.
    """
    strings, noises = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    samples = np.array([len(wave) for wave in recordings.waves])
    waves, texts, speakers = [], [], []
    for _ in range(count):
        item = draw_strings(strings, recordings.speakers, joining, 1, samples)
        chosen = [int(i) for i in item["pieces"][0] if i != NONE]
        parts = []
        for i, pause in zip(chosen, item["pauses"][0], strict=False):
            parts += [np.zeros(pause, np.int16), recordings.waves[i]]
        wave = np.concatenate([*parts, np.zeros(item["pauses"][0, -1], np.int16)]).astype(float)
        ratio, white = noises.uniform(*(noise or (0, 0))), noises.normal(size=len(wave))
        if noise:
            wave += white * np.sqrt(np.mean(wave**2)) * 10 ** (-ratio / 20)
        waves.append(np.clip(np.round(wave), -32768, 32767).astype(np.int16))
        texts.append(" ".join(recordings.texts[i] for i in chosen))
        speakers.append(recordings.speakers[chosen[0]])
    names = tuple(f"string_{i:04d}" for i in range(count))
    return Recordings(tuple(waves), tuple(texts), tuple(speakers), names)
