import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data.windows import shares, windows
from dljax.nn.forecasters import Direct, Linear
from dljax.rnn.forecasting import forecaster, likelihoods
from dljax.train import driver, loop, metrics, optim
from tests.helpers import SEEDS, devices, most
from tests.rnn.series import C, H, W, cut, hourly, sines

LEVELS = (0.1, 0.5, 0.9)


def test_a_sine_is_forecast():
    """Two sines of known period: after a short training the error is small, as it must be."""
    data = windows(hourly(sines(300)), W, H, 32, shares(300), dated=False)
    model = forecaster.Forecaster(Direct(H, features=16), likelihoods.point("mse"))
    tx = optim.optimizer("adamw", optim.schedule("cosine", 1e-2, 600))
    task = forecaster.task(model, tx, forecaster.Shapes(W, H, C))
    placement = devices(1, vmap=True)
    run = driver.train(task, data.train, steps=600, seeds=SEEDS, placement=placement).run
    scores = metrics.scalars(loop.evaluate(task, run, data.test, placement))
    assert most(scores["mse"] < 1e-3), scores
    first = jax.tree.map(lambda x: x[:1], run.states)
    values, quantiles, seeds = forecaster.predictions(model, first, data.test)
    truth = data.truth("test")
    assert values.shape == truth.shape and quantiles.shape == (*truth.shape, 0)
    np.testing.assert_allclose(np.square(values - truth).mean(), scores["mse"][0], rtol=1e-4)
    np.testing.assert_array_equal(seeds, values[:, None])
    np.testing.assert_allclose(np.abs(values - truth).mean(), scores["mae"][0], rtol=1e-4)


@pytest.mark.parametrize("name", ["no_normalization", "by_last_value", "by_mean_and_deviation"])
def test_normalization_goes_there_and_back(name):
    """The network's input is normalised; a window's shift and scale pass to its forecast."""
    normalize = getattr(forecaster, name)
    batch = {k: jnp.asarray(x[:3]) for k, x in cut(3).items()}
    model = forecaster.Forecaster(Linear(H, 3), likelihoods.quantiles(LEVELS), normalize)
    variables = jax.jit(Linear(H, 3).init)(
        jax.random.key(0), batch["past"], batch["past_known"], batch["future_known"]
    )
    forecast = jax.jit(model.__call__)
    before = forecast(variables, batch)
    assert before.shape == (3, H, C, 3)
    shift, scale = normalize(batch["past"])
    normalized = (batch["past"] - shift) / scale
    if name == "by_last_value":
        np.testing.assert_array_equal(normalized[:, -1], 0)
    if name == "by_mean_and_deviation":
        np.testing.assert_allclose(normalized.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(normalized.std(1), 1, rtol=1e-4)
    moved = forecast(variables, batch | {"past": batch["past"] + 5})
    followed = np.allclose(moved, before + 5, atol=1e-4)
    assert followed == (name != "no_normalization")
    stretched = forecast(variables, batch | {"past": 10 * batch["past"]})
    assert np.allclose(stretched, 10 * before, rtol=1e-2) == (name == "by_mean_and_deviation")


def test_evaluation_counts_what_it_says():
    """All sums by hand, for a network whose output is its bias."""
    levels = np.array([-1.0, 0.5, 2.0], np.float32)
    model = forecaster.Forecaster(Linear(H, 3), likelihoods.quantiles(LEVELS))
    task = forecaster.task(model, optim.optimizer("sgd", 0.1), forecaster.Shapes(W, H, C))
    batch = {k: jnp.asarray(x) for k, x in cut(5).items()}
    none = jnp.zeros((5, W, 0)), jnp.zeros((5, H, 0))
    batch |= dict(zip(("past_known", "future_known"), none, strict=True))
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    kernel = state.params["window"]["kernel"]
    params = {"window": {"kernel": kernel, "bias": jnp.tile(levels, H)}}
    state = state.replace(params=params)
    mask = jnp.array([1.0, 1, 1, 0, 0])
    batch["future"] = batch["future"].at[3:].set(jnp.nan)  # padding is never read
    sums = jax.jit(task.evaluate)(state, batch | {"example_mask": mask}, jax.random.key(0))
    found, y = metrics.ratios(sums), np.asarray(batch["future"][:3], np.float64)
    error = 0.5 - y
    inside = (y >= -1) & (y <= 2)
    gap = y[..., None] - levels
    pinball = np.maximum(np.array(LEVELS) * gap, (np.array(LEVELS) - 1) * gap)
    wanted = {
        "mse": (error**2).mean(),
        "mae": abs(error).mean(),
        "mse_by_step": (error**2).mean((0, 2)),
        "mae_by_step": abs(error).mean((0, 2)),
        "mse_by_series": (error**2).mean((0, 1)),
        "mae_by_series": abs(error).mean((0, 1)),
        "loss": pinball.mean(),
        "quantile_loss": pinball.mean(),
        "coverage": inside.mean(),
        "coverage_by_step": inside.mean((0, 2)),
        "width": 3.0,
    }
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
    assert sums["loss"][1] == 3


def test_an_interval_without_its_quantiles_is_refused():
    model = forecaster.Forecaster(Linear(H, 3), likelihoods.quantiles(LEVELS))
    with pytest.raises(ValueError, match=r"needs the quantiles 0\.25, 0\.75"):
        forecaster.task(model, optim.optimizer("sgd", 0.1), forecaster.Shapes(W, H, C), level=0.5)
