"""A small game of clips: squares that cross a canvas."""

import flax.linen as nn
import numpy as np
import optax

from dljax.data.sources import moving
from dljax.gan import adversarial, losses, video
from dljax.nn.dense import Dense
from dljax.train.loop import Task

FRAMES, SIZE = 4, 8
LATENT = video.Latent(content=4, motion=4, noise=2)


def squares(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Strips of squares that move, with the numbers of the examples."""
    image = np.full((1, 4, 4, 1), 255, np.uint8)
    made = moving.move(image, np.zeros(1, np.int32), SIZE, FRAMES, count, seed)
    return {
        "image": video.to_strips(made["image"]),
        "label": made["label"],
        "index": np.arange(count, dtype=np.int32),
    }


class Painter(nn.Module):
    """A dense layer from a vector to a frame."""

    @nn.compact
    def __call__(self, z, label, train=False):
        return nn.tanh(Dense(SIZE * SIZE)(z)).reshape(-1, SIZE, SIZE, 1)


class Judge(nn.Module):
    """Two dense layers from an image to a logit."""

    @nn.compact
    def __call__(self, images, label, train=False):
        return Dense(1)(nn.tanh(Dense(16)(images.reshape(len(images), -1))))[:, 0]


def generator() -> video.ClipGenerator:
    return video.ClipGenerator(FRAMES, Painter, LATENT, hidden=8)


def discriminator() -> video.ClipDiscriminator:
    return video.ClipDiscriminator(FRAMES, Judge, Judge)


def task() -> Task:
    """The generator learns slowly, so that the discriminator's loss falls."""
    return adversarial.task(
        generator(),
        discriminator(),
        optax.adam(1e-4, b1=0.5),
        optax.adam(1e-2, b1=0.5),
        losses.non_saturating,
        latent=LATENT.length(FRAMES),
        image_shape=(FRAMES * SIZE, SIZE, 1),
    )
