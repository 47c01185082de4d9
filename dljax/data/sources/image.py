"""One image file, of any size and mode, to a uint8 array; and arrays from one format to another."""

import warnings
from os import PathLike
from typing import IO

import numpy as np

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
    + (".pgm", ".ppm", ".pbm", ".pnm")
)


class UnreadableImage(ValueError):
    """A file that is no image, is damaged, or has pixels without a known range."""


def read_image(
    file: str | PathLike | IO[bytes],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    upright: bool = True,
) -> np.ndarray:
    """Reads an image upright (EXIF orientation) or as it is stored, as uint8 [H, W, C].

    Transparent pixels lie on white; 16-bit grey is scaled from 0..65535; of several frames the
    first is taken. With `size` (height, width) it is resized with antialiasing (bilinear), without
    keeping the aspect. Without `channels`, C is 1 where the image is grey and 3 otherwise: also a
    colour file whose three channels are equal is grey.

    Raises:
      UnreadableImage: with the reason, without the file's name.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                if size is not None:  # a large JPEG decodes quicker at a half, quarter, eighth
                    image.draft(None, (2 * max(size), 2 * max(size)))
                image = ImageOps.exif_transpose(image) if upright else image
                image = eight_bits(image)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's decoders raise anything, SyntaxError and struct.error too
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return to_channels(np.asarray(image), channels)


def image_size(file: str | PathLike) -> tuple[int, int]:
    """The (height, width) that `read_image` would return, from the header alone."""
    (height, width), orientation = image_header(file)
    return (width, height) if orientation >= 5 else (height, width)


def image_header(file: str | PathLike) -> tuple[tuple[int, int], int]:
    """The (height, width) as stored, and the EXIF orientation: 1 to 8, 1 upright, 5 on turned."""
    from PIL import ExifTags, Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error
    return (height, width), orientation


def eight_bits(image):
    """Any mode of Pillow to 'L' or 'RGB'."""
    from PIL import Image

    if image.mode in ("L", "RGB"):
        if "transparency" not in image.info:
            image.load()
            return image
        image = image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise UnreadableImage("32-bit grey levels beyond 0..65535 have no known range")
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no known range")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def to_channels(image: np.ndarray, channels: int | None) -> np.ndarray:
    """uint8 [..., H, W] or [..., H, W, 1 or 3] with the requested channels, as [..., H, W, C].

    None means one channel where all pixels are grey. Colour becomes grey by ITU-R 601 luma.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[-1] == 3 and channels != 3:
        red, green, blue = image[..., 0], image[..., 1], image[..., 2]
        if np.array_equal(red, green) and np.array_equal(green, blue):
            image = image[..., :1]
        elif channels == 1:
            luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
            image = np.round(luma).astype(np.uint8)[..., None]
    elif image.shape[-1] == 1 and channels == 3:
        image = np.repeat(image, 3, axis=-1)
    return np.ascontiguousarray(image)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes uint8 [H, W, 1 or 3] to `size` (height, width) with antialiasing (bilinear)."""
    from PIL import Image

    if image.shape[:2] == tuple(size):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    resized = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
    return resized[..., None] if resized.ndim == 2 else resized


def convert_all(
    images: np.ndarray, size: tuple[int, int] | None, channels: int | None
) -> np.ndarray:
    """uint8 [N, H, W, C] with another size and number of channels; None keeps what there is."""
    if channels is not None and channels != images.shape[-1]:
        images = to_channels(images, channels)
    if size is None or images.shape[1:3] == tuple(size):
        return images
    return np.stack([resize(image, size) for image in images])
