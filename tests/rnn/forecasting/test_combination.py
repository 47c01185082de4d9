"""The combination of a network with simple forecasts: its weights, what they may see, its use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data.windows import shares, windows
from dljax.nn.forecasters import Linear
from dljax.rnn.forecasting import assessment, baselines, combination, forecaster, likelihoods
from tests.rnn.series import C, H, W, cut, hourly, sines

LEVELS = (0.1, 0.5, 0.9)
N = 240


@pytest.mark.parametrize("rank", [6, 2])  # of 2 there are many minima
def test_convex_weights_are_a_minimum(rank):
    """By the conditions of Karush, Kuhn and Tucker, and beside a grid over all weights."""
    rng = np.random.default_rng(rank)
    steps = np.stack(np.meshgrid(*[np.arange(11)] * 4), -1).reshape(-1, 4)
    grid = steps[steps.sum(-1) == 10] / 10
    used = set()
    for _ in range(20):
        errors = rng.normal(size=(rank, 4)) @ np.diag(rng.uniform(0.5, 2, 4)) + rng.normal(size=1)
        gram = errors.T @ errors
        w = combination.convex_weights(gram)
        assert (w >= 0).all() and w.sum() == pytest.approx(1)
        slope = gram @ w
        tolerance = 1e-6 * np.trace(gram)
        assert (slope >= w @ slope - tolerance).all()
        assert w @ slope <= np.einsum("gi,ij,gj->g", grid, gram, grid).min() + tolerance
        used.add((w > 0).sum())
    assert len(used) > 1  # the bounds matter
    np.testing.assert_array_equal(combination.convex_weights(np.zeros((4, 4))), [1, 0, 0, 0])


def errors(*deviations, seed=0):
    """Truth, and forecasts with independent errors of those deviations, by name."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(N, H, C))
    names = (*combination.SIMPLE, combination.NETWORK)
    pairs = zip(names, deviations, strict=True)
    return truth, {n: truth + s * rng.normal(size=truth.shape) for n, s in pairs}


def test_a_network_gets_the_weight_that_it_earns():
    useless = combination.choose([errors(1, 4, 2, 8)])
    assert useless.reference == "last value" and useless.weights[combination.NETWORK] == 0
    exact = combination.choose([errors(4, 4, 2, 0.01)])
    assert exact.share == 1 and exact.weights[combination.NETWORK] == 1
    equal = combination.choose([errors(9, 9, 1, 1)])
    assert equal.reference == "ridge" and equal.share == 1
    assert equal.weights["ridge"] == pytest.approx(0.5, abs=0.03)
    assert sum(equal.weights.values()) == pytest.approx(1)
    # The weights are those of least squares, and the losses those of held-out windows.
    truth, forecasts = errors(9, 9, 1, 1)
    found = np.square(equal(forecasts) - truth).mean()
    assert found == pytest.approx(0.5, rel=0.05) and equal.losses[1.0] < 0.7 < equal.losses[0.0]


def test_what_is_within_one_standard_error_is_the_simpler():
    """Ridge and network are better than the last value: on most blocks of windows, or on all."""
    sign = np.resize(np.repeat([-1, 1] * 14 + [-1, -1], H), N)
    for wins, reference in ((sign, "last value"), (-np.ones(N), "ridge")):
        near = np.broadcast_to((1 + 0.1 * wins)[:, None, None], (N, H, C))
        assert np.square(near).mean() < 1 and np.abs(near).mean() < 1
        one = np.ones((N, H, C))
        forecasts = {"last value": one, "mean": 4 * one, "ridge": near, "network": near}
        found = combination.choose([(0 * one, forecasts)])
        assert found.weights == dict.fromkeys(forecasts, 0) | {reference: 1}
        assert found.share == 0 and "does not show that the network improves" in found.line()


def test_folds_share_no_row_and_few_windows_are_not_weighed():
    indices = np.arange(N)[:, None] * np.ones((1, H))
    for k in range(combination.FOLDS):
        rest, fold = combination._fold(indices, k)
        distance = np.abs(rest[:, 0, None] - fold[None, :, 0])
        assert distance.min() == H and len(rest) + len(fold) + 2 * H > N - 2
    truth, forecasts = errors(1, 1, 1, 1)
    few = H + 1
    assert combination.choose([(truth[:few], {n: x[:few] for n, x in forecasts.items()})]) is None


@pytest.fixture(scope="module")
def data():
    return windows(hourly(sines(600, noise=0.3)), W, H, 16, shares(600))


