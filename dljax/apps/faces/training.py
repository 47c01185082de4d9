"""What is trained: the network that flags name, its loss, its Task."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces.front import Front
from dljax.cnn.faces import recogniser
from dljax.cnn.faces.network import FaceNet, Whitened, whitening
from dljax.cnn.faces.recogniser import Loss
from dljax.run import optimizer
from dljax.train.loop import Task


def network(config: Config, people: int, features: int) -> nn.Module:
    """The Flax module of a Config: all of the CNN, or what follows the frozen backbone.

    features: length of an embedding, see `embedding_size`.
    """
    people, dtype = 0 if config.loss == "triplet" else people, jnp.dtype(config.dtype)
    if config.model == "cnn":
        return FaceNet(people, features, config.widths, config.dropout, dtype=dtype)
    return Whitened(people, features, config.dropout, dtype=dtype)


def embedding_size(config: Config, inputs: np.ndarray) -> int:
    """The length of an embedding: --features, or as many components as training images give.

    inputs: what the network evaluates of the training images [N, ...].
    """
    if config.model == "cnn":
        return config.features
    return min(config.features, len(inputs) - 1, inputs.shape[-1])


def start(config: Config, inputs: np.ndarray, features: int, seeds: int) -> tuple:
    """What the Task's init takes besides a key: the whitening of the training images' features."""
    if config.model == "cnn":
        return ()
    found = {"whitening": whitening(inputs.mean(1), features)}
    return (jax.tree.map(lambda x: np.broadcast_to(x, (seeds, *x.shape)), found),)


def make_task(config: Config, model: nn.Module, front: Front, people: int) -> Task:
    """The Task of a Config; people: of all parts together."""
    warmup = round(config.margin_warmup * config.steps)
    return recogniser.task(
        model,
        optimizer.transformation(config),
        image_shape=front.shape,
        people=people,
        loss=Loss(config.loss, config.margin, config.scale, warmup),
        normalize=front.normalize,
        augmentation=front.augmentation,
        views=front.views,
    )
