"""One file of each format and mode to the uint8 array that it must become."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources.image import (
    CONVERTERS,
    SUFFIXES,
    Levels,
    UnreadableImage,
    convert_all,
    image_size,
    measure,
    read_image,
    read_or_measure,
    to_channels,
    usual_levels,
)

RANDOM = np.random.RandomState(0)
GREY = RANDOM.randint(0, 256, (6, 5)).astype(np.uint8)
COLOUR = RANDOM.randint(0, 256, (6, 5, 3)).astype(np.uint8)


def save(tmp_path, image, name="image.png", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "pgm", "webp"])
def test_lossless_grey_formats(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    image = read_image(save(tmp_path, GREY, f"image.{suffix}", **options))
    np.testing.assert_array_equal(image, GREY[..., None])
    assert image.dtype == np.uint8


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_colour_formats(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path, COLOUR, f"image.{suffix}", **options)
    np.testing.assert_array_equal(read_image(path), COLOUR)


def test_jpeg_is_close(tmp_path):
    smooth = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    image = read_image(save(tmp_path, smooth, "image.jpg", quality=95))
    assert image.shape == (32, 32, 1)
    assert abs(image[..., 0].astype(int) - smooth).max() < 8


def test_modes_of_one_bit_palette_and_transparency(tmp_path):
    bits = Image.fromarray(GREY > 127)
    np.testing.assert_array_equal(
        read_image(save(tmp_path, bits))[..., 0], np.where(GREY > 127, 255, 0)
    )
    palette = Image.fromarray(GREY % 3, "P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    colours = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]], np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path, palette)), colours[GREY % 3])
    clear = read_image(save(tmp_path, palette, transparency=1))
    colours[1] = 255
    np.testing.assert_array_equal(clear, colours[GREY % 3])

    alpha = np.where(GREY > 127, 255, 0).astype(np.uint8)
    seen = np.where(alpha[..., None] == 255, COLOUR, 255)
    rgba = np.concatenate([COLOUR, alpha[..., None]], -1)
    np.testing.assert_array_equal(read_image(save(tmp_path, rgba)), seen)
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    expected = np.where(alpha == 255, GREY, 255)[..., None]
    np.testing.assert_array_equal(read_image(save(tmp_path, grey_alpha)), expected)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, name):
    levels = np.array([[0, 257, 32768], [65535, 128, 129]], np.uint16)
    image = read_image(save(tmp_path, levels, name))
    np.testing.assert_array_equal(image[..., 0], [[0, 1, 128], [255, 0, 1]])


def test_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated clockwise
    path = save(tmp_path, COLOUR, exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(COLOUR, -1))
    assert image_size(path) == (5, 6)


def test_the_first_of_several_frames(tmp_path):
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    path = save(tmp_path, first, "image.tiff", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)


def test_grey_pixels_in_a_colour_file_are_grey(tmp_path):
    path = save(tmp_path, np.repeat(GREY[..., None], 3, -1))
    np.testing.assert_array_equal(read_image(path), GREY[..., None])
    assert read_image(path, channels=3).shape == (6, 5, 3)


def test_channels_by_hand():
    pixel = np.array([[[200, 100, 50]]], np.uint8)
    assert to_channels(pixel, 1).tolist() == [[[124]]]  # 59.8 + 58.7 + 5.7
    assert to_channels(pixel, None).tolist() == pixel.tolist()
    assert to_channels(np.full((1, 1), 7, np.uint8), 3).tolist() == [[[7, 7, 7]]]


def test_resizing_averages_and_large_jpegs_keep_their_content(tmp_path):
    checks = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    small = read_image(save(tmp_path, checks), size=(8, 4))
    assert small.shape == (8, 4, 1)
    assert abs(small.astype(int) - 127).max() <= 3  # sampling without a filter gives 0 or 255
    halves = np.zeros((1024, 512), np.uint8)
    halves[:512] = 200
    image = read_image(save(tmp_path, halves, "large.jpg"), size=(16, 16))[..., 0]
    assert abs(image[:7].astype(int) - 200).max() < 4 and image[9:].max() < 4


def test_convert_all_keeps_what_fits():
    images = RANDOM.randint(0, 256, (3, 6, 5, 3)).astype(np.uint8)
    assert convert_all(images, None, None) is images
    np.testing.assert_array_equal(convert_all(images, (6, 5), 3), images)
    assert convert_all(images, (4, 8), 1).shape == (3, 4, 8, 1)


@pytest.mark.parametrize(
    ("ranges", "levels"),
    [
        ([(0, 255)], (0, 255)),
        ([(3, 40), (0, 4000)], (0, 4095)),
        ([(0, 15)], (0, 15)),
        ([(0, 1)], (0, 1)),
        ([(0, 0.4), (-0.01, 1.02)], (0, 1)),  # floats in 0..1, resampled
        ([(0, 900)], (0, 1023)),
        ([(0, 65535)], (0, 65535)),
        ([(-1024, 3071)], (-1024, 3071)),  # a scanner's units: no usual range
        ([(5, 100000)], (5, 100000)),
        ([(-7, -7)], (-7, -6)),
    ],
)
def test_usual_ranges(ranges, levels):
    assert usual_levels([Levels(*x) for x in ranges]) == levels


@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("ct.png", np.array([[0, 4095, 2048, 16]], np.uint16), [0, 255, 128, 1]),
        ("eight.png", np.array([[0, 255, 100, 7]], np.uint16), [0, 255, 100, 7]),
        ("int.tif", np.array([[0, 255, 100, 7]], np.int32), [0, 255, 100, 7]),
        ("signed.tif", np.array([[-1000, 3000, 1000, 0]], np.int32), [0, 255, 128, 64]),
        ("unit.tif", np.array([[0, 1, 0.5, 0.1]], np.float32), [0, 255, 128, 26]),
        ("byte.tif", np.array([[0, 255, 100, 7]], np.float32), [0, 255, 100, 7]),
    ],
)
def test_deep_grey_levels_are_scaled_by_the_range_that_they_use(tmp_path, name, levels, expected):
    path = save(tmp_path, levels, name)
    assert read_image(path)[0, :, 0].tolist() == expected
    assert measure(path) == read_or_measure(path) == (levels.min(), levels.max())
    wider = read_image(path, levels=Levels(0, 65535))[0, :, 0]  # of the set that it belongs to
    np.testing.assert_array_equal(wider, np.clip(np.floor(levels[0] / 257 + 0.5), 0, 255))


def png(path, rows: list[bytes], bits: int, colour: int, width: int, clear: bytes = b""):
    """A PNG of packed rows, with the content of a tRNS chunk."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0))]
    chunks += [(b"tRNS", clear)] if clear else []
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(x)) + n + x + struct.pack(">I", zlib.crc32(n + x))
            for n, x in chunks
        )
    )
    return path


