"""What is trained: the network that flags name, its loss, its Task."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces.front import Front
from dljax.cnn.faces import recogniser
from dljax.cnn.faces.network import FaceNet
from dljax.cnn.faces.recogniser import Loss
from dljax.run import optimizer
from dljax.train.loop import Task


def network(config: Config, people: int) -> nn.Module:
    """The Flax module of a Config: all of the CNN, or what follows the frozen backbone."""
    return FaceNet(
        0 if config.loss == "triplet" else people,
        config.features,
        config.widths if config.model == "cnn" else (),
        config.dropout,
        dtype=jnp.dtype(config.dtype),
    )


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
