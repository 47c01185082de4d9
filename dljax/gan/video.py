"""Generators and discriminators of short clips, for the game of adversarial.py.

After MoCoGAN (Tulyakov et al. 2018, arXiv:1707.04993): a clip's content is one latent, its motion
the path of a GRU, and each frame is generated from both. Discriminators judge single frames and
the whole clip; their logits are added.

A clip travels as a strip, its frames one below the other: [T H, W, C]. So it is an image to all
that knows only images.

Departures, for digits became others as they moved: the path also shifts a frame, and a third
discriminator compares what the frames show (`Identity`). Further: one z holds all the noise of a
clip; content and path pass through two dense layers before they make a frame; the clip's
discriminator is a two-dimensional network whose channels are the frames, that is, its first
three-dimensional kernel spans all of them; frames are judged at one time a clip, which goes round
with its place in the batch; no categorical variable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.gan.dcgan import DCGANDiscriminator, he, judged, leaky
from dljax.nn.dense import Dense
from dljax.nn.recurrent.layers import GRU


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


def shift(images: Array, pixels: Array) -> Array:
    """Images [N, H, W, C] moved down and to the right by pixels [N, 2], their edges continued.

    Between pixels interpolated linearly, so that it has a gradient (spatial transformers: Jaderberg
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

    The path says how a frame that was drawn is shifted, and is known to what draws it.

    image: makes the generator of frames from the `momentum` of running statistics, called with
    (features [B frames, D], label, train). hidden: of the GRU and of the dense layers. path:
    numbers that a frame knows of the motion: few, so that they say where and not what.
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
    """Clips [B, T, H, W, C] to logits [B] by what their frames show, wherever they show it.

    The same convolutions look at every frame, and their mean over places goes into the dense layer,
    that of all frames together: so it is plain to see when a thing becomes another as it moves.
    """

    @nn.compact
    def __call__(self, clips: Array, label: Array, train: bool = False) -> Array:
        x = self.seen(clips.reshape(-1, *clips.shape[2:]), train).mean((1, 2))
        return judged(x.reshape(len(clips), -1), label, self.classes, self.hidden, self.dtype)


class ClipDiscriminator(nn.Module):
    """Strips [B, frames H, W, C] to logits [B]: of the clip, of its identity, of a frame, added.

    clip, identity, image: make the discriminators of stacked frames, of clips, and of single
    frames. In training the frame is the one whose number is the clip's place in the batch, modulo
    `frames`; else the logit of all frames is averaged.
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
