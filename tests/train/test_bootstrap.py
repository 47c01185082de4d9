"""The block bootstrap: its spread on data whose answer is known."""

import numpy as np
import pytest

from dljax.train import bootstrap


def test_block_means_average_to_the_mean_and_vary_as_theory_says():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(400, 1))
    means = bootstrap.block_means(values, 1)
    assert means.shape == (2000, 1)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.1)
    repeated = np.repeat(values[:40], 10, 0)  # 40 independent numbers, not 400
    assert bootstrap.block_means(repeated, 10).std() == pytest.approx(
        repeated.std() / np.sqrt(40), rel=0.3
    )
    assert (
        bootstrap.block_means(repeated, 1).std() < 0.5 * bootstrap.block_means(repeated, 10).std()
    )
    for block in (3, 400, 1000):  # a last block that is shorter, and one that is all there is
        np.testing.assert_allclose(bootstrap.block_means(np.ones((400, 1)), block), 1)


def test_skill_says_whether_a_difference_means_something():
    rng = np.random.default_rng(0)
    reference = rng.gamma(2, size=500)
    better = bootstrap.skill(reference * 0.8, reference, 5)
    assert better == pytest.approx((0.2, 0.2, 0.2))
    holds = 0
    for _ in range(100):  # two equals: an interval of 95 % holds 0 in 95 of 100 cases
        unsure = bootstrap.skill(rng.gamma(2, size=200), rng.gamma(2, size=200), 5)
        assert unsure.low < unsure.value < unsure.high
        holds += unsure.low < 0 < unsure.high
    assert 86 <= holds <= 99
