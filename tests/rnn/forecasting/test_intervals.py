"""Losses of probabilistic forecasts: by hand and against SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dljax.rnn.forecasting import intervals

Y = np.array([-3.0, -0.4, 0.7, 2.5])


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
