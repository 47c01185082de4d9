"""Augmentation with boxes: the boxes stay on what they were drawn around."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data import augment_boxes

SIZE = (48, 64)
BOXES = jnp.array([[8.0, 10, 20, 30], [40, 20, 60, 28], [0, 0, 0, 0]])
LABELS = jnp.array([0, 1, -1])


def painted(boxes=BOXES, labels=LABELS) -> np.ndarray:
    """Black, but for each box filled with the colour of its class."""
    image = np.zeros((*SIZE, 3), np.float32)
    for (x1, y1, x2, y2), label in zip(np.asarray(boxes).astype(int), labels, strict=True):
        if label >= 0:
            image[y1:y2, x1:x2, label] = 1
    return image


def assert_boxes_cover(image, boxes, labels, atol=1.5):
    """Each box is the tight one of the pixels of its colour (each class is there once at most)."""
    image = np.asarray(image)
    for box, label in zip(np.asarray(boxes), np.asarray(labels), strict=True):
        if label < 0:
            assert (box == 0).all()
            continue
        rows, columns = np.nonzero(image[..., label] > 0.5)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(box, found, atol=atol)


@pytest.mark.parametrize("across, down", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_flips(across, down):
    apply = augment_boxes.flip(across, down)
    image, boxes, labels = apply(jax.random.key(0), jnp.asarray(painted()), BOXES, LABELS)
    shown = painted()[:: -1 if down else 1, :: -1 if across else 1]
    np.testing.assert_array_equal(image, shown)
    np.testing.assert_array_equal(labels, LABELS)
    assert_boxes_cover(image, boxes[:2], labels[:2], atol=0)


def test_crops():
    apply = jax.jit(augment_boxes.crop((0.6, 1.6), aspect=1.3))
    lost = 0
    for seed in range(40):
        image, boxes, labels = apply(jax.random.key(seed), jnp.asarray(painted()), BOXES, LABELS)
        assert image.shape == (*SIZE, 3) and labels[2] == -1
        assert_boxes_cover(image, boxes, labels)
        lost += int((labels[:2] < 0).sum())
    assert 0 < lost < 40  # some boxes leave the image, and few do


def test_what_hardly_shows_is_no_object():
    boxes = jnp.array([[-8.0, 0, 2, 10], [-2, 0, 8, 10], [30, 30, 31, 40], [5, 5, 20, 20]])
    labels = jnp.array([0, 1, 2, -1])
    kept, names = augment_boxes.inside(boxes, labels, jnp.zeros(2), jnp.array(SIZE, jnp.float32))
    assert names.tolist() == [-1, 1, -1, -1]  # a fifth inside; most inside; thin; padding
    assert kept.tolist() == [[0, 0, 0, 0], [0, 0, 8, 10], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_mosaics():
    """Four images meet in the first ones of a batch, and all boxes stay on their objects."""
    two = [(BOXES, LABELS), (BOXES + 2, jnp.array([2, -1, -1]))]
    boxes = jnp.stack([two[i % 2][0] for i in range(8)])
    labels = jnp.stack([two[i % 2][1] for i in range(8)])
    images = jnp.stack([painted(b, n) for b, n in zip(boxes, labels, strict=True)])
    apply = jax.jit(augment_boxes.mosaic(0.5))
    found, moved, names = apply(jax.random.key(3), images, boxes, labels)
    assert found.shape == images.shape and moved.shape == (8, 12, 4) and names.shape == (8, 12)
    np.testing.assert_array_equal(found[4:], images[4:])
    np.testing.assert_array_equal(moved[4:, :3], boxes[4:])
    assert (names[4:, 3:] == -1).all() and (names[:4] >= 0).sum() > 8
    for image, these, those in zip(found[:4], moved[:4], names[:4], strict=True):
        for (x1, y1, x2, y2), label in zip(np.asarray(these), np.asarray(those), strict=True):
            if label >= 0:  # the colour fills the box, but for its blurred edge
                inner = image[round(y1) + 1 : round(y2) - 1, round(x1) + 1 : round(x2) - 1, label]
                assert inner.mean() > 0.9, (x1, y1, x2, y2, label)


def test_a_batch_draws_for_each_image():
    apply = augment_boxes.batch(
        augment_boxes.chain(augment_boxes.flip(), augment_boxes.crop((0.7, 1.4)))
    )
    images = jnp.stack([jnp.asarray(painted())] * 4)
    boxes, labels = jnp.stack([BOXES] * 4), jnp.stack([LABELS] * 4)
    found, moved, names = apply(jax.random.key(0), images, boxes, labels)
    assert not np.array_equal(found[0], found[1])
    for example in zip(found, moved, names, strict=True):
        assert_boxes_cover(*example)
