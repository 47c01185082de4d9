"""Training of face embeddings: a Task for the shared loop, and embeddings of a trained network.

A batch holds "image" uint8 [B, H, W, C] and "label" int [B], the number of the person; evaluation
batches hold "example_mask" [B] too. People numbered from the network's `people` on are unseen ones:
their images are embedded, but have no loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from dljax.cnn.faces import losses
from dljax.data import augment
from dljax.data.image_scaling import in_floats
from dljax.train import metrics, supervised
from dljax.train.loop import Array, Key, Sums, Task


class State(struct.PyTreeNode):
    """network: parameters, BatchNorm statistics, optimiser. step: int32, steps done."""

    network: supervised.State
    step: Array

    def without_optimiser(self) -> State:
        """The State that embeds alike and can't be trained on."""
        return self.replace(network=self.network.without_optimiser())


class Loss(NamedTuple):
    """kind: "softmax", "cosface", "arcface" or "triplet". margin: in the end; scale: of cosines.

    warmup: steps over which the margin grows from 0. label_smoothing: of those with prototypes.
    """

    kind: str = "arcface"
    margin: float = 0.3
    scale: float = 24.0
    warmup: int = 0
    label_smoothing: float = 0.0


def mirrored(images: Array) -> list[Array]:
    """Images [B, H, W, C] and their mirror images."""
    return [images, images[:, :, ::-1]]


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    image_shape: tuple[int, ...],
    people: int,
    loss: Loss,
    normalize: Callable[[Array], Array] = lambda images: images,
    augmentation: Callable[[Key, Array], Array] | None = None,
    views: Callable[[Array], Sequence[Array]] = mirrored,
) -> Task:
    """Training of an embedding network.

    model: called as model.apply(variables, images, train=bool) -> (embeddings [B, D] of length 1,
        cosines [B, C] with the prototypes of the C training people, 0 of them for triplets).
    people: of the training and evaluation images together.
    augmentation: (key, image [H, W, C] in 0..1) -> image, for each training image.
    views: versions of the images whose embeddings are added up at evaluation.

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    to begin with.

    Evaluation counts the loss without margin and the accuracy of images of training people, and
    sums embeddings by person, "people": ([people, D], [people]); see `separation`.
    """

    def init(key: Key, start: Any = None) -> State:
        blank = jnp.zeros((1, *image_shape))
        variables = model.init(key, blank, **supervised.train_argument(model, False))
        variables = supervised.merge_params(variables, start or {})
        return State(supervised.create_state(variables, tx), jnp.int32(0))

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = (jax.random.fold_in(key, i) for i in range(2))
        images = in_floats(batch["image"])
        if augmentation:
            images = augment.batch(augmentation)(augment_key, images)
        chex.assert_shape(images, (None, *image_shape))
        images, labels = normalize(images), batch["label"]
        margin = loss.margin * jnp.minimum(1.0, (state.step + 1) / max(loss.warmup, 1))

        def total(params):
            variables = {"params": params, **state.network.model_state}
            (embeddings, cosines), model_state = model.apply(
                variables,
                images,
                **supervised.train_argument(model, True),
                rngs={"dropout": dropout_key},
                mutable=list(state.network.model_state),
            )
            if loss.kind == "triplet":
                values, counted = losses.batch_hard(embeddings, labels, margin)
            else:
                values = losses.margin_loss(
                    loss.kind, cosines, labels, margin, loss.scale, loss.label_smoothing
                )
                counted = jnp.ones_like(values)
            mean = values.sum() / jnp.maximum(counted.sum(), 1)
            return mean, (model_state, (values, counted, cosines))

        network, (values, counted, cosines), norm = supervised.gradient_step(
            state.network, tx, total
        )
        sums = {"loss": metrics.mean(values, counted), "gradient_norm": norm}
        if loss.kind != "triplet":
            sums["accuracy"] = metrics.accuracy(cosines, labels)
        return State(network, state.step + 1), sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        labels, mask = batch["label"], batch["example_mask"]
        embeddings, cosines = outputs(model, state, batch["image"], normalize, views)
        member = jax.nn.one_hot(labels, people) * mask[:, None]
        embeddings = jnp.where(mask[:, None] > 0, embeddings, 0.0)
        sums = {"people": (jnp.einsum("bp,bd->pd", member, embeddings), member.sum(0))}
        if loss.kind != "triplet":
            known = mask * (labels < cosines.shape[-1])
            safe = jnp.minimum(labels, cosines.shape[-1] - 1)
            sums["loss"] = metrics.cross_entropy(loss.scale * cosines, safe, known)
            sums["accuracy"] = metrics.accuracy(cosines, safe, known)
        return sums

    return Task(init, step, evaluate)


def outputs(
    model: nn.Module,
    state: State,
    images: Array,
    normalize: Callable[[Array], Array],
    views: Callable[[Array], Sequence[Array]] = mirrored,
) -> tuple[Array, Array]:
    """(embeddings [B, D], cosines [B, C]) of images [B, ...], without augmentation.

    The embedding is the normalised sum of those of the image's views; the cosines are their mean.
    """
    variables = state.network.variables()
    mode = supervised.train_argument(model, False)
    found = [model.apply(variables, normalize(x), **mode) for x in views(in_floats(images))]
    embeddings, cosines = (sum(x) / len(found) for x in zip(*found, strict=True))
    return losses.normalised(embeddings), cosines


def separation(pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Mean cosine of two images of one person less that of two people's, from "people" sums.

    pair: ([..., people, D], [..., people]). With s the sum of a person's n embeddings of length 1,
    the n (n - 1) ordered pairs of its images have cosines that sum to |s|^2 - n, and those of two
    people s . s'. NaN without two images of one person, and without two people.
    """
    sums, counts = (np.asarray(x, np.float64) for x in pair)
    squared = (sums**2).sum((-2, -1))
    number, total = (counts**2).sum(-1), counts.sum(-1)
    whole = (sums.sum(-2) ** 2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = (squared - total) / (number - total)
        return own - (whole - squared) / (total**2 - number)


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds] on the host: ratios that have examples, and the separation of people."""
    values = {
        name: x for name, x in metrics.scalars(sums).items() if np.any(np.asarray(sums[name][1]))
    }
    if "people" in sums:
        values["separation"] = separation(sums["people"])
    return values
