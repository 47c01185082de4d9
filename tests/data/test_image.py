"""One file of each format and mode to the uint8 array that it must become."""

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources.image import (
    UnreadableImage,
    convert_all,
    image_size,
    read_image,
    to_channels,
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


def test_unreadable_files_have_a_reason(tmp_path):
    whole = save(tmp_path, RANDOM.randint(0, 256, (64, 64)).astype(np.uint8)).read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2]):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(UnreadableImage, match=r"\w+Error: "):
            read_image(tmp_path / "bad.png")
    floats = save(tmp_path, np.ones((4, 4), np.float32), "float.tiff")
    with pytest.raises(UnreadableImage, match="floating-point"):
        read_image(floats)
    with pytest.raises(UnreadableImage, match="32-bit"):
        read_image(save(tmp_path, np.full((4, 4), 70000, np.int32), "deep.tiff"))
