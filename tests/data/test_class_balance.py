"""Class weights by hand, and draws that are even between classes and within them."""

import numpy as np
import pytest

from dljax.data import class_balance, feed

LABELS = np.repeat([0, 1, 2], [60, 30, 6])


def test_class_weights_by_hand():
    labels = np.array([0, 0, 0, 1])
    weights = class_balance.class_weights(labels, 3, 1.0)
    np.testing.assert_allclose(weights, [2 / 3, 2, 0])  # of the third there is no example
    assert np.mean(weights[labels]) == pytest.approx(1)
    root = class_balance.class_weights(labels, 2, 0.5)
    assert root[1] / root[0] == pytest.approx(np.sqrt(3))
    np.testing.assert_allclose(class_balance.class_weights(labels, 2, 0.0), 1)


def test_positive_weights_by_hand():
    labels = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]])
    np.testing.assert_allclose(class_balance.positive_weights(labels, 1.0), [3, 1, 1])
    np.testing.assert_allclose(class_balance.positive_weights(labels, 0.5)[0], np.sqrt(3))


@pytest.mark.parametrize(("power", "counts"), [(0.0, (60, 30, 6)), (1.0, (32, 32, 32))])
def test_an_epoch_is_as_even_as_it_can_be(power, counts):
    """Within one of the expected number for each class; no example twice while another has none."""
    weights = class_balance.sampling_weights(LABELS, power)
    for seed in range(20):
        drawn = class_balance.draw(np.random.default_rng(seed), weights)
        assert len(drawn) == len(LABELS)
        assert np.abs(np.bincount(LABELS[drawn]) - counts).max() <= 1
        times = np.bincount(drawn, minlength=len(LABELS))
        assert all(np.ptp(times[label == LABELS]) <= 1 for label in range(3))
    assert (np.diff(LABELS[drawn]) != 0).sum() > 20  # in random order


def test_balanced_batches_are_a_function_of_seed_and_step():
    """So a run resumes, and seeds beside each other equal those alone."""
    arrays = {"image": np.arange(96), "label": LABELS}
    weights = class_balance.sampling_weights(LABELS, 1.0)
    one, other = (feed.in_memory(arrays, 16, weights=weights) for _ in range(2))
    whole = one.chunk(3, 0, 15)
    pieces = [other.chunk(3, step, k) for step, k in ((7, 8), (0, 4), (4, 3))]
    np.testing.assert_array_equal(whole, np.concatenate([*pieces[1:], pieces[0]]))
    assert (whole != one.chunk(4, 0, 15)).any()
    assert np.bincount(LABELS[whole[:12].ravel()]).tolist() == pytest.approx([64, 64, 64], abs=2)
    first = feed.in_memory(arrays, 4, pick=lambda seed: np.arange(50, 66), weights=weights)
    assert set(first.chunk(0, 0, 4).ravel()) <= set(range(50, 66))
    plain = feed.in_memory(arrays, 16).chunk(3, 0, 6)
    assert sorted(plain.ravel()) == list(range(96))


def test_levels_are_counted_over_arrays_of_any_shapes():
    arrays = [np.array([[0, 2], [2, 255]], np.uint8), np.array([2, 7], np.uint8)]
    found = class_balance.level_counts(arrays)
    assert found.shape == (256,) and found.sum() == 6
    assert found[[0, 2, 7, 255]].tolist() == [1, 3, 1, 1]
    assert class_balance.level_counts([]).tolist() == [0] * 256
