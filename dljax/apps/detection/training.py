"""What is trained: the detector on its backbone, its start, its augmentation, its Task."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from dljax.apps import backbones
from dljax.apps.backbones import Backbone
from dljax.apps.configs.object_detection import Config
from dljax.cnn.detection import detector
from dljax.data import annotated, augment, augment_boxes
from dljax.data.annotated import AnnotatedImages
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.sources.vision import Truth, fit_boxes
from dljax.nn.detection_head import Detector
from dljax.run import optimizer
from dljax.train.loop import Task


def network(config: Config, classes: int) -> Detector:
    """The Flax module that --model, --widths, --finest, --width and --depth name."""
    return Detector(
        classes,
        backbone_of(config).module,
        levels=len(strides(config)),
        width=config.width,
        depth=config.depth,
        dtype=jnp.dtype(config.dtype),
    )


def backbone_of(config: Config) -> Backbone:
    """The encoder that --model and --widths name: its maps have strides 2, 4, 8, 16 and so on."""
    if config.model == "small":
        return backbones.small(config.widths)
    return backbones.load(config.model, config.pretrained)


def strides(config: Config) -> tuple[int, ...]:
    """Of the maps that are searched, from the largest map on."""
    finest = config.finest or (4 if config.model == "small" else 8)
    return tuple(s for s in backbone_of(config).strides if s >= finest)


def make_task(
    config: Config, model: nn.Module, normalize: Normalize, image_shape: tuple[int, int, int]
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
    pretrained = backbone_of(config).variables is not None
    rates = backbones.rates(config.backbone_rate) if pretrained else None
    return detector.task(
        model,
        optimizer.transformation(config, rates=rates),
        image_shape=tuple(image_shape),
        strides=strides(config),
        normalize=normalize,
        augmentation=augmentation(config),
        flip=both_views(config),
    )


def both_views(config: Config) -> bool:
    """Whether the mirror image is evaluated too: with --flip, where the maps' places allow it."""
    return config.flip and config.size()[1] % max(strides(config)) == 0


def view_notes(config: Config) -> list[str]:
    """A line where --flip changes the training images alone."""
    if not config.flip or both_views(config):
        return []
    width, stride = config.size()[1], max(strides(config))
    return [
        f"images of width {width}, no multiple of {stride}, are mirrored in training alone; "
        "at a multiple both views are evaluated"
    ]


def size_notes(config: Config, bins: int, found: Sequence[Truth]) -> list[str]:
    """A line where training boxes are larger than the network can say.

    Each side of a box is at most bins - 1 strides of the coarsest map from the place that finds it.
    """
    most = 2 * (bins - 1) * max(strides(config))
    fitted = [fit_boxes(x.boxes, x.size, config.size(), config.fit) for x in found if len(x.boxes)]
    boxes = np.concatenate([np.zeros((0, 4)), *fitted])
    large = int((boxes[:, 2:] - boxes[:, :2] > most).any(1).sum())
    if not large:
        return []
    return [
        f"{large} of {len(boxes)} training boxes have sides above {most} pixels of the fitted "
        "image, the most that this network can say: choose a smaller --image_size, or "
        f"{'more --widths' if config.model == 'small' else 'another --model'}"
    ]


def augmentation(config: Config) -> augment_boxes.Augment | None:
    """What --mosaic, --flip, --flip_down, --scale and --jitter ask for, of a batch."""
    parts = []
    if config.flip or config.flip_down:
        parts.append(augment_boxes.flip(0.5 * config.flip, 0.5 * config.flip_down))
    scale = config.magnification()
    if scale != (1.0, 1.0) or config.aspect != 1:
        parts.append(augment_boxes.crop(scale, config.aspect))
    if config.jitter:
        colours = augment.color_jitter(config.jitter, config.jitter, config.jitter)
        parts.append(augment_boxes.image_only(colours))
    steps = [augment_boxes.mosaic(config.mosaic)] if config.mosaic else []
    steps += [augment_boxes.batch(augment_boxes.chain(*parts))] if parts else []
    return augment_boxes.chain(*steps) if steps else None


def normalize_for(config: Config, data: AnnotatedImages) -> Normalize:
    """The backbone's own, or that of the training images; of a streamed set, of a sample."""
    own = backbone_of(config).normalize
    if own:
        return own
    return normalization(annotated.training_sample(data)["image"])
