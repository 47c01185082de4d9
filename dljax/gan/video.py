"""Generators and discriminators of short clips, for adversarial.py.

After MoCoGAN (Tulyakov et al. 2018, arXiv:1707.04993): a clip's content is one latent, its motion
the path of a GRU, and each frame is generated from both. Discriminators judge single frames and
the whole clip; their logits are added.

A clip is passed as a strip, its frames one below the other: [T H, W, C], so that code for images
takes it.

Departures, since digits turned into others while moving: the path also shifts a frame, and a third
discriminator compares the content of the frames (`Identity`). Further: one z holds all the noise of
a clip; content and path pass through two dense layers before a frame is generated; the clip's
discriminator is a two-dimensional network whose channels are the frames, that is, its first
three-dimensional kernel spans all of them; of each clip one frame is discriminated, whose time is
the clip's place in the batch modulo T; no categorical variable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.gan.dcgan import DCGANDiscriminator, he, leaky, projection_logits
from dljax.nn.dense import Dense
from dljax.nn.recurrent.layers import GRU

A = TypeVar("A", Array, np.ndarray)


class Latent(NamedTuple):
    """The parts of z: dimension of the content, of the motion's start, of its noise in a frame."""

    content: int = 32
    motion: int = 16
    noise: int = 2

    def length(self, frames: int) -> int:
        """Length of z for clips of `frames` frames."""
        return self.content + self.motion + self.noise * frames


def to_strips(clips: A) -> A:
    """Clips [N, T, H, W, C] as strips [N, T H, W, C]."""
    n, frames, height, width, channels = clips.shape
    return clips.reshape(n, frames * height, width, channels)


def to_clips(strips: A, frames: int) -> A:
    """Strips [N, T H, W, C] as clips [N, T, H, W, C]."""
    n, height, width, channels = strips.shape
    return strips.reshape(n, frames, height // frames, width, channels)


def to_stacks(strips: A, frames: int) -> A:
    """Strips [N, T H, W, C] as images whose channels are the frames: [N, H, W, T C]."""
    clips = to_clips(strips, frames)
    where = jnp if isinstance(strips, Array) else np
    stacked = where.moveaxis(clips, 1, 3)  # [N, H, W, T, C]
    return stacked.reshape(*stacked.shape[:3], -1)


def shift(images: Array, pixels: Array) -> Array:
    """Images [N, H, W, C] moved down and to the right by pixels [N, 2], their edges continued.

    Linearly interpolated between pixels, so that it has a gradient (spatial transformers: Jaderberg
    et al. 2015, arXiv:1506.02025, equation 5, for translations).
    """

    def weights(size: int, by: Array) -> Array:  # [N, size, size]: of each source in each target
        places = jnp.arange(size, dtype=jnp.float32)
        source = jnp.clip(places - by[:, None], 0, size - 1)
        return jnp.maximum(1 - jnp.abs(source[..., None] - places), 0)

    rows = weights(images.shape[1], pixels[:, 0])
    columns = weights(images.shape[2], pixels[:, 1])
    return jnp.einsum("nyh,nxw,nhwc->nyxc", rows, columns, images)


class ClipGenerator(nn.Module):
    """z [B, latent.length(frames)] to strips [B, frames H, W, C].

    The path is an input of the frame generator, and shifts its frame.

    image: makes the generator of frames from the `momentum` of running statistics, called with
    (features [B frames, D], label, train). hidden: units of the GRU and of the dense layers.
    path: dimension of the motion that a frame depends on: small, so that it holds place rather than
    content.
    """

    frames: int
    image: Callable[..., nn.Module]
    latent: Latent = Latent()
    hidden: int = 64
    path: int = 4
    classes: int = 0  # unconditional
    momentum: float = 0.9  # of the running statistics of `image`
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, train: bool = False) -> Array:
        content, start, noise = jnp.split(
            z, [self.latent.content, self.latent.content + self.latent.motion], axis=1
        )
        start = nn.tanh(Dense(self.hidden, name="start")(start))
        noise = noise.reshape(len(z), self.frames, self.latent.noise)
        _, motion = GRU(self.hidden, name="motion")(noise, start)
        motion = Dense(self.path, name="path")(motion)
        content = jnp.repeat(content[:, None], self.frames, 1)
        x = jnp.concatenate([content, motion], -1).reshape(len(z) * self.frames, -1)
        for _ in range(2):
            x = leaky(Dense(self.hidden * 2, dtype=self.dtype, kernel_init=he)(x))
        images = self.image(momentum=self.momentum)(x, jnp.repeat(label, self.frames), train)
        way = nn.tanh(Dense(2, name="way")(motion)).reshape(-1, 2)
        images = shift(images, way * (images.shape[1] / 2))
        return to_strips(images.reshape(len(z), self.frames, *images.shape[1:]))


