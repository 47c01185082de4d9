"""What is trained: the detector on its backbone, its start, its augmentation, its Task."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.apps.configs.object_detection import Config
from dljax.cnn.detection import detector
from dljax.data import augment, augment_boxes
from dljax.data.annotated import AnnotatedImages
from dljax.data.image_scaling import Normalize, normalization
from dljax.nn import efficientnet_lite, resnet
from dljax.nn.detection_head import Detector
from dljax.nn.encoder_decoder import ENCODER
from dljax.run import optimizer
from dljax.train.loop import Task
from dljax.transfer import pretrained

COARSEST = 32  # stride of the smallest map of a published backbone
SAMPLE = 256  # images of a streamed set that the normalisation is computed from


def network(config: Config, classes: int) -> Detector:
    """The Flax module that --model, --widths, --finest, --width and --depth name."""
    return Detector(
        classes,
        _backbone(config),
        levels=len(strides(config)),
        width=config.width,
        depth=config.depth,
        dtype=jnp.dtype(config.dtype),
    )


def _backbone(config: Config) -> partial:
    """The encoder: its maps have strides 2, 4, 8, 16 and so on."""
    if config.model == "efficientnet_lite0":
        return partial(efficientnet_lite.efficientnet_lite0, classes=1, pyramid=True)
    settings = {"classes": 1, "small_images": False, "pyramid": True}
    if config.model == "resnet18":
        return partial(resnet.resnet18, **settings)
    sizes = (1,) * len(config.widths)
    return partial(resnet.ResNet, stage_sizes=sizes, widths=config.widths, pool=False, **settings)


def strides(config: Config) -> tuple[int, ...]:
    """Of the maps that are searched, from the largest map on."""
    coarsest = 2 ** len(config.widths) if config.model == "small" else COARSEST
    finest = config.finest or (4 if config.model == "small" else 8)
    return tuple(s for s in (4, 8, 16, 32, 64) if finest <= s <= coarsest)


def make_task(
    config: Config, model: nn.Module, normalize: Normalize, image_shape: tuple[int, int, int]
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
    rates = None
    if from_imagenet(config):
        rates = optax.masked(optax.scale(config.backbone_rate), is_backbone)
    return detector.task(
        model,
        optimizer.transformation(config, rates=rates),
        image_shape=tuple(image_shape),
        strides=strides(config),
        normalize=normalize,
        augmentation=augmentation(config),
    )


def augmentation(config: Config) -> augment_boxes.Augment | None:
    """What --mosaic, --flip, --flip_down, --scale and --jitter ask for, of a batch."""
    parts = []
    if config.flip or config.flip_down:
        parts.append(augment_boxes.flip(0.5 * config.flip, 0.5 * config.flip_down))
    if config.scale != (1.0, 1.0) or config.aspect != 1:
        parts.append(augment_boxes.crop(config.scale, config.aspect))
    if config.jitter:
        colours = augment.color_jitter(config.jitter, config.jitter, config.jitter)
        parts.append(augment_boxes.image_only(colours))
    steps = [augment_boxes.mosaic(config.mosaic)] if config.mosaic else []
    steps += [augment_boxes.batch(augment_boxes.chain(*parts))] if parts else []
    return augment_boxes.chain(*steps) if steps else None


def from_imagenet(config: Config) -> bool:
    """Whether the backbone starts from ImageNet's weights."""
    return config.pretrained and config.model == "efficientnet_lite0"


def is_backbone(params: Any) -> Any:
    """True for the parameters of the backbone."""
    return jax.tree.map_with_path(lambda path, _: path[0].key == ENCODER, params)


def start(config: Config, model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    """ImageNet's weights and BatchNorm statistics of the backbone, as a part of the variables."""
    blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    wanted = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), blank)
    found = pretrained.load(config.model).variables
    encoder = {kind: _common(found[kind], part[ENCODER]) for kind, part in wanted.items()}
    return {kind: {ENCODER: part} for kind, part in encoder.items()}


def _common(variables: Any, wanted: Any) -> Any:
    """The variables of modules that the network has (not those of the classifier's head)."""
    return {name: variables[name] for name in wanted}


def normalize_for(config: Config, data: AnnotatedImages) -> Normalize:
    """The backbone's own, or that of the training images; of a streamed set, of a sample."""
    if from_imagenet(config):
        expected = pretrained.load(config.model).input
        return Normalize(tuple(expected.mean), tuple(expected.std))
    if data.arrays:
        return normalization(data.arrays["train"]["image"])
    source = data.sources["train"]
    chosen = np.unique(np.linspace(0, len(source) - 1, SAMPLE).astype(int))
    return normalization(np.stack([source[int(i)]["image"] for i in chosen]))
