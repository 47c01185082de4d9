"""What is trained: the network that flags name, its augmentation, loss, Task."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from dljax.apps import backbones
from dljax.apps.backbones import Backbone
from dljax.apps.configs.image_segmentation import Config
from dljax.cnn.segmentation import losses, segmenter
from dljax.cnn.segmentation.segmenter import Views
from dljax.data import augment, augment_pairs
from dljax.data.image_scaling import Normalize
from dljax.nn.encoder_decoder import EncoderDecoder
from dljax.nn.unet import UNet
from dljax.run import optimizer
from dljax.train.loop import Task


def network(config: Config, classes: int, backbone: Backbone | None) -> nn.Module:
    """The Flax module that --model and --widths name."""
    dtype = jnp.dtype(config.dtype)
    widths = config.channels()
    if backbone is None:
        return UNet(classes, widths, dtype=dtype)
    return EncoderDecoder(classes, backbone.module, widths[::-1], aspp=config.aspp, dtype=dtype)


def backbone_of(config: Config, weights: bool = True) -> Backbone | None:
    """The backbone of a Config; None for a U-Net, which has its own way down."""
    if config.model == "unet":
        return None
    if config.model == "small":
        return backbones.small(widths=(16, 48, 96, 128), blocks=(1, 1, 2, 3))
    return backbones.load(config.model, weights and config.pretrained)


def make_task(
    config: Config,
    model: nn.Module,
    normalize: Normalize,
    classes: int,
    shape: tuple[int, int, int],
    frequencies: np.ndarray | None = None,
    rates: bool = False,
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`.

    frequencies: of the classes in the training masks, where the loss is weighted by them.
    """
    height, width = config.crop or shape[:2]
    parts = [augment_pairs.flip()] if config.flip else []
    if config.crop or config.magnification() != (1.0, 1.0):
        parts.append(augment_pairs.crop((height, width), config.magnification()))
    if config.dihedral:
        parts.append(augment_pairs.dihedral())
    if config.jitter:
        colour = augment.color_jitter(config.jitter, config.jitter, config.jitter)
        parts.append(augment_pairs.image_only(colour))
    return segmenter.task(
        model,
        optimizer.transformation(
            config, rates=backbones.rates(config.backbone_rate) if rates else None
        ),
        image_shape=(height, width, shape[2]),
        classes=classes,
        normalize=normalize,
        augmentation=augment_pairs.chain(*parts) if parts else None,
        loss=loss_of(config, frequencies),
        views=views_of(config),
    )


def loss_of(config: Config, frequencies: np.ndarray | None) -> losses.Loss:
    """The loss that --loss and --class_weights name."""
    weights = None
    if config.class_weights != "none" and frequencies is not None:
        rule = {"enet": losses.enet_weights, "median": losses.median_weights}
        weights = rule[config.class_weights](frequencies)
    entropy = losses.cross_entropy(weights, config.label_smoothing)
    return {
        "cross_entropy": entropy,
        "focal": losses.focal(weights=weights),
        "dice": losses.dice(),
        "cross_entropy_dice": losses.total(entropy, losses.dice()),
    }[config.loss]


def views_of(config: Config) -> Views:
    """How images are evaluated; a U-Net's are padded to what it can halve.

    Raises ValueError for windows that overlap so much that none begins at the next place of the
    network's coarsest map.
    """
    backbone = backbone_of(config, weights=False)
    multiple = 1 if backbone else config.halved()
    stride = backbone.strides[-1] if backbone else multiple
    if config.window and min(config.window) - config.overlap < stride:
        raise ValueError(
            f"--overlap={config.overlap} must be {stride} or more (the stride of {config.model}) "
            f"below the sides of --window={','.join(map(str, config.window))}"
        )
    return Views(config.flip, config.window, config.overlap, multiple, stride)
