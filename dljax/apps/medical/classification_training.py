"""What is trained to classify medical images: the network that flags name, augmentation, Task."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from dljax.apps import backbones
from dljax.apps.backbones import Backbone
from dljax.apps.configs.medical_imaging import Config
from dljax.cnn.medical import classifier
from dljax.cnn.medical.classifier import Scale, Target
from dljax.data import augment, augment_nd
from dljax.data.class_balance import class_weights
from dljax.nn import allconv, resnet
from dljax.nn.backbone_classifier import BackboneClassifier
from dljax.nn.pooled_cnn import PooledCNN
from dljax.run import optimizer
from dljax.train.loop import Task

PRETRAINED = "efficientnet_lite0"
FEW_PIXELS = 28  # a side of an image that the stem takes in full; larger ones it takes in steps
AXES = {"x": -2, "y": -3, "z": -4}  # of an image [(D,) H, W, C]


def backbone_of(config: Config, weights: bool = True) -> Backbone | None:
    """The pretrained backbone of a Config, if its model has one.

    Raises ValueError for a learning rate of a backbone that is not there.
    """
    if config.model == PRETRAINED:
        return backbones.load(config.model, weights)
    if config.backbone_rate:
        raise ValueError(f"--backbone_rate is for --model={PRETRAINED}: leave it out")
    return None


def network(
    config: Config,
    classes: int,
    image_shape: tuple[int, ...],
    backbone: Backbone | None = None,
) -> nn.Module:
    """The Flax module that --model and --widths name.

    Raises ValueError for a network of images where these are volumes.
    """
    settings = {"classes": classes, "dtype": jnp.dtype(config.dtype)}
    if config.widths:
        settings["widths"] = config.widths
    volumes = len(image_shape) == 4
    if config.model == "pooled":
        shortest = min(image_shape[:-1])
        stride = max(shortest // FEW_PIXELS, 1) * (2 if volumes else 1)
        if volumes:  # half the channels, as each costs more
            settings = {"widths": (16, 32, 64)} | settings
        return PooledCNN(**settings, stride=stride, dropout=config.dropout)
    if volumes:
        raise ValueError(f"--model={config.model} reads images: for volumes take --model=pooled")
    if backbone:
        if config.widths:
            raise ValueError(f"--widths has no effect with --model={PRETRAINED}: leave it out")
        return BackboneClassifier(
            **settings,
            encoder=backbone.module,
            frozen=not config.backbone_rate,
            dropout=config.dropout,
        )
    if config.model == "allconv":
        return allconv.AllConv(**{"widths": (32, 64)} | settings, dropout=config.dropout)
    return getattr(resnet, config.model)(**settings)


def flips_of(config: Config, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of an image [(D,) H, W, C] that --flip names.

    Raises ValueError for one that the images lack.
    """
    if "z" in config.flip and len(image_shape) == 3:
        raise ValueError("--flip=z is for volumes: these images have two dimensions")
    return tuple(len(image_shape) + AXES[name] for name in config.flip)


def augmentations(config: Config, image_shape: tuple[int, ...]) -> list[augment.Augment]:
    """What is done with each training image, in order."""
    parts: list[augment.Augment] = []
    if config.shift:
        parts.append(augment_nd.shift(config.shift))
    if config.flip:
        parts.append(augment_nd.mirror(flips_of(config, image_shape)))
    if config.rotation or config.zoom:
        affine = augment_nd.affine if len(image_shape) == 4 else augment.affine
        parts.append(affine(config.rotation, scale=(1 - config.zoom, 1 + config.zoom)))
    if config.jitter:
        parts.append(augment.color_jitter(config.jitter, config.jitter, config.jitter))
    if config.cutout:
        parts.append(augment.cutout(config.cutout, fill=0.5))
    return parts


def target_of(config: Config, classes: int, labels: np.ndarray) -> Target:
    """What a Config learns from the labels [N] or [N, K] of the training images."""
    weights, several = (), labels.ndim == 2
    if config.balance and several:
        raise ValueError("--balance is for one class an image: these have several labels")
    if config.balance:
        weights = tuple(class_weights(labels, classes, config.balance).tolist())
    return Target(classes, several, config.ordinal, config.label_smoothing, weights)


def make_task(
    config: Config,
    model: nn.Module,
    scale: Scale,
    target: Target,
    image_shape: tuple[int, ...],
    pretrained: bool = False,
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`.

    pretrained: whether the backbone learns with its own share of the learning rate.
    """
    rates = backbones.rates(config.backbone_rate) if pretrained else None
    parts = augmentations(config, image_shape)
    return classifier.task(
        model,
        optimizer.transformation(config, rates=rates),
        target,
        image_shape=image_shape,
        normalize=scale,
        augmentation=augment.chain(*parts) if parts else None,
        mix=partial(augment.mixup, alpha=config.mixup) if config.mixup else None,
        flips=flips_of(config, image_shape),
    )
