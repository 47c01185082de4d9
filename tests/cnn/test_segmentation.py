"""Semantic segmentation: losses, scores and windows against hand-made and independent values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from dljax.cnn.segmentation import baselines, losses, segmentation_metrics, tiling
from dljax.data import augment_pairs

IGNORE = losses.IGNORE
RNG = np.random.default_rng(0)


def test_scores_of_a_confusion_are_those_of_scikit_learn():
    labels, predicted = RNG.integers(0, 4, (2, 5, 9, 7))
    labels[RNG.random(labels.shape) < 0.2] = IGNORE
    labels[labels == 2], predicted[predicted == 2] = 1, 0  # class 2 is nowhere
    mask = np.array([1, 1, 0, 1, 1.0])
    counts, pixels = segmentation_metrics.confusion(
        jnp.asarray(predicted), jnp.asarray(labels), 4, jnp.asarray(mask)
    )
    inside = (labels != IGNORE) & (mask > 0)[:, None, None]
    true, guess = labels[inside], predicted[inside]
    np.testing.assert_array_equal(counts, confusion_matrix(true, guess, labels=range(4)))
    assert pixels == inside.sum()
    scores = segmentation_metrics.from_confusion(np.asarray(counts))
    expected = jaccard_score(true, guess, labels=[0, 1, 3], average=None)
    np.testing.assert_allclose(scores["iou"][[0, 1, 3]], expected)
    assert np.isnan(scores["iou"][2]) and np.isnan(scores["dice"][2])
    np.testing.assert_allclose(scores["miou"], expected.mean())
    np.testing.assert_allclose(scores["pixel_accuracy"], (true == guess).mean())


def test_ignored_pixels_change_no_loss():
    logits = jnp.asarray(RNG.normal(size=(2, 4, 4, 3)), jnp.float32)
    labels = jnp.asarray(RNG.integers(0, 3, (2, 4, 4)))
    half = labels.at[:, 2:].set(IGNORE)
    for loss in (losses.cross_entropy(), losses.focal(), losses.dice()):
        np.testing.assert_allclose(
            loss(logits, half), loss(logits[:, :2], labels[:, :2]), rtol=1e-6
        )
        grad = jax.grad(loss)(logits, half)
        assert (np.asarray(grad[:, 2:]) == 0).all() and np.isfinite(grad).all()


def test_losses_by_hand():
    logits = jnp.log(jnp.array([[[[0.2, 0.8], [0.6, 0.4]]]]))
    labels = jnp.array([[[1, 0]]])
    np.testing.assert_allclose(losses.cross_entropy()(logits, labels), -np.log([0.8, 0.6]).mean())
    weighted = -(3 * np.log(0.8) + np.log(0.6)) / 4
    np.testing.assert_allclose(losses.cross_entropy((1, 3))(logits, labels), weighted, rtol=1e-6)
    focal = np.mean([0.2**2 * -np.log(0.8), 0.4**2 * -np.log(0.6)])
    np.testing.assert_allclose(losses.focal(2.0)(logits, labels), focal, rtol=1e-5)
    # class 0: p 0.2, 0.6, true 0, 1; class 1: p 0.8, 0.4, true 1, 0
    dice = 1 - np.mean([2 * 0.6 / (0.04 + 0.36 + 1), 2 * 0.8 / (0.64 + 0.16 + 1)])
    np.testing.assert_allclose(losses.dice(0.0)(logits, labels), dice, rtol=1e-6)
    nothing = jnp.full((1, 1, 2), IGNORE)
    assert losses.total(losses.cross_entropy(), losses.dice())(logits, nothing) == 0


def test_weights_of_classes():
    masks = np.array([[[0, 0, 0, 1], [IGNORE, 0, 0, 1]]])
    share = losses.frequencies(masks, 3)
    np.testing.assert_allclose(share, [5 / 7, 2 / 7, 0])
    np.testing.assert_allclose(losses.enet_weights(share)[2], 1 / np.log(1.02))
    np.testing.assert_allclose(losses.median_weights(share), [0.7, 1.75, 0])


@pytest.mark.parametrize("size", [(40, 52), (16, 16), (10, 30)])
def test_windows_give_what_the_whole_image_gives(size):
    """Of a function that sees three pixels to each side, but for the border of the image."""
    kernel = np.ones((7, 7)) / 49

    def blur(x):
        pad = jnp.pad(x[..., 0], ((0, 0), (3, 3), (3, 3)))
        sums = sum(
            pad[:, a : a + x.shape[1], b : b + x.shape[2]] * kernel[a, b]
            for a in range(7)
            for b in range(7)
        )
        return jnp.stack([sums, -sums], -1)

    image = RNG.normal(size=(2, *size, 1)).astype(np.float32)
    found = jax.jit(lambda x: tiling.tiled(blur, x, (16, 16), 12))(image)
    assert found.shape == (2, *size, 2)
    inside = (slice(None), slice(3, size[0] - 3), slice(3, size[1] - 3))
    np.testing.assert_allclose(found[inside], blur(image)[inside], atol=1e-4)


def test_windows_cover():
    for length in range(1, 60):
        first = tiling.starts(length, 16, 5)
        covered = np.zeros(max(length, 16), int)
        for start in first:
            covered[start : start + 16] += 1
        assert covered.min() >= 1 and first[-1] + 16 >= length
        assert (np.diff(first) <= 11).all()
    with pytest.raises(ValueError, match="overlap"):
        tiling.starts(20, 8, 8)


def test_boundaries():
    labels = np.zeros((20, 20), int)
    labels[5:15, 5:15] = 1
    assert segmentation_metrics.boundary_f1(labels, labels, 2, 1) == 1
    moved = np.roll(labels, 2, 0)
    assert segmentation_metrics.boundary_f1(moved, labels, 2, 2) == 1
    assert segmentation_metrics.boundary_f1(moved, labels, 2, 1) < 0.9
    assert np.isnan(segmentation_metrics.boundary_f1(0 * labels, 0 * labels, 2, 1))


def test_v_rand_by_hand():
    labels = np.array([[1, 1, 2, 2, 0]])
    scores = segmentation_metrics.rand_scores(labels, labels)
    assert scores["v_rand"] == 1
    merged = segmentation_metrics.rand_scores(np.ones((1, 5), int), labels)
    # one segment of four: joint 2, 2; t 2, 2; s 4
    assert merged["split"] == 1 and merged["merge"] == 0.5
    np.testing.assert_allclose(merged["v_rand"], 2 / 3)
    cells = np.array([[1, 1, 0, 1, 1]], bool)
    best = segmentation_metrics.membrane_scores(np.array([[0.9, 0.9, 0.4, 0.8, 0.8]]), cells)
    assert best["v_rand"] == 1 and best["threshold"] > 0.35


def test_baselines():
    train = np.array([[[0, 1], [1, 1]], [[0, 1], [1, 0]], [[0, 0], [1, IGNORE]]])
    test = np.array([[[0, 1], [1, 1]]])
    found = baselines.baselines(train, test, 2)
    # class 1: 5 of 9 labelled pixels... the commonest is 1
    assert found["most frequent class"]["pixel_accuracy"] == 0.75
    assert found["most frequent class"]["miou"] == (0 + 0.75) / 2
    assert found["most frequent class of each place"]["pixel_accuracy"] >= 0.75


def test_pairs_move_together():
    """A mask that is drawn into the image stays on it through every change."""
    mask = np.zeros((24, 24), np.int32)
    mask[4:12, 6:20] = 1
    image = np.repeat(mask[..., None], 3, -1).astype(np.float32)
    change = augment_pairs.chain(
        augment_pairs.flip(), augment_pairs.crop((16, 16), (0.7, 1.5)), augment_pairs.dihedral()
    )
    for seed in range(20):
        moved, ids = change(jax.random.key(seed), jnp.asarray(image), jnp.asarray(mask))
        assert moved.shape == (16, 16, 3) and ids.shape == (16, 16)
        known = np.asarray(ids) != IGNORE
        agree = (np.asarray(moved[..., 0]) > 0.5) == (np.asarray(ids) == 1)
        assert agree[known].mean() > 0.98
    same, ids = augment_pairs.crop((24, 24))(
        jax.random.key(0), jnp.asarray(image), jnp.asarray(mask)
    )
    np.testing.assert_allclose(same, image, atol=1e-6)
    np.testing.assert_array_equal(ids, mask)
    assert (
        np.asarray(augment_pairs.crop((48, 48))(jax.random.key(0), image, mask)[1]) == IGNORE
    ).any()