class Identity(DCGANDiscriminator):
    """Clips [B, T, H, W, C] to logits [B] that do not depend on where in a frame its content is.

    The same convolutions process every frame, and the dense layer takes their mean over places, of
    all frames: so the logit shows when the content changes while it moves.
    """

    @nn.compact
    def __call__(self, clips: Array, label: Array, train: bool = False) -> Array:
        x = self.features(clips.reshape(-1, *clips.shape[2:]), train).mean((1, 2))
        return projection_logits(
            x.reshape(len(clips), -1), label, self.classes, self.hidden, self.dtype
        )


class ClipDiscriminator(nn.Module):
    """Strips [B, frames H, W, C] to logits [B]: the sum of those of clip, identity and frame.

    clip, identity, image: make the discriminators of stacked frames, of clips, and of single
    frames. In training, the frame is the one whose number is the clip's place in the batch modulo
    `frames`; else the logits of all frames are averaged.
    """

    frames: int
    clip: Callable[[], nn.Module]
    identity: Callable[[], nn.Module]
    image: Callable[[], nn.Module]

    @nn.compact
    def __call__(self, strips: Array, label: Array, train: bool = False) -> Array:
        clips, image = to_clips(strips, self.frames), self.image()
        whole = self.clip()(to_stacks(strips, self.frames), label, train)
        whole += self.identity()(clips, label, train)
        if train:
            chosen = jnp.arange(len(strips)) % self.frames
            one = jnp.take_along_axis(clips, chosen[:, None, None, None, None], 1)[:, 0]
            return whole + image(one, label, train)
        every = image(clips.reshape(-1, *clips.shape[2:]), jnp.repeat(label, self.frames), train)
        return whole + every.reshape(len(strips), -1).mean(1)


def centre_of_brightness(clips: np.ndarray) -> np.ndarray:
    """The centre of brightness [N, T, 2] of each frame of clips uint8 [N, T, H, W, C]: row, column.

    From 0 to 1; the middle of a black frame.
    """
    light = clips.sum(-1, dtype=np.float64) + 1e-6
    total = light.sum((2, 3))
    rows, columns = (np.linspace(0, 1, n) for n in light.shape[2:])
    y, x = (light.sum(3) * rows).sum(2), (light.sum(2) * columns).sum(2)
    return np.stack([y, x], -1) / total[..., None]


def motion(clips: np.ndarray) -> dict[str, float]:
    """Statistics of motion: clips uint8 [N, T, H, W, C] of 3 frames or more, on a dark background.

    speed: mean displacement of the centre of brightness between frames, in sides. roughness: mean
    change of that displacement over the speed; 0 for even motion, about 2 for one to and fro.
    flicker: mean change of a frame's total brightness over the mean brightness.
    """
    places, light = centre_of_brightness(clips), clips.sum((2, 3, 4), dtype=np.float64)
    speed = np.linalg.norm(np.diff(places, axis=1), axis=-1).mean()
    change = np.linalg.norm(np.diff(places, n=2, axis=1), axis=-1).mean()
    return {
        "speed": float(speed),
        "roughness": float(change / max(speed, 1e-9)),
        "flicker": float(np.abs(np.diff(light, axis=1)).mean() / max(light.mean(), 1e-9)),
    }
