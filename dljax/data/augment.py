"""Augmentation on the device: pure functions of (key, image), composed by `chain`.

An image is float32 [H, W, C] in 0..1. `batch` turns such a function into one of (key, images
[B, H, W, C]) with a key per image; `mixup` and `cutmix` mix the images of a batch and their labels.
All are written to run inside a jitted, scanned training step, and stay in 0..1.

    augment = batch(chain(random_crop(4), flip(), cutout(8)))
    images = augment(key, images)
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Augment = Callable[[Array, Array], Array]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in grey (ITU-R 601)."""
YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
"""Red, green, blue to luma and the two axes of the colour plane (FCC 1953)."""


def chain(*functions: Augment) -> Augment:
    """Applies the functions one after another, each with its own key."""

    def apply(key: Array, image: Array) -> Array:
        for index, function in enumerate(functions):
            image = function(jax.random.fold_in(key, index), image)
        return image

    return apply


def batch(function: Augment) -> Augment:
    """The function over images [B, H, W, C], with a key per image."""

    def apply(key: Array, images: Array) -> Array:
        return jax.vmap(function)(jax.random.split(key, len(images)), images)

    return apply


def random_crop(padding: int, mode: Literal["reflect", "constant"] = "reflect") -> Augment:
    """Shifts the image by up to `padding` pixels each way.

    What comes in at the border is the mirrored image ('reflect', padding < H, W) or black
    ('constant'). All (2 padding + 1)^2 shifts are equally likely.
    """

    def apply(key: Array, image: Array) -> Array:
        padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode=mode)
        top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
        return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)

    return apply


def flip(probability: float = 0.5) -> Augment:
    """Mirrors left and right."""

    def apply(key: Array, image: Array) -> Array:
        return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)

    return apply


def affine(
    rotation: float = 0.0,
    translation: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shear: float = 0.0,
    fill: float = 0.0,
) -> Augment:
    """Rotates, shears, scales and moves the image about its centre, with bilinear sampling.

    Args:
      rotation: largest angle in degrees, either way.
      translation: largest move along each axis, as a share of the image's side.
      scale: smallest and largest magnification.
      shear: largest angle, in degrees, by which vertical lines lean.
      fill: the level outside the image.
    """

    def apply(key: Array, image: Array) -> Array:
        height, width, _ = image.shape
        turn, lean, move, zoom = jax.random.split(key, 4)
        angle = jnp.deg2rad(jax.random.uniform(turn, minval=-rotation, maxval=rotation))
        slope = jnp.tan(jnp.deg2rad(jax.random.uniform(lean, minval=-shear, maxval=shear)))
        shift = jax.random.uniform(move, (2,), minval=-translation, maxval=translation)
        factor = jax.random.uniform(zoom, minval=scale[0], maxval=scale[1])
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        # From output to input: undo the rotation, then the shear, then the magnification.
        undo = jnp.array([[cos, sin], [-sin - slope * cos, cos - slope * sin]]) / factor
        return warp(image, undo, shift * jnp.array([height, width]), fill)

    return apply


def warp(image: Array, matrix: Array, shift: Array, fill: float = 0.0) -> Array:
    """Samples an image bilinearly: out[c + p] = image[c + matrix (p - shift)], c the centre.

    Args:
      image: [H, W, C].
      matrix: [2, 2], from output to input offsets (row, column) from the centre.
      shift: [2], rows and columns by which the result is moved down and right.
      fill: the level outside the image.
    """
    height, width, channels = image.shape
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
    rows, columns = jnp.mgrid[:height, :width]
    offsets = jnp.stack([rows, columns], -1) - centre - shift
    # A product and a sum, not a matrix product, which TPUs and GPUs may round to 8 bits.
    position = (offsets[..., None, :] * matrix).sum(-1) + centre
    corner = jnp.floor(position)
    down, right = jnp.split(position - corner, 2, axis=-1)
    row, column = corner[..., 0].astype(jnp.int32), corner[..., 1].astype(jnp.int32)
    flat = image.reshape(height * width, channels)

    def at(row: Array, column: Array) -> Array:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        index = jnp.where(inside, row * width + column, 0)
        return jnp.where(inside[..., None], flat.at[index].get(mode="promise_in_bounds"), fill)

    above = at(row, column) * (1 - right) + at(row, column + 1) * right
    below = at(row + 1, column) * (1 - right) + at(row + 1, column + 1) * right
    return above * (1 - down) + below * down


