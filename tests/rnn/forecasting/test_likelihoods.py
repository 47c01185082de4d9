import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dljax.rnn.forecasting import likelihoods

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.975)
RAW = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
SHIFT, SCALE = jnp.full(6, 3.0), jnp.full(6, 2.0)
Y = jnp.linspace(-1, 6, 6)


def test_point_losses():
    forecast = jnp.array([[1.0], [1.0]])
    y = jnp.array([1.5, 4.0])
    for loss, wanted in {"mse": [0.25, 9], "mae": [0.5, 3], "huber": [0.125, 2.5]}.items():
        likelihood = likelihoods.point(loss)
        np.testing.assert_allclose(likelihood.loss(forecast, y), wanted)
        assert likelihood.quantiles(forecast).shape == (2, 0)
    np.testing.assert_allclose(likelihood.place(RAW[:, :1], SHIFT, SCALE), 3 + 2 * RAW[:, :1])
    with pytest.raises(ValueError, match="unknown point loss 'l3'"):
        likelihoods.point("l3")


def test_quantiles_do_not_cross():
    likelihood = likelihoods.quantiles(LEVELS)
    forecast = likelihood.place(RAW, SHIFT, SCALE)
    np.testing.assert_allclose(forecast, np.sort(3 + 2 * np.asarray(RAW), -1), rtol=1e-6)
    assert (jnp.diff(likelihood.quantiles(forecast)) >= 0).all()
    np.testing.assert_array_equal(likelihood.value(forecast), forecast[:, 2])
    # the levels of errors 1 and -2: 0.05 1, ..., and 0.95 2, ...
    loss = likelihood.loss(jnp.zeros((2, 5)), jnp.array([1.0, -2.0]))
    np.testing.assert_allclose(loss, [np.mean(LEVELS), 2 * (1 - np.mean(LEVELS))], rtol=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "student"])
def test_distributions_against_scipy(name):
    likelihood = getattr(likelihoods, name)(LEVELS)
    forecast = likelihood.place(RAW[:, : likelihood.outputs], SHIFT, SCALE)
    location, scale, *nu = (np.asarray(x, np.float64) for x in forecast.T)
    assert (scale > 0).all() and all((x > 2).all() for x in nu)
    them = stats.t(*nu, location, scale) if nu else stats.norm(location, scale)
    np.testing.assert_allclose(likelihood.loss(forecast, Y), -them.logpdf(Y), rtol=1e-4, atol=1e-5)
    wanted = np.stack([them.ppf(level) for level in LEVELS], -1)
    np.testing.assert_allclose(likelihood.quantiles(forecast), wanted, rtol=1e-3)
    np.testing.assert_array_equal(likelihood.value(forecast), forecast[:, 0])


@pytest.mark.parametrize("nu", [2.01, 2.5, 4, 30, 1e6])
def test_students_quantiles_for_all_tails(nu):
    likelihood = likelihoods.student(LEVELS)
    found = likelihood.quantiles(jnp.array([0.0, 1.0, nu]))
    np.testing.assert_allclose(found, stats.t.ppf(LEVELS, nu), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("make", [likelihoods.quantiles, likelihoods.gaussian, likelihoods.student])
def test_levels_have_to_rise(make):
    for levels in ((), (0.5, 0.5), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0)):
        with pytest.raises(ValueError, match="quantiles must increase between 0 and 1"):
            make(levels)


def test_the_ends_of_an_interval():
    assert likelihoods.interval_ends(LEVELS, 0.8) == (1, 3)
    with pytest.raises(ValueError, match=r"an interval of 0\.9 needs the quantiles 0\.05, 0\.95"):
        likelihoods.interval_ends(LEVELS, 0.9)


def test_a_likelihood_finds_the_distribution_of_noise():
    """Fitted to draws of N(2, 3) by descent, mean and deviation come out."""
    likelihood = likelihoods.gaussian((0.1, 0.9))
    y = 2 + 3 * jax.random.normal(jax.random.key(0), (4000,))

    def loss(raw):
        forecast = likelihood.place(raw[None], jnp.zeros(1), jnp.ones(1))
        return likelihood.loss(forecast, y).mean()

    def descend(_, raw):
        return raw - 0.5 * jax.grad(loss)(raw)

    raw = jax.lax.fori_loop(0, 300, descend, jnp.zeros(2))
    mean, std = likelihood.place(raw, jnp.float32(0), jnp.float32(1))
    assert abs(mean - 2) < 0.15 and abs(std - 3) < 0.15
