"""Size, crop and normalisation of a pretrained network's images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

Triple = tuple[float, float, float]


class Input(NamedTuple):
    """The images that a network was trained on.

    size: pixels of the square image. crop: the share of it in a picture whose shorter side is
    evaluated. mean, std: of each channel, of images in 0..1. interpolation: "bilinear" or
    "bicubic".
    """

    size: int = 224
    crop: float = 0.875
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"

    def valid(self) -> bool:
        """Whether `prepare` can use these values."""
        return (
            32 <= self.size <= 4096
            and 0 < self.crop <= 1
            and len(self.mean) == len(self.std) == 3
            and all(s > 0 for s in self.std)
            and self.interpolation in ("bilinear", "bicubic")
        )

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The middle [size, size, 3] of a picture of any size [H, W, 3], both uint8.

        Its shorter side is resized to size / crop first: as for the published accuracies.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise ValueError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {picture.shape}")
        height, width = picture.shape[:2]
        scale = int(self.size / self.crop) / min(height, width)
        height, width = round(height * scale), round(width * scale)
        kind = Image.Resampling[self.interpolation.upper()]
        resized = np.asarray(Image.fromarray(picture).resize((width, height), kind))
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return resized[top : top + self.size, left : left + self.size]

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """A uint8 picture [H, W, 3] of any size as the float32 image [size, size, 3]."""
        return self.normalize(self.cut(picture))

    def normalize(self, images: np.ndarray) -> np.ndarray:
        """uint8 [..., 3] as float32 of mean 0 and deviation 1."""
        scaled = images.astype(np.float32) / 255
        return ((scaled - np.float32(self.mean)) / np.float32(self.std)).astype(np.float32)
