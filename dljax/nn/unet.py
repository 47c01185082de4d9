"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597): an answer for every pixel, or every voxel.

The way down halves the image and doubles the channels; the way up doubles the image again and puts
beside it what the way down saw at that size. The same module takes volumes (Cicek et al. 2016,
arXiv:1606.06650) when it is given layers for them, as by `volume_unet`.

Departures: convolutions pad, so that the answer has the size of the image, and are followed by a
norm, hence have no biases; but see `volume_unet`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.convolution3d import Conv3D
from dljax.nn.dense import Dense
from dljax.nn.local_contrast import beside_local_contrast
from dljax.nn.normalization import BatchNorm, GroupNorm
from dljax.nn.pooling import max_pool, max_pool3d


class UpConv(nn.Module):
    """A transposed convolution of stride 2 and width 2: [B, H, W, C] to [B, 2 H, 2 W, features].

    Also [B, D, H, W, C] to twice the size. Its windows do not overlap, so it is a dense layer whose
    outputs are laid out as 2x2 pixels or 2x2x2 voxels. It has no bias: a norm follows soon.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, *sides, _ = x.shape
        axes = len(sides)
        x = Dense(2**axes * self.features, use_bias=False, dtype=self.dtype)(x)
        x = x.reshape(batch, *sides, *(2,) * axes, self.features)
        pairs = [axis for i in range(axes) for axis in (1 + i, 1 + axes + i)]
        x = x.transpose(0, *pairs, 1 + 2 * axes)
        return x.reshape(batch, *(2 * side for side in sides), self.features)


class UNet(nn.Module):
    """Images [B, H, W, C] to logits [B, H, W, classes] in float32.

    widths: channels at each size, from the whole image down; H and W must be multiples of
    2 ** (len(widths) - 1), else ValueError. conv, pool: of images; with those of volumes,
    [B, D, H, W, C] to [B, D, H, W, classes]. entry: of the images. first_norm: without it the first
    stage has biases in place of norms.
    """

    classes: int
    widths: Sequence[int] = (64, 128, 256, 512, 1024)
    conv: Callable = Conv
    pool: Callable = max_pool
    norm: Callable = BatchNorm
    activation: Callable = nn.relu
    entry: Callable[[Array], Array] = lambda x: x
    first_norm: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        multiple = 2 ** (len(self.widths) - 1)
        sides = x.shape[1:-1]
        if any(side % multiple for side in sides):
            raise ValueError(
                f"a U-Net of {len(self.widths)} sizes needs images whose sides are multiples of "
                f"{multiple}, not {'x'.join(map(str, sides))}: pad or resize them"
            )
        axes = len(sides)
        conv = partial(
            self.conv,
            kernel_size=(3,) * axes,
            padding=1,
            kernel_init=nn.initializers.he_normal(),
            dtype=self.dtype,
        )
        norm = partial(self.norm, use_running_average=not train, momentum=0.9, dtype=self.dtype)

        def double(x, width):
            for _ in range(2):
                x = self.activation(norm()(conv(width, use_bias=False)(x)))
            return x

        x, skips = self.entry(x), []
        for stage, width in enumerate(self.widths[:-1]):
            if stage or self.first_norm:
                x = double(x, width)
            else:
                for _ in range(2):
                    x = self.activation(conv(width)(x))
            skips.append(x)
            x = self.pool(x, (2,) * axes, strides=(2,) * axes)
        x = double(x, self.widths[-1])
        for width, beside in zip(self.widths[-2::-1], skips[::-1], strict=True):
            x = jnp.concatenate([beside, UpConv(width, dtype=self.dtype)(x)], axis=-1)
            x = double(x, width)
        x = self.conv(self.classes, (1,) * axes, dtype=self.dtype, name="classifier")(x)
        return x.astype(jnp.float32)


def volume_unet(classes: int, widths: Sequence[int], dtype: Any = None) -> UNet:
    """A U-Net of volumes [B, D, H, W, C] that normalises each example of a batch by itself.

    A norm of an example hides how bright it is: a window of noise in air alone would look like one
    of tissue. So the first stage, which the last one sees too, has none. And each voxel is compared
    with its surroundings before, which takes off the bias fields of magnetic resonance.
    """
    return UNet(
        classes,
        widths,
        Conv3D,
        max_pool3d,
        example_norm,
        entry=beside_local_contrast,
        first_norm=False,
        dtype=dtype,
    )


def example_norm(*, use_running_average: bool, momentum: float, dtype: Any) -> GroupNorm:
    """A `norm` of `UNet` without running statistics, over all channels of an example together.

    Instance normalisation takes off how bright a patch is, and makes of the noise of an empty one
    what looks like an image; here channels keep their differences.
    """
    del use_running_average, momentum
    return GroupNorm(1, epsilon=1e-5, dtype=dtype)
