"""Small networks and images of made-up people for the tests of face recognition."""

import numpy as np

from dljax.cnn.faces import recogniser
from dljax.cnn.faces.network import FaceNet
from dljax.cnn.faces.recogniser import Loss
from dljax.data import augment
from dljax.train import optim
from dljax.train.loop import Task

SHAPE = (16, 12, 1)


def blobs(count: int, people: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """uint8 images [count, 16, 12, 1]: each person has two dark places of its own, and noise."""
    places = np.random.default_rng(99).integers(2, 9, (people, 2, 2))
    rng = np.random.default_rng(seed)
    label = (np.arange(count) % people).astype(np.int32)
    images = rng.integers(150, 200, (count, *SHAPE))
    for image, person in zip(images, label, strict=True):
        for row, column in places[person]:
            image[row : row + 3, column : column + 3] -= 120
    return {"image": images.astype(np.uint8), "label": label}


def network(people: int = 3) -> FaceNet:
    return FaceNet(people, features=8, widths=(8,), dropout=0.1)


def task(kind: str = "arcface", people: int = 3) -> Task:
    return recogniser.task(
        network(0 if kind == "triplet" else people),
        optim.optimizer("momentum", 0.02),
        image_shape=SHAPE,
        people=people,
        loss=Loss(kind, margin=0.2, scale=8.0, warmup=4),
        normalize=lambda x: x - 0.5,
        augmentation=augment.random_crop(1),
    )
