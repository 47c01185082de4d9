"""A tiny detector and its data: bright squares, dark squares."""

import functools

import numpy as np

from dljax.cnn.detection import detector
from dljax.data import augment_boxes
from dljax.nn.detection_head import Detector
from dljax.nn.resnet import ResNet
from dljax.train import optim
from dljax.train.loop import Task

SIDE = 16
STRIDES = (4,)


def squares(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Grey images [count, 16, 16, 3] with a bright (0) or dark (1) square, sometimes two."""
    rng = np.random.default_rng(seed)
    images = rng.integers(110, 146, (count, SIDE, SIDE, 3)).astype(np.uint8)
    boxes, labels = np.zeros((count, 2, 4), np.float32), np.full((count, 2), -1, np.int32)
    for image, box, label in zip(images, boxes, labels, strict=True):
        for k in range(rng.integers(1, 3)):
            side, label[k] = rng.integers(5, 8), rng.integers(2)
            y, x = rng.integers(0, SIDE - side, 2) if not k else (0, 0)
            if k and (box[0, :2] < side).all():
                label[k] = -1
                continue
            image[y : y + side, x : x + side] = (240, 20)[label[k]]
            box[k] = x, y, x + side, y + side
    return {
        "image": images,
        "boxes": boxes,
        "labels": labels,
        "flags": np.zeros((count, 2), np.uint8),
        "size": np.full((count, 2), SIDE, np.int32),
    }


def network() -> Detector:
    encoder = functools.partial(
        ResNet, classes=1, stage_sizes=(1,), widths=(8,), small_images=False, pyramid=True
    )
    return Detector(2, encoder, levels=1, width=8, depth=0, bins=4)


def small_detector() -> Task:
    return detector.task(
        network(),
        optim.optimizer("adamw", 2e-2, ema=0.9),
        image_shape=(SIDE, SIDE, 3),
        strides=STRIDES,
        normalize=lambda images: 4 * (images - 0.5),
        augmentation=augment_boxes.chain(
            augment_boxes.mosaic(0.25), augment_boxes.batch(augment_boxes.flip())
        ),
    )
