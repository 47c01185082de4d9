"""Generators and discriminators of short clips, for the game of adversarial.py.

After MoCoGAN (Tulyakov et al. 2018, arXiv:1707.04993): a clip's content is one latent, its motion
the path of a GRU, and each frame is generated from both. Two discriminators judge: one looks at
single frames, one at the whole clip; their logits are added.

A clip travels as a strip, its frames one below the other: [T H, W, C]. So it is an image to all
that knows only images.

Departures: one z holds all the noise of a clip; content and motion pass through two dense layers
before they make a frame; the clip's discriminator is a two-dimensional network whose channels are
the frames, that is, its first three-dimensional kernel spans all of them; frames are judged at one
time a clip, which goes round with its place in the batch; no categorical variable.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.gan.modern import he
from dljax.gan.networks import canvas, judged, leaky
from dljax.nn.convolution import Conv
from dljax.nn.dense import Dense
from dljax.nn.recurrent import GRU


class Latent(NamedTuple):
    """How many numbers of a z are what: content, the motion's start, and its noise a frame."""

    content: int = 32
    motion: int = 16
    noise: int = 2

    def length(self, frames: int) -> int:
        """Of a z for so many frames."""
        return self.content + self.motion + self.noise * frames


def to_strips(clips: Any) -> Any:
    """Clips [N, T, H, W, C] as strips [N, T H, W, C]."""
    n, frames, height, width, channels = clips.shape
    return clips.reshape(n, frames * height, width, channels)


def to_clips(strips: Any, frames: int) -> Any:
    """Strips [N, T H, W, C] as clips [N, T, H, W, C]."""
    n, height, width, channels = strips.shape
    return strips.reshape(n, frames, height // frames, width, channels)


def to_stacks(strips: Any, frames: int) -> Any:
    """Strips [N, T H, W, C] as images whose channels are the frames: [N, H, W, T C]."""
    clips = to_clips(strips, frames)
    where = jnp if isinstance(strips, Array) else np
    stacked = where.moveaxis(clips, 1, 3)  # [N, H, W, T, C]
    return stacked.reshape(*stacked.shape[:3], -1)


class ClipGenerator(nn.Module):
    """z [B, latent.length(frames)] to strips [B, frames H, W, C].

    image: makes the generator of frames, called with (features [B frames, D], label, train); one
    without BatchNorm.
    hidden: of the GRU and of the dense layers.
    """

    frames: int
    image: Callable[[], nn.Module]
    latent: Latent = Latent()
    hidden: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, train: bool = False) -> Array:
        content, start, noise = jnp.split(
            z, [self.latent.content, self.latent.content + self.latent.motion], axis=1
        )
        start = nn.tanh(Dense(self.hidden, name="start")(start))
        noise = noise.reshape(len(z), self.frames, self.latent.noise)
        _, motion = GRU(self.hidden, name="motion")(noise, start)
        content = jnp.repeat(content[:, None], self.frames, 1)
        x = jnp.concatenate([content, motion], -1).reshape(len(z) * self.frames, -1)
        for _ in range(2):
            x = leaky(Dense(self.hidden * 2, dtype=self.dtype, kernel_init=he)(x))
        images = self.image()(x, jnp.repeat(label, self.frames), train)
        return to_strips(images.reshape(len(z), self.frames, *images.shape[1:]))


class PlainDiscriminator(nn.Module):
    """A 3x3 convolution, then 4x4 ones of stride 2, leaky ReLU, no norm: images to logits [B].

    width: channels of the first layer, doubled with each halving, `widest` at most.
    """

    size: int
    width: int = 32
    widest: int = 128
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Array, label: Array, train: bool = False) -> Array:
        del train
        board = canvas(self.size)
        conv = partial(Conv, dtype=self.dtype, kernel_init=he)
        x = leaky(conv(self.width, (3, 3))(board.pad(images)))
        for i in range(1, board.doublings + 1):
            width = min(self.width << i, self.widest)
            x = leaky(conv(width, (4, 4), strides=2, padding=1)(x))
        return judged(x.reshape(len(x), -1), label, 0)


class ClipDiscriminator(nn.Module):
    """Strips [B, frames H, W, C] to logits [B]: of the clip as a whole, plus of a frame.

    clip, image: make the discriminators of stacked frames and of single ones. In training the
    frame is the one whose number is the clip's place in the batch, modulo `frames`; else the
    logit of all frames is averaged.
    """

    frames: int
    clip: Callable[[], nn.Module]
    image: Callable[[], nn.Module]

    @nn.compact
    def __call__(self, strips: Array, label: Array, train: bool = False) -> Array:
        whole = self.clip()(to_stacks(strips, self.frames), label, train)
        clips, image = to_clips(strips, self.frames), self.image()
        if train:
            chosen = jnp.arange(len(strips)) % self.frames
            one = jnp.take_along_axis(clips, chosen[:, None, None, None, None], 1)[:, 0]
            return whole + image(one, label, train)
        every = image(clips.reshape(-1, *clips.shape[2:]), jnp.repeat(label, self.frames), train)
        return whole + every.reshape(len(strips), -1).mean(1)


# What the samples' motion is like


def course(clips: np.ndarray) -> np.ndarray:
    """The centre of brightness [N, T, 2] of each frame of clips uint8 [N, T, H, W, C], in sides.

    Row and column from 0 to 1; the middle of a frame that is black.
    """
    light = clips.sum(-1, dtype=np.float64) + 1e-6
    total = light.sum((2, 3))
    rows, columns = (np.linspace(0, 1, n) for n in light.shape[2:])
    y, x = (light.sum(3) * rows).sum(2), (light.sum(2) * columns).sum(2)
    return np.stack([y, x], -1) / total[..., None]


def motion(clips: np.ndarray) -> dict[str, float]:
    """How what is bright moves: clips uint8 [N, T, H, W, C] of 3 frames or more, dark behind.

    speed: mean way of the centre from frame to frame, in sides. roughness: mean change of that
    step from one to the next, over the speed; 0 for even motion, about 2 for one to and fro.
    flicker: mean change of a frame's whole light from one to the next, over the mean light.
    """
    places, light = course(clips), clips.sum((2, 3, 4), dtype=np.float64)
    speed = np.linalg.norm(np.diff(places, axis=1), axis=-1).mean()
    change = np.linalg.norm(np.diff(places, n=2, axis=1), axis=-1).mean()
    return {
        "speed": float(speed),
        "roughness": float(change / max(speed, 1e-9)),
        "flicker": float(np.abs(np.diff(light, axis=1)).mean() / max(light.mean(), 1e-9)),
    }
