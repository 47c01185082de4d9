"""Generated images among real ones: the batches, and what is concluded from several seeds."""

import jax
import numpy as np
import pytest

from dljax.gan.synthetic_data import mixed

REAL = {"image": np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1), "label": np.arange(40) % 2}
GENERATED = {
    seed: {"image": np.full((7, 1, 1, 1), first, np.uint8), "label": np.full(7, first)}
    for seed, first in ((3, 100), (5, 200))
}
PICKED = {3: np.array([1, 2, 8]), 5: np.arange(30)}


def batches(share: float, seed: int, step: int, k: int) -> dict[str, np.ndarray]:
    feed = mixed(REAL, GENERATED, share, 16, PICKED.get)
    items = feed.chunk(seed, step, k)
    return jax.tree.map(np.asarray, feed.batch(feed.arrays, items))


@pytest.mark.parametrize("seed, first", [(3, 100), (5, 200)])
def test_a_seed_sees_its_own_images_and_its_own_samples(seed, first):
    found = batches(0.25, seed, 0, 50)
    assert found["image"].shape == (50, 16, 1, 1, 1)
    values = found["image"].reshape(-1)
    assert set(values.tolist()) == {*PICKED[seed].tolist(), first}
    assert abs((values == first).mean() - 0.25) < 0.05
    labels = np.where(values == first, first, values % 2)
    np.testing.assert_array_equal(found["label"].reshape(-1), labels)


def test_a_batch_is_a_function_of_seed_and_step():
    whole, part = batches(0.5, 5, 0, 6), batches(0.5, 5, 4, 2)
    np.testing.assert_array_equal(whole["image"][4:], part["image"])
    assert not np.array_equal(whole["image"][4], whole["image"][5])


def test_the_ends_of_the_share():
    assert (batches(0.0, 3, 0, 4)["image"] < 100).all()
    assert (batches(1.0, 3, 0, 4)["image"] == 100).all()
    with pytest.raises(ValueError, match="share of generated images must lie in 0..1, not 1.5"):
        batches(1.5, 3, 0, 4)
