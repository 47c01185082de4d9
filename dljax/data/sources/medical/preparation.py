"""Medical images as a network takes them: at one spacing, on one scale of grey levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dljax.data.sources.medical.volume import Volume

RANGE = (0.5, 99.5)  # percentiles


class Preparation(NamedTuple):
    """How images are prepared. spacing: mm along each axis, (): as they are.

    window: lowest and highest grey level, which become 0 and 1 and beyond which levels are cut off
    (Hounsfield units of CT); (): of each channel of each image the levels that 0.5 and 99.5 % of
    its voxels lie below become these. (A mean and a deviation would depend on how much of the image
    is air: of two images of one scanner, the wider one would be the brighter one.)
    """

    spacing: tuple[float, ...] = ()
    window: tuple[float, ...] = ()

    def image(self, volume: Volume) -> np.ndarray:
        """The image float32 [*sides, C], resampled linearly."""
        image = volume.image
        if self.window:
            low, high = self.window
            image = (np.clip(image, low, high) - low) / (high - low)
        else:
            low, high = np.percentile(image, RANGE, tuple(range(image.ndim - 1)))
            image = (image - low) / np.where(high - low > 1e-6, high - low, 1)
        scale = self._scale(volume)
        channels = [resampled(image[..., c], scale, 1) for c in range(image.shape[-1])]
        return np.stack(channels, -1).astype(np.float32)

    def label(self, volume: Volume) -> np.ndarray:
        """The labels uint8 [*sides], resampled to the nearest."""
        return resampled(volume.label, self._scale(volume), 0)

    def back(self, labels: np.ndarray, volume: Volume) -> np.ndarray:
        """Labels of the prepared image in the voxels of the volume.

        The class of the largest share of each voxel, interpolated linearly.
        """
        sides = volume.sides()
        scale = [n / m for n, m in zip(labels.shape, sides, strict=True)]
        if labels.shape == sides:
            return labels
        best, found = np.full(sides, -1, np.float32), np.zeros(sides, np.uint8)
        for number in np.unique(labels):
            share = _at(np.float32(labels == number), scale, sides, 1)
            found[share > best] = number
            best = np.maximum(best, share)
        return found

    def _scale(self, volume: Volume) -> Sequence[float]:
        """Voxels of the volume for one of the prepared image, along each axis."""
        if not self.spacing:
            return (1.0,) * len(volume.sides())
        return [new / old for new, old in zip(self.spacing, volume.spacing(), strict=True)]


def resampled(array: np.ndarray, scale: Sequence[float], order: int) -> np.ndarray:
    """An array with 1 / scale times as many voxels, which cover what its voxels cover.

    order: 1 for grey levels, smoothed before where there become fewer; 0 for labels.
    """
    sides = [max(1, round(n / s)) for n, s in zip(array.shape, scale, strict=True)]
    if list(array.shape) == sides:
        return array
    if order:
        array = ndimage.gaussian_filter(array, [max(s - 1, 0) / 2 for s in scale], mode="nearest")
    return _at(array, [n / m for n, m in zip(array.shape, sides, strict=True)], sides, order)


def _at(array: np.ndarray, scale: Sequence[float], sides: Sequence[int], order: int) -> np.ndarray:
    """The array at the middles of other voxels, `scale` of its own long."""
    offset = [(s - 1) / 2 for s in scale]
    return ndimage.affine_transform(
        array, np.array(scale), offset, tuple(sides), order=order, mode="nearest"
    )
