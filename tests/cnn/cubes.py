"""A tiny segmentation of volumes: bright and dark cubes, some voxels to ignore."""

import numpy as np

from dljax.cnn.segmentation import losses, segmenter
from dljax.data import augment_pairs, augment_volumes
from dljax.nn.unet import volume_unet
from dljax.train import optim
from dljax.train.loop import Task

SIDE = 8
LABELLED = SIDE**3 - SIDE**2  # voxels of a volume that count


def volumes(count: int, seed: int = 0, side: int = SIDE) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images [8, 8, 8, 1] with a bright (1) or dark (2) cube, and labels; one slice ignored."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        image = rng.normal(0, 0.3, (side, side, side, 1)).astype(np.float32)
        label = np.zeros((side, side, side), np.uint8)
        x, y, z = rng.integers(0, side - 4, 3)
        label[x : x + 4, y : y + 4, z : z + 4] = kind = rng.integers(1, 3)
        image[label > 0] += (0, 2, -2)[kind]
        label[rng.integers(side)] = losses.IGNORE
        found.append((image, label))
    return found


def small_segmenter() -> Task:
    """A U-Net of two levels, with mirror images and jitter."""
    return segmenter.task(
        volume_unet(3, (4, 8)),
        optim.optimizer("adamw", 1e-2, ema=0.8),
        image_shape=(SIDE, SIDE, SIDE, 1),
        classes=3,
        augmentation=augment_pairs.chain(
            augment_volumes.mirror((0, 2)), augment_volumes.jitter(0.1)
        ),
        loss=losses.total(losses.cross_entropy(), losses.dice()),
    )
