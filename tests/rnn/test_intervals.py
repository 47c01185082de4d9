"""Losses and scores of uncertain forecasts: by hand, against SciPy, and by integration."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from dljax.rnn.forecasting import intervals

Y = np.array([-3.0, -0.4, 0.7, 2.5])


def crps(distribution, y):
    """The integral of (F(x) - 1[x >= y])^2, which is what the CRPS is."""
    below = integrate.quad(lambda x: distribution.cdf(x) ** 2, -np.inf, y)[0]
    return below + integrate.quad(lambda x: distribution.sf(x) ** 2, y, np.inf)[0]


def test_pinball_by_hand():
    loss = intervals.pinball(jnp.array([[1.0, 2.0, 5.0]]), jnp.array([3.0]), (0.1, 0.5, 0.9))
    np.testing.assert_allclose(loss[0], [0.1 * 2, 0.5 * 1, 0.1 * 2], rtol=1e-6)


def test_the_quantile_is_what_minimises_the_pinball_loss():
    y = jnp.asarray(np.random.default_rng(0).gamma(2, size=999).astype(np.float32))
    tried = jnp.linspace(0, 6, 601)
    for level in (0.1, 0.5, 0.9):
        loss = intervals.pinball(tried[:, None, None], y, (level,)).mean((1, 2))
        assert tried[loss.argmin()] == pytest.approx(np.quantile(y, level), abs=0.02)


def test_likelihoods_are_those_of_scipy():
    mean, scale, df = np.array([0.3]), np.array([1.7]), np.array([3.5])
    expected = -stats.norm(mean, scale).logpdf(Y)
    np.testing.assert_allclose(intervals.gaussian_nll(mean, scale, Y), expected, rtol=1e-5)
    expected = -stats.t(df, mean, scale).logpdf(Y)
    np.testing.assert_allclose(intervals.student_nll(mean, scale, df, Y), expected, rtol=1e-5)


@pytest.mark.parametrize("df", [1.5, 4.0, 60.0])
def test_the_crps_of_distributions_is_its_integral(df):
    mean, scale = 0.3, 1.7
    expected = [crps(stats.norm(mean, scale), y) for y in Y]
    np.testing.assert_allclose(intervals.gaussian_crps(mean, scale, Y), expected, rtol=1e-4)
    expected = [crps(stats.t(df, mean, scale), y) for y in Y]
    np.testing.assert_allclose(
        intervals.student_crps(mean, scale, df, jnp.asarray(Y)), expected, rtol=1e-4
    )


def test_quantiles_of_evenly_spaced_levels_give_the_crps():
    levels = (np.arange(200) + 0.5) / 200
    quantiles = jnp.asarray(stats.norm(0.3, 1.7).ppf(levels), jnp.float32)
    approximate = intervals.quantile_crps(quantiles, jnp.asarray(Y), levels)
    np.testing.assert_allclose(approximate, intervals.gaussian_crps(0.3, 1.7, Y), rtol=0.01)


def test_the_interval_score_by_hand():
    score = intervals.interval_score(jnp.zeros(3), jnp.ones(3), jnp.array([0.5, 1.25, -0.5]), 0.8)
    np.testing.assert_allclose(score, [1, 1 + 10 * 0.25, 1 + 10 * 0.5], rtol=1e-6)
