"""A tiny segmentation task and its data: bright and dark squares, some pixels to ignore."""

import numpy as np

from dljax.cnn.segmentation import losses, segmenter
from dljax.cnn.segmentation.segmenter import Views
from dljax.data import augment_pairs
from dljax.nn.unet import UNet
from dljax.train import optim
from dljax.train.loop import Task

SIDE = 12
LABELLED = SIDE * SIDE - SIDE  # pixels of an image that count


def squares(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Grey images [count, 12, 12, 3], a bright (1) or dark (2) square in each; one row ignored."""
    rng = np.random.default_rng(seed)
    images = rng.integers(110, 146, (count, SIDE, SIDE, 3)).astype(np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        y, x, label = *rng.integers(0, 7, 2), rng.integers(1, 3)
        mask[y : y + 5, x : x + 5] = label
        image[mask > 0] = (0, 240, 20)[label]
        mask[rng.integers(SIDE)] = losses.IGNORE
    return {"image": images, "mask": masks, "size": np.full((count, 2), SIDE, np.int32)}


def small_segmenter() -> Task:
    """A U-Net of two levels; flips at training and evaluation, crops of the whole size."""
    return segmenter.task(
        UNet(3, (8, 16)),
        optim.optimizer("momentum", 0.1, ema=0.8),
        image_shape=(SIDE, SIDE, 3),
        classes=3,
        normalize=lambda images: 4 * (images - 0.5),
        augmentation=augment_pairs.chain(
            augment_pairs.flip(), augment_pairs.crop((SIDE, SIDE), (1.0, 1.1))
        ),
        loss=losses.total(losses.cross_entropy((1, 2, 2)), losses.dice()),
        views=Views(flip=True, multiple=2),
    )
