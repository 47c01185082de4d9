"""Scores of structures against brute force; sliding windows; thresholds."""

import numpy as np
import pytest

from dljax.cnn.medical import inference, sliding_window, structures, thresholds
from dljax.cnn.medical.structures import score, score_classes


def brute_surface(mask):
    """Voxels with a neighbour outside, one voxel after another."""
    points = []
    for place in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                other = place.copy()
                other[axis] += step
                outside = other[axis] < 0 or other[axis] >= mask.shape[axis]
                if outside or not mask[tuple(other)]:
                    points.append(tuple(place))
    return np.array(sorted(set(points)), float)


def brute(truth, predicted, spacing):
    """HD95 and average distance from all pairs of surface voxels."""
    a, b = (brute_surface(x) * spacing for x in (truth, predicted))
    apart = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    there, back = apart.min(1), apart.min(0)
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return hd95, np.concatenate([there, back]).mean()


def blob(seed, shape):
    rng = np.random.default_rng(seed)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    middle, radius = rng.uniform(2, np.array(shape) - 2), rng.uniform(2, 5)
    return (((grid - middle) ** 2).sum(-1) < radius**2) & (rng.random(shape) < 0.9)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 2.0, 3.5)])
@pytest.mark.parametrize("seed", range(3))
def test_surface_distances_equal_brute_force(seed, spacing):
    truth, predicted = (blob(seed + k, (12, 10, 9)) for k in (0, 20))
    assert truth.any() and predicted.any()
    found = score(truth, predicted, spacing)
    np.testing.assert_allclose((found.hd95, found.assd), brute(truth, predicted, spacing))


def test_surface_distances_of_images():
    truth, predicted = blob(1, (15, 14)), blob(5, (15, 14))
    found = score(truth, predicted, (0.7, 1.3))
    np.testing.assert_allclose((found.hd95, found.assd), brute(truth, predicted, (0.7, 1.3)))


def test_hand_computed():
    truth, predicted = np.zeros((2, 5, 6, 7), bool)
    truth[1, 1, 1:3], predicted[1, 1, 2:4] = True, True
    found = score(truth, predicted, (1, 1, 2.5))
    assert found.state == "found"
    assert (found.dice, found.iou) == (0.5, 1 / 3)
    # each surface has one voxel on the other's, and one 2.5 mm away
    np.testing.assert_allclose(found.hd95, np.percentile([0, 2.5], 95))
    np.testing.assert_allclose(found.assd, 1.25)
    np.testing.assert_allclose((found.true_ml, found.predicted_ml), 2 * 2.5 / 1000)


def test_absent_structures_are_counted_apart():
    nothing, something = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    same = score(something, something, (1, 1))
    missed = score(something, nothing, (1, 1))
    invented, absent = score(nothing, something, (1, 1)), score(nothing, nothing, (1, 1))
    assert (same.dice, same.iou, same.hd95, same.assd) == (1, 1, 0, 0)
    assert (missed.state, missed.dice, missed.hd95) == ("missed", 0, None)
    assert (invented.state, invented.dice, invented.predicted_ml) == ("invented", None, 0.004)
    assert (absent.state, absent.dice) == ("absent", None)
    rows = [[same], [missed], [invented], [absent]]
    means = structures.means(rows)
    assert (means["dice"][0], means["hd95"][0]) == (0.5, 0)
    assert structures.states(rows) == [{"found": 1, "missed": 1, "invented": 1, "absent": 1}]
    assert np.isnan(structures.means([[absent]])["dice"]).all()


def test_voxels_to_ignore_count_nowhere():
    truth = np.array([[1, 1, 255, 0]], np.uint8)
    predicted = np.array([[1, 1, 1, 0]], np.uint8)
    assert score_classes(truth, predicted, 2, (1, 1))[0].dice == 1


def voxelwise(x):
    """A network that looks at each voxel alone: three classes by grey level."""
    levels = np.stack([-np.abs(x[..., 0] - k) for k in range(3)], -1)
    p = np.exp(4 * levels)
    return (p / p.sum(-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("sides", [(11, 9, 8), (5, 3, 9), (21, 17)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_windows_cover_every_voxel_once(sides, overlap):
    image = np.random.default_rng(0).integers(0, 3, (*sides, 1)).astype(np.float32)
    found = sliding_window.segment(voxelwise, image, (4,) * len(sides), overlap, 3)
    np.testing.assert_array_equal(found, image[..., 0])


def test_the_middle_of_a_window_counts_more():
    """A network whose answer depends on the place in the window: the votes of two windows."""

    def by_place(x):
        p = np.zeros((*x.shape[:-1], 2), np.float32)
        p[..., 1] = np.arange(8) < 4  # class 1 in the first half of each window
        p[..., 0] = 1 - p[..., 1]
        return p

    found = sliding_window.segment(by_place, np.zeros((1, 12, 1), np.float32), (1, 8), 0.5, 2)
    # windows at 0 and 4; voxels 4 and 5 are nearer to the middle of the first, which says 0
    assert found.tolist() == [[1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]]
    weight = sliding_window.gaussian((8,))
    np.testing.assert_allclose(weight, weight[::-1])
    np.testing.assert_allclose(weight[0] / weight[3], np.exp(-0.5 * (3.5**2 - 0.5**2)), rtol=1e-5)


def test_mirror_images_are_averaged():
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    from dljax.train.supervised import create_state

    class Shift(nn.Module):
        """Logits that see the voxel before: not the same of a mirror image."""

        @nn.compact
        def __call__(self, x, train=False):
            weight = self.param("weight", nn.initializers.ones, (1,))
            before = jnp.roll(x[..., 0], 1, axis=1)
            return jnp.stack([before * weight, jnp.zeros_like(before)], -1)

    import optax

    model, x = Shift(), jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4, 1)))
    state = create_state(model.init(jax.random.key(0), x), optax.sgd(1.0))
    plain = inference.probabilities(model, state, x, ())
    both = inference.probabilities(model, state, x, (0,))
    other = inference.probabilities(model, state, x[:, ::-1], ())[:, ::-1]
    np.testing.assert_allclose(both, (plain + other) / 2, atol=1e-6)
    mirrored = inference.probabilities(model, state, x[:, ::-1], (0,))[:, ::-1]
    np.testing.assert_allclose(both, mirrored, atol=1e-6)


def test_grey_levels_alone():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (20, 20)).astype(np.uint8)
    image = np.array([5.0, 1.0, 9.0])[label][..., None] + rng.uniform(-1, 1, (20, 20, 1))
    levels = thresholds.fit([image], [label], 3)
    np.testing.assert_array_equal(levels(image), label)
    label[0] = 255
    np.testing.assert_array_equal(thresholds.fit([image], [label], 3)(image)[1:], label[1:])
