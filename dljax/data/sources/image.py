"""One image file, of any size and mode, to a uint8 array; and arrays from one format to another."""

import re
import warnings
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import IO, Any, NamedTuple

import numpy as np

SUFFIXES = frozenset(
    (".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif", ".tga")
    + (".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".pjpeg", ".pjp", ".jp2", ".j2k", ".jpx")
    + (".pgm", ".ppm", ".pbm", ".pnm")
)
CONVERTERS = {  # endings of images that are not read here, and what reads them
    **dict.fromkeys((".heic", ".heif", ".hif"), "pillow-heif"),
    ".jxl": "pillow-jxl-plugin",
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"), "rawpy"),
    **dict.fromkeys((".dcm", ".dicom"), "pydicom"),
    **dict.fromkeys((".nii", ".nii.gz", ".mgz"), "nibabel"),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs"), "openslide-python"),
    **dict.fromkeys((".czi", ".lif", ".nd2", ".mha", ".nrrd"), "SimpleITK or Bio-Formats"),
    **dict.fromkeys((".exr", ".hdr", ".pfm"), "opencv-python"),
    **dict.fromkeys((".svg", ".eps", ".ai", ".pdf"), "ImageMagick"),
    **dict.fromkeys((".psd", ".xcf"), "ImageMagick"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "ffmpeg"),
    **dict.fromkeys((".npy", ".npz", ".mat", ".h5"), "numpy, scipy or h5py"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".rar", ".7z"), "an unpacker"),
}
BITS = (1, 2, 4, 8, 10, 12, 14, 16)  # that grey levels usually have
LITTLE = 15  # high bytes of 16-bit colours up to here: their levels have 12 bits or fewer


class UnreadableImage(ValueError):
    """A file that is no image, is damaged, or has pixels without a known range."""


class Levels(NamedTuple):
    """A range of grey levels."""

    low: float
    high: float


def written_levels(metadata: Mapping[str, Any]) -> Levels | None:
    """The range of a run's images, of its metadata; runs of earlier releases had 16 bits."""
    levels = metadata.get("levels", (0, 2 ** BITS[-1] - 1))
    return None if levels is None else Levels(*levels)


class _Deep(NamedTuple):
    """Grey levels of more than 8 bits [H, W], and which pixels are transparent (None: none is)."""

    levels: np.ndarray
    clear: np.ndarray | None

    def range(self) -> Levels:
        seen = self.levels if self.clear is None else self.levels[~self.clear]
        return Levels(float(seen.min()), float(seen.max())) if seen.size else Levels(0, 1)


def read_image(
    file: str | PathLike | IO[bytes],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    upright: bool = True,
    levels: Levels | None = None,
) -> np.ndarray:
    """Reads an image upright (EXIF orientation) or as it is stored, as uint8 [H, W, C].

    Transparent pixels lie on white; of several frames the first is taken. Grey levels of more than
    8 bits (16-bit or 32-bit integers, floats) are scaled from `levels` to 0..255; None: from
    `usual_levels` of this file. With `size` (height, width) it is resized with antialiasing
    (bilinear), without keeping the aspect. Without `channels`, C is 1 where the image is grey and 3
    otherwise: also a colour file whose three channels are equal is grey.

    Raises:
      UnreadableImage: with the reason, without the file's name.
    """
    image = _decoded(file, size, upright)
    if isinstance(image, _Deep):
        image = _scaled(image, levels or usual_levels([image.range()]))
    return _finished(image, size, channels)


def frame_pixels(frame, levels: Levels | None = None) -> np.ndarray:
    """An open image of Pillow, as one frame of a film, as uint8 [H, W, C]; see `read_image`."""
    image = _eight_bits(frame, _stored_bits(frame))
    if isinstance(image, _Deep):
        image = _scaled(image, levels or usual_levels([image.range()]))
    return _finished(image, None, None)


def read_or_measure(
    file: str | PathLike,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    levels: Levels | None = None,
) -> np.ndarray | Levels:
    """As `read_image`; without `levels`, of an image that needs them the range of its own."""
    image = _decoded(file, size, True)
    if isinstance(image, _Deep):
        if levels is None:
            return image.range()
        image = _scaled(image, levels)
    return _finished(image, size, channels)


def measure(file: str | PathLike) -> Levels | None:
    """The range of a file's grey levels where they have more than 8 bits; else None, undecoded."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            deep = image.mode.startswith("I") or image.mode == "F"
            return _deep(image).range() if deep else None
    except Exception as error:
        raise UnreadableImage(_reason(file, error)) from error


def usual_levels(found: Iterable[Levels]) -> Levels:
    """The range in which the grey levels of a set were written: 0..1, or of the least usual bits.

    found: of each image. Levels below 0 or above 65535 have no usual range: their own is taken.
    """
    low, high = (f(x) for f, x in zip((min, max), zip(*found, strict=True), strict=True))
    if low >= -0.05 and high <= 1.05:  # resampling reaches a little beyond 0..1
        return Levels(0, 1)
    if low < 0 or high > 2 ** BITS[-1] - 1:
        return Levels(low, high if high > low else low + 1)
    return Levels(0, next(2**bits - 1 for bits in BITS if high <= 2**bits - 1))


def _decoded(file: str | PathLike | IO[bytes], size: tuple[int, int] | None, upright: bool):
    """An image of Pillow of mode 'L' or 'RGB', or a `_Deep`."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                if size is not None:  # a large JPEG decodes quicker at a half, quarter, eighth
                    image.draft(None, (2 * max(size), 2 * max(size)))
                bits = _stored_bits(image)
                image = ImageOps.exif_transpose(image) if upright else image
                return _eight_bits(image, bits)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's decoders raise anything, SyntaxError and struct.error too
        raise UnreadableImage(_reason(file, error)) from error