def resample(image: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """An image [H, W, C] at the rows [h] and columns [w] of a grid, bilinearly: [h, w, C].

    Outside of the image is its mean level; also returns bool [h, w], what is inside.
    """
    height, width = image.shape[:2]
    inside = ((rows > -0.5) & (rows < height - 0.5))[:, None] & (
        (columns > -0.5) & (columns < width - 0.5)
    )[None]

    def weights(places: Array, length: int) -> tuple[Array, Array, Array]:
        low = jnp.clip(jnp.floor(places), 0, length - 1).astype(jnp.int32)
        return low, jnp.minimum(low + 1, length - 1), jnp.clip(places - low, 0, 1)

    top, bottom, down = weights(rows, height)
    left, right, across = weights(columns, width)
    x = image[top] * (1 - down)[:, None, None] + image[bottom] * down[:, None, None]
    x = x[:, left] * (1 - across)[None, :, None] + x[:, right] * across[None, :, None]
    return jnp.where(inside[..., None], x, image.mean((0, 1))), inside


def color_jitter(
    brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
) -> Augment:
    """Changes brightness, contrast, saturation and hue, in this order, and clips to 0..1.

    The first three are multiplied by a factor from 1 - x to 1 + x: the levels, their distance from
    the image's mean grey, their distance from the pixel's grey. Hue turns the colour plane of YIQ
    by up to `hue` of a full turn. A grey image has neither saturation nor hue to change.
    """

    def apply(key: Array, image: Array) -> Array:
        colour = image.shape[-1] == 3
        spans = jnp.array([brightness, contrast, saturation, 2 * jnp.pi * hue])
        draws = spans * jax.random.uniform(key, (4,), minval=-1.0)
        image = jnp.clip(image * (1 + draws[0]), 0, 1)
        mean = (grey(image) if colour else image).mean()
        image = jnp.clip(mean + (image - mean) * (1 + draws[1]), 0, 1)
        if colour:
            level = grey(image)
            image = jnp.clip(level + (image - level) * (1 + draws[2]), 0, 1)
            image = jnp.clip(turn_hue(image, draws[3]), 0, 1) if hue else image
        return image

    return apply


def grey(image: Array) -> Array:
    """The luma of [..., 3], as [..., 1]."""
    return (image * LUMA).sum(-1, keepdims=True)


def turn_hue(image: Array, angle: Array) -> Array:
    """Turns the colour plane of YIQ by an angle in radians; image [..., 3]."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    with jax.default_matmul_precision("float32"):
        return image @ (np.linalg.inv(YIQ) @ turn @ YIQ).T


def blur(deviation: float) -> Augment:
    """Blurs by a Gaussian whose standard deviation is uniform from 0 to `deviation` pixels.

    The kernel reaches three of the largest deviations; beyond the border is the nearest pixel.
    """
    reach = max(1, int(np.ceil(3 * deviation)))
    offsets = np.arange(-reach, reach + 1)

    def apply(key: Array, image: Array) -> Array:
        sigma = jax.random.uniform(key, minval=1e-3, maxval=max(deviation, 1e-3))
        kernel = jnp.exp(-0.5 * (offsets / sigma) ** 2)
        kernel /= kernel.sum()
        height, width, _ = image.shape
        padded = jnp.pad(image, ((reach, reach), (0, 0), (0, 0)), mode="edge")
        image = sum(kernel[i] * padded[i : i + height] for i in range(len(offsets)))
        padded = jnp.pad(image, ((0, 0), (reach, reach), (0, 0)), mode="edge")
        return sum(kernel[i] * padded[:, i : i + width] for i in range(len(offsets)))

    return apply


def cutout(size: int, fill: float = 0.0) -> Augment:
    """Paints over a square of `size` pixels a side (DeVries and Taylor 2017, arXiv 1708.04552).

    The centre is any pixel of the image, so that part of the square may lie outside.
    """

    def apply(key: Array, image: Array) -> Array:
        height, width, _ = image.shape
        row, column = jax.random.randint(key, (2,), 0, jnp.array([height, width]))
        hole = _box(height, width, row - size // 2, column - size // 2, size, size)
        return jnp.where(hole[..., None], fill, image)

    return apply


def _box(height: int, width: int, top: Array, left: Array, rows: Array, columns: Array) -> Array:
    """bool [H, W]: the pixels of a box, as far as it lies inside."""
    y, x = jnp.arange(height)[:, None], jnp.arange(width)
    return (y >= top) & (y < top + rows) & (x >= left) & (x < left + columns)


def mixup(key: Array, images: Array, labels: Array, alpha: float) -> tuple[Array, Array]:
    """Mixes each image with the next of the batch (Zhang et al. 2018, arXiv 1710.09412, eq. 1).

    x' = l x_i + (1 - l) x_j and y' = l y_i + (1 - l) y_j, with one l ~ Beta(alpha, alpha) for the
    batch. j = i + 1 around the end: a batch is in random order, so that no permutation is needed.

    Args:
      key: PRNG key.
      images: float [B, H, W, C].
      labels: float [B, classes], one-hot or smoothed.
      alpha: above 0; large values mix evenly, small ones hardly.

    Returns:
      images and labels of the same shapes.
    """
    share = jax.random.beta(key, alpha, alpha)
    images = share * images + (1 - share) * jnp.roll(images, -1, axis=0)
    return images, share * labels + (1 - share) * jnp.roll(labels, -1, axis=0)


def cutmix(key: Array, images: Array, labels: Array, alpha: float = 1.0) -> tuple[Array, Array]:
    """Pastes a box of the next image into each one (Yun et al. 2019, arXiv 1905.04899, alg. A1).

    The box has the sides sqrt(1 - l) H and W, l ~ Beta(alpha, alpha), about a centre that is
    uniform over the image, one box for the batch. The labels are mixed by the share of the pixels
    that the box covers once clipped to the image. Arguments and results are those of `mixup`.
    """
    height, width = images.shape[1:3]
    share_key, centre_key = jax.random.split(key)
    side = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha))
    rows, columns = jnp.round(side * height), jnp.round(side * width)
    row, column = jax.random.randint(centre_key, (2,), 0, jnp.array([height, width]))
    box = _box(height, width, row - rows // 2, column - columns // 2, rows, columns)
    share = 1 - box.mean()
    images = jnp.where(box[..., None], jnp.roll(images, -1, axis=0), images)
    return images, share * labels + (1 - share) * jnp.roll(labels, -1, axis=0)
