"""What is trained to classify medical images: the network that flags name, augmentation, Task."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.apps.configs.medical_imaging import Config
from dljax.cnn.medical import classifier
from dljax.cnn.medical.classifier import Target
from dljax.data import augment
from dljax.data.image_scaling import Normalize
from dljax.nn import allconv, fastnet, resnet
from dljax.run import optimizer
from dljax.train.loop import Task

AXES = {"x": -2, "y": -3, "z": -4}  # of an image [(D,) H, W, C]


def network(
    config: Config, classes: int, image_shape: tuple[int, ...], whitening: Array | None = None
) -> nn.Module:
    """The Flax module that --model and --widths name."""
    settings = {"classes": classes, "dtype": jnp.dtype(config.dtype)}
    if config.widths:
        settings["widths"] = config.widths
    if config.model == "fastnet":
        return fastnet.FastNet(**{"widths": (32, 64, 128)} | settings, whitening=whitening)
    if config.model == "allconv":
        return allconv.AllConv(**{"widths": (32, 64)} | settings)
    return getattr(resnet, config.model)(**settings)


def flips_of(config: Config, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of an image [(D,) H, W, C] that --flip names. Raises ValueError for a missing one."""
    if "z" in config.flip and len(image_shape) == 3:
        raise ValueError("--flip=z is for volumes: these images have two dimensions")
    return tuple(len(image_shape) + AXES[name] for name in config.flip)


def augmentations(config: Config, image_shape: tuple[int, ...]) -> list[augment.Augment]:
    """What is done with each training image, in order."""
    parts: list[augment.Augment] = []
    if config.shift:
        parts.append(augment.random_crop(config.shift))
    if config.flip:
        parts.append(augment.flip())
    if config.rotation or config.zoom:
        parts.append(augment.affine(config.rotation, scale=(1 - config.zoom, 1 + config.zoom)))
    if config.jitter:
        parts.append(augment.color_jitter(config.jitter, config.jitter, config.jitter))
    if config.cutout:
        parts.append(augment.cutout(config.cutout, fill=0.5))
    return parts


def target_of(config: Config, classes: int, labels: np.ndarray | None) -> Target:
    """What a Config learns; labels: of the training images, None where nothing is trained."""
    multi_label = bool(labels is not None and labels.ndim == 2)
    weights = ()
    if labels is not None and config.balance:
        weights = classifier.balanced_weights(labels, classes, config.balance)
    return Target(classes, multi_label, config.ordinal, config.label_smoothing, weights)


def make_task(
    config: Config,
    model: nn.Module,
    normalize: Normalize,
    target: Target,
    image_shape: tuple[int, ...],
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
    parts = augmentations(config, image_shape)
    return classifier.task(
        model,
        optimizer.transformation(config),
        target,
        image_shape=image_shape,
        normalize=normalize,
        augmentation=augment.chain(*parts) if parts else None,
        mix=partial(augment.mixup, alpha=config.mixup) if config.mixup else None,
        flips=flips_of(config, image_shape),
    )