def _finished(image, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    from PIL import Image

    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return to_channels(np.asarray(image), channels)


def image_size(file: str | PathLike) -> tuple[int, int]:
    """The (height, width) that `read_image` would return, from the header alone."""
    (height, width), orientation = image_header(file)
    return (width, height) if orientation >= 5 else (height, width)


def described(file: str | PathLike) -> str:
    """Height, width and whether a file holds colours, from its header alone: '120x90 colour'."""
    from PIL import Image

    height, width = image_size(file)
    with Image.open(file) as image:
        grey = image.mode[0] in "1LIF" and image.mode != "LAB"
    return f"{height}x{width} {'grey' if grey else 'colour'}"


def image_header(file: str | PathLike) -> tuple[tuple[int, int], int]:
    """The (height, width) as stored, and the EXIF orientation: 1 to 8, 1 upright, 5 on turned."""
    from PIL import ExifTags, Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:
        raise UnreadableImage(_reason(file, error)) from error
    return (height, width), orientation


def _stored_bits(image) -> int:
    """Bits of a channel in the file, where Pillow's decoder says so; 8 otherwise."""
    for tile in image.tile:
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if arguments and (found := re.search(r";(\d+)", str(arguments[0]))):
            return int(found[1])
    return 8


def _eight_bits(image, bits: int = 8):
    """Any mode of Pillow to 'L' or 'RGB', or a `_Deep`. bits: of the file, `_stored_bits`."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info and bits <= 8:
        image.load()
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _deep(image)
    if image.mode == "L" and bits in (2, 4) and isinstance(image.info.get("transparency"), int):
        # The pixels were spread over 0..255, the transparent level was not.
        image.load()
        image.info["transparency"] *= 255 // (2**bits - 1)
    elif bits == 16:  # of which Pillow keeps the high byte
        image.load()
        if max(high for _, high in image.convert("RGB").getextrema()) <= LITTLE:
            raise UnreadableImage(
                "16-bit colours whose levels have 12 bits or fewer keep 4 of them: save it with 8"
            )
        clear = image.info.get("transparency")
        if isinstance(clear, tuple):
            image.info["transparency"] = tuple(level >> 8 for level in clear)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return on_white(image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def on_white(image):
    """An image of Pillow in RGB, its transparent pixels on white."""
    from PIL import Image

    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _deep(image) -> _Deep:
    levels = np.asarray(image)
    if levels.dtype.kind == "f" and not np.isfinite(levels).all():
        raise UnreadableImage("it has pixels that are not finite (NaN or infinite)")
    clear = image.info.get("transparency")
    clear = levels == clear if isinstance(clear, int) else None
    return _Deep(levels, clear if clear is not None and clear.any() else None)


def _scaled(image: _Deep, levels: Levels):
    """Of mode 'L': levels.low becomes 0 and levels.high 255; what lies beyond is clipped."""
    from PIL import Image

    x, (low, high) = image.levels.astype(np.float64), levels
    x = np.clip(np.floor((x - low) * (255 / (high - low)) + 0.5), 0, 255).astype(np.uint8)
    if image.clear is not None:
        x[image.clear] = 255
    return Image.fromarray(x)


CONTENTS = (  # what files that are no images begin with
    (rb"\Z", "it is empty"),
    (rb"version https://git-lfs", "it is a pointer of Git LFS: `git lfs pull` fetches the image"),
    (rb"....ftyp(heic|heix|hevc|mif1|msf1)", "it is HEIC, which pillow-heif converts"),
    (rb"(\xff\x0a|\0\0\0\x0cJXL )", "it is JPEG XL, which pillow-jxl-plugin converts"),
    (rb"\s*(<\?xml[^>]*>\s*)?<svg", "it is a drawing (SVG)"),
    (rb"(?i)\s*<(!doctype )?html", "it is a web page"),
    (rb".{128}DICM", "it is DICOM, which pydicom reads"),
    (rb"PK\x03\x04", "it is a zip archive"),
    (rb"%PDF", "it is a PDF"),
)


def _reason(file: str | PathLike | IO[bytes], error: Exception) -> str:
    """Why a file can't be read, for the user, with what Pillow said."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    try:
        if hasattr(file, "read"):
            file.seek(0)
            head = file.read(512)
        else:
            with open(file, "rb") as opened:
                head = opened.read(512)
    except Exception:
        return said
    for pattern, what in CONTENTS:
        if re.match(pattern, head, re.DOTALL):
            return f"{what} ({said})"
    if "truncated" in said or "Truncated" in said:
        return f"it is cut off ({said})"
    known = "cannot identify" not in said
    return f"{'it is damaged' if known else 'it is no image that Pillow knows'} ({said})"


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