@pytest.mark.parametrize(
    ("row", "bits", "clear", "expected"),
    [
        (bytes([0b10100000]), 1, 0, [255, 255, 255, 255]),
        (bytes([0b10100000]), 1, 1, [255, 0, 255, 0]),
        (bytes([0b00011011]), 2, 1, [0, 255, 170, 255]),
        (bytes([0x0F, 0x37]), 4, 3, [0, 255, 255, 119]),
        (bytes([0, 100, 7, 255]), 8, 7, [0, 100, 255, 255]),
        (struct.pack(">4H", 0, 65535, 300, 25700), 16, 300, [0, 255, 255, 100]),
    ],
)
def test_a_transparent_grey_level_lies_on_white_whatever_the_bits(
    tmp_path, row, bits, clear, expected
):
    path = png(tmp_path / "x.png", [row], bits, 0, 4, struct.pack(">H", clear))
    assert read_image(path)[0, :, 0].tolist() == expected


def test_sixteen_bit_colours(tmp_path):
    """Of which Pillow keeps the high byte: enough for 16 bits, refused for 12."""
    row = struct.pack(">6H", 0, 65535, 25700, 257 * 9, 257 * 8, 257 * 7)
    path = png(tmp_path / "x.png", [row], 16, 2, 2, struct.pack(">3H", 257 * 9, 257 * 8, 257 * 7))
    assert read_image(path).tolist() == [[[0, 255, 100], [255, 255, 255]]]
    dark = png(tmp_path / "y.png", [struct.pack(">6H", 0, 4095, 300, 7, 8, 9)], 16, 2, 2)
    with pytest.raises(UnreadableImage, match="16-bit colours whose levels have 12 bits or fewer"):
        read_image(dark)


CONTENTS = [
    (b"", "it is empty"),
    (b"no image", "it is no image that Pillow knows"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
    (b"<!DOCTYPE html><html>404</html>", "a web page"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which pillow-heif converts"),
    (b"<?xml version='1.0'?>\n<svg width='3'/>", "a drawing"),
    (b"PK\x03\x04" + bytes(40), "a zip archive"),
    (bytes(128) + b"DICM" + bytes(9), "DICOM, which pydicom reads"),
]


@pytest.mark.parametrize(("content", "reason"), CONTENTS)
def test_what_is_no_image_is_named(tmp_path, content, reason):
    (tmp_path / "bad.jpg").write_bytes(content)
    for function in (read_image, image_size, measure):
        with pytest.raises(UnreadableImage, match=rf"it is .*{reason}.*|{reason}.*") as caught:
            function(tmp_path / "bad.jpg")
        assert "\n" not in str(caught.value)


def test_unreadable_files_have_a_reason(tmp_path):
    whole = save(tmp_path, RANDOM.randint(0, 256, (64, 64)).astype(np.uint8)).read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2]):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(UnreadableImage, match=r"it is [\w ]+ \(\w+Error: "):
            read_image(tmp_path / "bad.png")
    with pytest.raises(UnreadableImage, match="not finite"):
        read_image(save(tmp_path, np.full((4, 4), np.nan, np.float32), "float.tiff"))


def test_more_endings_and_formats_are_images(tmp_path):
    assert {".jfif", ".pjpeg", ".jpe", ".avif", ".jp2", ".apng"} <= SUFFIXES
    assert not SUFFIXES & CONVERTERS.keys()
    smooth = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    path = save(tmp_path, smooth, "image.jfif", format="JPEG", quality=95)
    assert abs(read_image(path)[..., 0].astype(int) - smooth).max() < 8
