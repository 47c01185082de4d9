"""Semantic segmentation: losses, scores and windows against hand-made and independent values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from dljax.cnn.segmentation import baselines, inspection, losses, segmentation_metrics, tiling
from dljax.data import augment_pairs, feed

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


def test_windows_begin_where_a_coarse_map_has_its_places():
    """Of a function that answers for blocks of 4 pixels by their first one: not at any pixel."""

    def coarse(x):
        return jnp.repeat(jnp.repeat(x[:, ::4, ::4], 4, 1), 4, 2)

    image = RNG.normal(size=(1, 30, 41, 1)).astype(np.float32)
    full = coarse(jnp.pad(image, ((0, 0), (0, 2), (0, 3), (0, 0))))[:, :30, :41]
    found = tiling.tiled(coarse, jnp.asarray(image), (16, 16), 5, 4)
    np.testing.assert_allclose(found, full, atol=1e-5)
    for length in range(1, 90):
        first = tiling.starts(length, 24, 9, 4)
        assert (first % 4 == 0).all() and length <= first[-1] + 24 < max(length, 21) + 4
        assert (np.diff(first) <= 15).all() and (np.diff(first) > 0).all()
    with pytest.raises(ValueError, match="must leave 16"):
        tiling.starts(90, 24, 9, 16)


def test_counts_of_pixels_do_not_stop_at_those_of_float32():
    """2**24 and 3 pixels of one class, in batches that are added on the device."""
    side = 4096
    zeros, one = jnp.zeros((1, side, side), jnp.uint8), jnp.ones(1)
    total, pixels = jax.jit(segmentation_metrics.confusion, static_argnums=2)(zeros, zeros, 1, one)
    more, few = segmentation_metrics.confusion(zeros[:, :1, :3], zeros[:, :1, :3], 1, one)
    assert int(total[0, 0] + more[0, 0]) == int(pixels + few) == side**2 + 3


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
    none = segmentation_metrics.rand_scores(labels, np.zeros((1, 5), int))
    assert np.isnan(none["v_rand"])
    cells = np.array([[1, 1, 0, 1, 1]], bool)
    p = np.array([[0.9, 0.9, 0.4, 0.8, 0.8]])
    # below 0.4 one segment; from 0.4 on two; above 0.85 one of them and the rest
    found = segmentation_metrics.v_rand(p, cells, (0.3, 0.5, 0.85))
    np.testing.assert_allclose(found, [2 / 3, 1, 1])
    assert segmentation_metrics.v_rand(p, cells)[0] == 1


def test_v_rand_is_that_of_pairs_of_pixels():
    """Split and merge are ratios of counts of pairs of pixels, each with itself too."""
    labels, predicted = RNG.integers(0, 4, (2, 6, 7))
    inside = labels > 0
    i, j = predicted[inside], labels[inside]
    both = ((i[:, None] == i) & (j[:, None] == j)).sum()
    scores = segmentation_metrics.rand_scores(predicted, labels)
    np.testing.assert_allclose(scores["split"], both / (j[:, None] == j).sum())
    np.testing.assert_allclose(scores["merge"], both / (i[:, None] == i).sum())


def test_baselines():
    """Of two classes: class 1 has 6 of 11 labelled pixels and is the commonest one."""
    train = np.array([[[0, 1], [1, 1]], [[0, 1], [1, 0]], [[0, 0], [1, IGNORE]]])
    dark = np.where(train == 1, 20, 200)[..., None].astype(np.uint8)
    methods = baselines.simple_methods(dark, train, ("ground", "thing"))
    test = np.array([[[0, 1], [1, 1]], [[0, 0], [1, 1]], [[1, 0], [0, 0]]])
    images = np.where(test == 1, 10, 90)[..., None].astype(np.uint8)
    batches = [(images[:2], test[:2]), (images[2:], test[2:])]
    found = baselines.scores(methods, batches, ("ground", "thing"), {0, 2})
    everything = found["all thing"]
    assert everything["pixel_accuracy"] == 0.5 and everything["miou"] == 0.25
    assert everything["iou_thing"] == 0.5 and everything["iou_ground"] == 0
    assert everything["v_rand"] == 1  # one segment in both images that are looked at
    # [[0, 1], [1, 0]], the last place a tie: 3, 2 and 1 pixels are right
    assert found["most frequent class of each place"]["pixel_accuracy"] == 6 / 12
    (name,) = [name for name in found if name.startswith("Otsu's threshold")]
    assert found[name]["miou"] == found[name]["v_rand"] == 1

    methods = baselines.simple_methods(dark, train, ("a", "b", "c"))
    assert list(methods) == ["most frequent class", "most frequent class of each place"]
    found = baselines.scores(methods, batches, ("a", "b", "c"), {0})
    assert set(found["most frequent class"]) == {"miou", "pixel_accuracy", "mean_dice"}


def test_otsu_separates_best():
    """As the threshold of the largest variance between groups, tried one by one."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        grey = np.concatenate([rng.normal(40, 12, 300), rng.normal(150, 25, 500)])

        def between(level, grey=grey):
            low, high = grey[grey <= level], grey[grey > level]
            return len(low) * len(high) * (low.mean() - high.mean()) ** 2

        best = max(np.sort(grey)[:-1], key=between)
        assert between(baselines.otsu(grey)) > 0.995 * between(best)
    assert 0 <= baselines.otsu(np.array([0.0, 0, 9, 9])) < 9


def test_a_review_takes_examples_in_parts():
    """Confusion, mIoU of each image, V_rand of each seed, of a network that is a lookup."""
    labels = np.zeros((11, 8, 9), np.uint8)
    labels[:, 2:5, 2:7] = 1
    labels[3, 0, 0] = IGNORE
    images = np.where(labels == 1, 200, 10)[..., None].astype(np.uint8)
    images[4] = 10  # nothing is found there

    def predict(pictures):
        thing = np.stack([pictures[..., 0] > 100, np.zeros(pictures.shape[:3])])
        return np.stack([1.0 - thing, thing], -1).astype(np.float32)

    given = feed.examples({"image": images, "mask": labels}, 4)
    found = inspection.review(lambda x: predict(x)[:1], given, 2, {0, 4, 10})
    expected = baselines.counts((images[..., 0] > 100).astype(int), labels, 2)
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.confusion.sum() == 11 * 72 - 1 and found.miou.argmin() == 4
    assert (np.delete(found.miou, 4) == 1).all() and 0.5 < found.boundary_f1 < 1
    assert inspection.review(predict, given, 2, {0}).v_rand.shape == (2, 1, 9)
    assert found.v_rand.shape == (1, 3, 9) and (found.v_rand == 1).all()


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
