"""Small networks of clips, and of images of 8x8 pixels."""

import flax.linen as nn

from dljax.gan import video
from dljax.nn.dense import Dense

FRAMES, SIZE = 4, 8
LATENT = video.Latent(content=4, motion=4, noise=2)


class DenseGenerator(nn.Module):
    """A dense layer from a vector to a frame."""

    @nn.compact
    def __call__(self, z, label, train=False):
        return nn.tanh(Dense(SIZE * SIZE)(z)).reshape(-1, SIZE, SIZE, 1)


class DenseDiscriminator(nn.Module):
    """Two dense layers from an image to a logit."""

    @nn.compact
    def __call__(self, images, label, train=False):
        return Dense(1)(nn.tanh(Dense(16)(images.reshape(len(images), -1))))[:, 0]


def generator() -> video.ClipGenerator:
    return video.ClipGenerator(FRAMES, lambda momentum: DenseGenerator(), LATENT, hidden=8)


def discriminator() -> video.ClipDiscriminator:
    return video.ClipDiscriminator(
        FRAMES, DenseDiscriminator, DenseDiscriminator, DenseDiscriminator
    )
