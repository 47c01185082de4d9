"""Augmentation of images together with boxes: one geometry for both, on the device.

A function of (key, image float32 [H, W, C] in 0..1, boxes [M, 4], labels int [M]) to the same.
Boxes are x1, y1, x2, y2 in pixels, labels of padding are -1; a box that leaves the image becomes
padding. `batch` gives each image of a batch its own key; `mosaic` joins images of a batch.

    augmentation = chain(mosaic(0.5), batch(chain(flip(), crop((0.7, 1.4)))))
    images, boxes, labels = augmentation(key, images, boxes, labels)
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from dljax.data import augment

Augment = Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]

VISIBLE = 0.25  # share of a box that must stay in the image, or it is no object any more
SMALLEST = 2.0  # pixels of a side of an object


def chain(*functions: Augment) -> Augment:
    """Applies the functions one after another, each with its own key; of images or of batches."""

    def apply(key: Array, *example: Array) -> tuple[Array, Array, Array]:
        for index, function in enumerate(functions):
            example = function(jax.random.fold_in(key, index), *example)
        return example

    return apply


def batch(function: Augment) -> Augment:
    """The function over images [B, H, W, C], boxes [B, M, 4], labels [B, M], a key per image."""

    def apply(key: Array, images: Array, boxes: Array, labels: Array) -> tuple[Array, ...]:
        return jax.vmap(function)(jax.random.split(key, len(images)), images, boxes, labels)

    return apply


def image_only(function: augment.Augment) -> Augment:
    """A change of colours, which leaves the boxes."""
    return lambda key, image, boxes, labels: (function(key, image), boxes, labels)


def flip(across: float = 0.5, down: float = 0.0) -> Augment:
    """Mirrors left and right, and top and bottom, with these probabilities."""

    def apply(key: Array, image: Array, boxes: Array, labels: Array) -> tuple[Array, Array, Array]:
        height, width = image.shape[:2]
        turn_across, turn_down = jax.random.uniform(key, (2,)) < jnp.array([across, down])
        x1, y1, x2, y2 = jnp.moveaxis(boxes, -1, 0)
        if across:
            image = jnp.where(turn_across, image[:, ::-1], image)
            x1, x2 = (jnp.where(turn_across, width - a, b) for a, b in ((x2, x1), (x1, x2)))
        if down:
            image = jnp.where(turn_down, image[::-1], image)
            y1, y2 = (jnp.where(turn_down, height - a, b) for a, b in ((y2, y1), (y1, y2)))
        return image, jnp.stack([x1, y1, x2, y2], -1), labels

    return apply


def crop(scale: tuple[float, float], aspect: float = 1.0) -> Augment:
    """A random window of the image, magnified at random, of the size of the image.

    scale: smallest and largest magnification, drawn evenly on a logarithmic scale. aspect: by up to
    how much width and height may be stretched against each other. A window smaller than the image
    lies inside it; a larger one holds it somewhere.
    """

    def apply(key: Array, image: Array, boxes: Array, labels: Array) -> tuple[Array, Array, Array]:
        zoom_key, aspect_key, place_key = jax.random.split(key, 3)
        stretch = _zoom(aspect_key, (aspect**-0.5, aspect**0.5))
        zoom = _zoom(zoom_key, scale) * jnp.stack([stretch, 1 / stretch])  # of y, x
        size = jnp.asarray(image.shape[:2], jnp.float32)
        first = jax.random.uniform(place_key, (2,)) * (size - size / zoom)
        rows, columns = (
            (jnp.arange(n) + 0.5) / z - 0.5 for n, z in zip(image.shape[:2], zoom, strict=True)
        )
        image, _ = augment.resample(image, rows + first[0], columns + first[1])
        moved = (boxes - jnp.tile(first[::-1], 2)) * jnp.tile(zoom[::-1], 2)
        return image, *inside(moved, labels, jnp.zeros(2), size)

    return apply


def mosaic(share: float, scale: tuple[float, float] = (0.5, 1.0)) -> Augment:
    """Joins four images of the batch at a random corner (Bochkovskiy et al. 2020, section 3.4).

    arXiv:2004.10934. share: of the batch, its first images, as a batch is in random order. Each
    of the four is scaled by its own factor, its corner lies in the middle half of the result.
    The result has room for the boxes of all four, [B, 4 M, 4].
    """

    def one(key: Array, images: Array, boxes: Array, labels: Array) -> tuple[Array, Array, Array]:
        """Of four images [4, H, W, C]: above left, above right, below left, below right."""
        zoom_key, place_key = jax.random.split(key)
        size = jnp.asarray(images.shape[1:3], jnp.float32)
        corner = jnp.round(size * jax.random.uniform(place_key, (2,), minval=0.25, maxval=0.75))
        after = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]], bool)  # beyond the corner: y, x

        def part(key, image, boxes, labels, after):
            zoom = _zoom(key, scale)
            edge = jnp.where(after, 0.0, size)  # where the image touches the corner
            y, x = (
                (jnp.arange(n) + 0.5 - corner[i]) / zoom + edge[i] - 0.5
                for i, n in enumerate(image.shape[:2])
            )
            moved = (boxes - jnp.tile(edge[::-1], 2)) * zoom + jnp.tile(corner[::-1], 2)
            low, high = jnp.where(after, corner, 0.0), jnp.where(after, size, corner)
            return augment.resample(image, y, x)[0], *inside(moved, labels, low, high)

        parts, boxes, labels = jax.vmap(part)(
            jax.random.split(zoom_key, 4), images, boxes, labels, after
        )
        below, right = (jnp.arange(n) >= c for n, c in zip(images.shape[1:3], corner, strict=True))
        below, right = below[:, None, None], right[:, None]
        image = jnp.where(
            below, jnp.where(right, parts[3], parts[2]), jnp.where(right, parts[1], parts[0])
        )
        return image, boxes.reshape(-1, 4), labels.reshape(-1)

    def apply(key: Array, images: Array, boxes: Array, labels: Array) -> tuple[Array, Array, Array]:
        count = round(share * len(images))
        if not count:
            return images, boxes, labels
        four = [
            jnp.stack([jnp.roll(x, -i, 0)[:count] for i in range(4)], 1)
            for x in (images, boxes, labels)
        ]
        made = jax.vmap(one)(jax.random.split(key, count), *four)
        room = 3 * boxes.shape[1]
        rest = (
            images[count:],
            jnp.pad(boxes[count:], ((0, 0), (0, room), (0, 0))),
            jnp.pad(labels[count:], ((0, 0), (0, room)), constant_values=-1),
        )
        return tuple(jnp.concatenate(x) for x in zip(made, rest, strict=True))

    return apply


def inside(boxes: Array, labels: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Boxes clipped to the window from low to high (y, x); what hardly shows becomes padding."""
    whole = boxes[..., 2:] - boxes[..., :2]
    boxes = jnp.clip(boxes, jnp.tile(low[::-1], 2), jnp.tile(high[::-1], 2))
    sides = boxes[..., 2:] - boxes[..., :2]
    shown = (sides >= SMALLEST).all(-1) & (sides.prod(-1) >= VISIBLE * whole.prod(-1))
    kept = shown & (labels >= 0)
    return jnp.where(kept[..., None], boxes, 0), jnp.where(kept, labels, -1)


def _zoom(key: Array, scale: tuple[float, float]) -> Array:
    low, high = jnp.log(jnp.asarray(scale))
    return jnp.exp(jax.random.uniform(key, minval=low, maxval=high))