def network(data):
    """Forecasts of two seeds with quantiles."""
    rng, parts = np.random.default_rng(3), []
    for part in ("validation", "test"):
        truth = data.truth(part)
        parts.append(truth + 0.3 * rng.normal(size=truth.shape).astype(np.float32))
    levels = [x[..., None] + np.array([-1, 0, 1], np.float32) for x in parts]
    seeds = np.stack([parts[1] - 0.1, parts[1] + 0.1], 1)
    return assessment.with_quantiles(*parts, levels)._replace(seeds=seeds)


def test_no_test_row_changes_the_weights(data):
    own = network(data)
    found, blend, combined = combination.of_network(own, data, LEVELS)
    assert 0 < found.weights["network"] < 1 and found.weights["ridge"] > 0
    end = data.split.validation[1]
    changed = data.values.copy()
    changed[end:] = 100 * np.random.default_rng(0).normal(size=changed[end:].shape)
    test = own.test._replace(values=own.test.values + 50)
    again, same, _ = combination.of_network(
        own._replace(test=test), data._replace(values=changed), LEVELS
    )
    assert again == found
    for a, b in zip(blend, same, strict=True):
        np.testing.assert_array_equal(a, b)
    # Of those weights are the forecasts, their quantiles and the seeds.
    values = combined.test.values
    np.testing.assert_allclose(combined.test.quantile(2) - values, found.spread, rtol=1e-4)
    best = 1.2816 * np.std(combined.validation.values - data.truth("validation"))  # of a normal
    assert found.spread == pytest.approx(best, rel=0.15)
    np.testing.assert_allclose(combined.seeds.mean(1), values, atol=1e-6)
    mse = {n: np.square(f.test.values - data.truth("test")).mean()
           for n, f in {"network": own, "combined": combined}.items()}  # fmt: skip
    assert mse["combined"] < mse["network"]


def test_several_series_have_the_same_weights_and_one_ridge(data):
    from dljax.data.panel import join

    other = windows(hourly(sines(400, noise=0.5, seed=1)), W, H, 16, shares(400))
    both = join([data, other], ["a", "b"], 16)
    each = [network(part) for part in (data, other)]
    joined = assessment.joined(each)
    seeds = np.concatenate([one.seeds for one in each])
    found, blend, combined = combination.of_network(joined._replace(seeds=seeds), both, LEVELS)
    assert [len(part.test.values) for part in combined.parts] == [
        len(part.origins["test"]) for part in (data, other)
    ]
    np.testing.assert_allclose(combined.seeds.mean(1), combined.test.values, atol=1e-6)
    past = np.stack([other.values[o - W : o] for o in other.origins["test"]])
    by_blend = blend(combined.parts[1].test.values * 0 + each[1].test.values, past)
    np.testing.assert_allclose(by_blend, combined.parts[1].test.values, atol=1e-4)
    assert found.share > 0


MAKERS = {
    "mse": lambda: likelihoods.point("mse"),
    "quantiles": lambda: likelihoods.quantiles(LEVELS),
    "student": lambda: likelihoods.student(LEVELS),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_forecaster_with_a_blend_forecasts_the_combination(name, data):
    """By a map of the window in place of the forecasts; the quantiles keep their distance."""
    ridge = combination.fitted_ridge(data)
    weights = {"last value": 0.2, "mean": 0.1, "ridge": 0.3, "network": 0.4}
    found = combination.Combination(weights, "ridge", 1.0, {}, spread=2.0)
    packed = combination.to_json(combination.blend(found, ridge))
    likelihood = MAKERS[name]()
    model = forecaster.Forecaster(Linear(H, likelihood.outputs), likelihood)
    combined = model._replace(blend=combination.from_json(packed))
    batch = {k: jnp.asarray(x) for k, x in cut(3).items()}
    inputs = (batch["past"], batch["past_known"], batch["future_known"])
    variables = jax.jit(model.model.init)(jax.random.key(0), *inputs)
    one, two = (jax.jit(m.__call__)(variables, batch) for m in (model, combined))
    past = np.asarray(batch["past"])
    by_ridge = np.concatenate([ridge(window, np.array([W])) for window in past])
    expected = 0.2 * past[:, -1:] + 0.3 * by_ridge + 0.4 * likelihood.value(one)
    np.testing.assert_allclose(likelihood.value(two), expected, atol=1e-5)
    before, after = (likelihood.quantiles(x) - likelihood.value(x)[..., None] for x in (one, two))
    np.testing.assert_allclose(after, 2 * before, atol=1e-4)


def test_ridge_as_a_map_forecasts_as_ridge(data):
    first, end = data.split.validation
    fit = baselines.ridge(W, H)(data.values[:end], end - first)
    ridge = combination.fitted_ridge(data)
    origins = data.origins["test"]
    np.testing.assert_array_equal(fit(data.values, origins), ridge(data.values, origins))
