"""Samples of a trained generator on the host: by number, interpolated, sorted by class, and beside
their nearest training images.

A sample is a pure function of (state, number, label): the latent of a number is always the same
one (`adversarial.latents`), so samples do not depend on the batch they are drawn in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.gan.adversarial import State, generate, latents, to_uint8
from dljax.train.loop import Run

BATCH = 250  # samples drawn at once

Draw = Callable[[State, Array, Array], Array]


class Sampler(NamedTuple):
    """A generator ready to draw from.

    latent: the length of z. draw: (state, z [N, latent], label [N]) -> uint8 [N, H, W, C].
    """

    latent: int
    draw: Draw


def sampler(generator: nn.Module, latent: int) -> Sampler:
    """The Sampler of a module, compiled at its first use."""
    return Sampler(latent, jax.jit(lambda *args: to_uint8(generate(generator, *args))))


def seeds(run: Run) -> Iterator[State]:
    """The State of each seed of a run, without the seed axis."""
    for i in range(len(run.keys)):
        yield jax.tree.map(lambda x, i=i: x[i], run.states)


def samples(sampler: Sampler, state: State, labels: np.ndarray, first: int = 0) -> np.ndarray:
    """Samples uint8 [N, H, W, C] of the labels [N], numbered first, first + 1, ..."""
    found = []
    for begin in range(0, len(labels), BATCH):
        part = np.zeros(BATCH, np.int32)
        rest = labels[begin : begin + BATCH]
        part[: len(rest)] = rest
        z = latents(first + begin + jnp.arange(BATCH), sampler.latent)
        found.append(np.asarray(sampler.draw(state, z, part))[: len(rest)])
    return np.concatenate(found)


def interpolations(
    sampler: Sampler, state: State, labels: np.ndarray, steps: int = 12
) -> list[np.ndarray]:
    """A row of `steps` images between two samples for each label, on the great circle between z.

    Latents of a normal distribution lie near a sphere; the middle of a straight line does not
    (White 2016, arXiv:1609.04468).
    """
    ends = latents(jnp.arange(2 * len(labels)), sampler.latent).reshape(2, len(labels), -1)
    rows = []
    for a, b, label in zip(*ends, labels, strict=True):
        cosine = (a * b).sum() / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
        angle = jnp.arccos(jnp.clip(cosine, -1, 1))
        t = jnp.linspace(0, 1, steps)[:, None]
        z = (jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / jnp.sin(angle)
        rows.append(np.asarray(sampler.draw(state, z, jnp.full(steps, label))))
    return rows


def by_class(
    images: np.ndarray, labels: np.ndarray, classes: int, columns: int = 12
) -> list[np.ndarray]:
    """The first `columns` images [N, H, W, C] of each class; blank where there are fewer."""
    rows = []
    for label in range(classes):
        members = images[labels == label][:columns]
        row = np.full((columns, *images.shape[1:]), 255, np.uint8)
        row[: len(members)] = members
        rows.append(row)
    return rows


class Neighbours(NamedTuple):
    """The training images nearest to samples: index [N, K] and distance [N, K], nearest first."""

    index: np.ndarray
    distance: np.ndarray


def nearest(images: np.ndarray, train: np.ndarray, count: int = 5) -> Neighbours:
    """The nearest `count` of train [M, H, W, C] to each image [N, H, W, C], both uint8.

    The distance is the root of the mean square difference of pixels in 0..1.
    """
    x, y = (a.reshape(len(a), -1).astype(np.float32) / 255 for a in (images, train))
    square = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    index = np.argsort(square, axis=1, kind="stable")[:, :count]
    distance = np.sqrt(np.maximum(np.take_along_axis(square, index, 1), 0) / x.shape[1])
    return Neighbours(index, distance)
