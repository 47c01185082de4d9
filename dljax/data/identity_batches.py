"""Batches of some people with some images each, as losses over pairs of a batch need them."""

from __future__ import annotations

import jax
import numpy as np

from dljax.data.feed import Feed


def identity_batches(arrays: dict[str, np.ndarray], batch_size: int, each: int) -> Feed:
    """Batches of batch_size // each people with `each` images of each.

    arrays: {"label": int [N], ...}, all with the same leading axis. People are drawn without
    replacement, and so are a person's images; of one with fewer than `each`, some come twice. The
    batch of a step is a pure function of (seed, step). Raises ValueError where a batch needs more
    people than there are, or does not divide.
    """
    labels = np.asarray(arrays["label"])
    members = [np.flatnonzero(labels == person) for person in np.unique(labels)]
    if batch_size % each:
        raise ValueError(f"batch_size={batch_size} must be a multiple of the {each} images each")
    people = batch_size // each
    if people > len(members):
        raise ValueError(
            f"batches of {people} people with {each} images each, but there are {len(members)} "
            "people to train on: take a smaller batch, or more images each"
        )

    def draw(seed: int, step: int) -> np.ndarray:
        random = np.random.default_rng([seed, step])
        chosen = random.choice(len(members), people, replace=False)
        rows = [np.resize(random.permutation(members[i]), each) for i in chosen]
        return np.concatenate(rows).astype(np.int32)

    def chunk(seed: int, step: int, k: int) -> np.ndarray:
        return np.stack([draw(seed, step + i) for i in range(k)])

    return Feed(chunk, lambda arrays, index: jax.tree.map(lambda x: x[index], arrays), arrays)
