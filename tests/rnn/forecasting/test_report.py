"""The analysis of a run: intervals, comparison, direction, backtest."""

import numpy as np
import pytest

from dljax.data.windows import shares, windows
from dljax.nn.forecasters import Linear
from dljax.rnn.forecasting import assessment, backtest, comparison, forecaster, likelihoods, report
from dljax.train import optim
from tests.helpers import devices
from tests.rnn.series import C, H, W, hourly, sines

LEVELS, LEVEL = (0.1, 0.5, 0.9), 0.8
NOISE = np.random.default_rng(7)


@pytest.fixture(scope="module")
def inputs():
    series = hourly(sines(600, noise=0.3))
    data = windows(series, W, H, 16, shares(600))
    return report.ReportInputs(series, data, LEVELS, LEVEL, "conformal", "mae")


@pytest.fixture(scope="module")
def reference(inputs):
    return assessment.of_baselines(inputs.data, report.baseline_fits(inputs), LEVELS)


def forecasts(data, error, width=1.0):
    """Forecasts with errors of N(0, error) and an interval of +- width."""
    parts = {}
    for part in ("validation", "test"):
        truth = data.truth(part)
        values = truth + error * NOISE.normal(size=truth.shape).astype(np.float32)
        quantiles = values[..., None] + width * np.array([-1, 0, 1], np.float32)
        parts[part] = values, quantiles
    values, quantiles = zip(*parts.values(), strict=True)
    return assessment.with_quantiles(*values, quantiles)


def test_baselines_are_measured_and_have_calibrated_quantiles(inputs, reference):
    table = report.table(inputs, reference)
    assert {"last value", "drift", "seasonal naive", "least squares", "ridge"} <= table.keys()
    ridge = table["ridge"]
    assert ridge["mse"] < table["last value"]["mse"]
    assert abs(ridge["coverage"] - LEVEL) < 0.05
    error = reference["ridge"].test.values - inputs.data.truth("test")
    np.testing.assert_allclose(ridge["mae"], np.abs(error).mean(), rtol=1e-5)
    season = np.abs(np.diff(inputs.data.values[:420:1], axis=0, n=1)).mean()
    assert ridge["mase"] > 0 and season > 0


@pytest.mark.parametrize("width", [0.1, 3.0])
def test_intervals_that_are_wrong_become_right(inputs, width):
    found = assessment.intervals(forecasts(inputs.data, 0.5, width), inputs.data, LEVELS, LEVEL)
    truth = inputs.data.truth("test")
    share = {n: ((i.low <= truth) & (truth <= i.high)).mean() for n, i in found.items()}
    assert abs(share["none"] - LEVEL) > 0.15
    assert abs(share["conformal"] - LEVEL) < 0.06 and abs(share["adaptive"] - LEVEL) < 0.06
    assert found["conformal"].radius.shape == (H, C)
    assert (np.sign(found["conformal"].radius) == (1 if width < 0.5 else -1)).all()


def test_a_better_an_equal_and_a_worse_network(inputs, reference):
    for error, words in {0.01: "% lower", 3.0: "the baseline is better"}.items():
        _, lines, *_ = report.analyze(inputs, forecasts(inputs.data, error), reference)
        assert words in lines[-2] and "interval" in lines[-1], lines
        assert ("the baseline is better" in " ".join(lines)) == (error == 3.0)
    same = reference["ridge"]
    findings, lines, metadata, *_ = report.analyze(inputs, same, reference)
    assert any("not a significant difference" in line for line in lines)
    skill = findings["skill"]
    assert skill["ridge"]["mae"]["value"] == pytest.approx(0, abs=1e-9)
    assert skill["last value"]["mae"]["low"] > 0
    assert set(findings["mae_in_own_unit"]) == {"a", "b"}
    assert metadata["offsets"] is not None and np.shape(metadata["radius"]) == (H, C)


def test_the_verdict_is_given_by_mae_and_by_mse(inputs, reference):
    """A forecast that is mostly exact and seldom far off: better by mae, worse by mse."""
    found = forecasts(inputs.data, 0.0)
    spikes = {p: getattr(found, p).values.copy() for p in ("validation", "test")}
    for values in spikes.values():
        values[::10] += 2.2
    parts = {p: getattr(found, p)._replace(values=x) for p, x in spikes.items()}
    _, lines, *_ = report.analyze(inputs, found._replace(**parts), reference)
    text = "\n".join(lines)
    best = [line for line in lines if line.startswith("Best baseline by ")]
    assert [line.split()[3] for line in best] == ["mae:", "mse:"]
    assert "% lower" in best[0] and "the baseline is better" in best[1]
    assert "by mae the network is better than every baseline, by mse it is not" in text
    squared = inputs._replace(measure="mse")
    _, lines, *_ = report.analyze(squared, forecasts(inputs.data, 0.01), reference)
    assert " by mse: " in lines[2]
    assert not any("depends on the measure" in line for line in lines)


def test_what_is_compared_has_a_name_and_a_unit(inputs, reference):
    """Of one network and of the mean over seeds; the mase of each seed by hand."""
    data = inputs.data
    one = forecasts(data, 0.5)
    _, lines, _, _, metrics = report.analyze(inputs, one, reference)
    assert "standard deviations of the training part" in lines[0] and metrics == {}
    own = assessment.measures(one, data, inputs.series.season, LEVELS, LEVEL)
    assert lines[1].startswith(f"Network on the test part: mae {own['mae']:.4g}, mse ")
    assert f"mase {own['mase']:.4g}; mae in its own unit: a " in lines[1]
    truth = data.truth("test")
    error = one.test.values - truth
    two = one._replace(seeds=np.stack([truth + error, truth - 3 * error], 1))
    _, lines, _, _, metrics = report.analyze(inputs, two, reference)
    assert lines[1].startswith("Mean forecast of 2 seeds on") and "each scored alone" in lines[1]
    assert f"mean forecast of 2 seeds {own['mae']:.4g}: the network's" in lines[2]
    np.testing.assert_allclose(metrics["mase"], [own["mase"], 3 * own["mase"]], rtol=1e-5)


def test_baselines_know_what_the_network_knows(inputs):
    """A covariate that explains all: both baselines that see it are exact, the others are not."""
    spikes = (NOISE.random(600) < 0.2).astype(float)[:, None]
    values = inputs.series.values + 5 * spikes
    series = inputs.series._replace(
        values=values, covariates=spikes, covariate_names=("promo",), known=1
    )
    data = windows(series, W, H, 16, shares(600))
    known = report.ReportInputs(series, data, LEVELS, LEVEL, "conformal", "mae")
    found = report.table(known, assessment.of_baselines(data, report.baseline_fits(known), LEVELS))
    assert found["ridge with known"]["mae"] < found["known covariates"]["mae"]
    assert found["known covariates"]["mae"] < 0.6 * found["ridge"]["mae"]
    assert "ridge with known" not in report.baseline_fits(inputs)


def test_an_interval_that_is_off_is_explained(inputs, reference):
    kind = inputs._replace(calibrate="none")
    _, lines, *_ = report.analyze(kind, forecasts(inputs.data, 0.5, 0.1), reference)
    assert "more than 3% off; errors on the test part are" in lines[-1]


def test_direction_of_a_good_and_of_a_random_forecast(inputs):
    data = inputs.data
    good = comparison.direction(forecasts(data, 0.01), data)
    assert "better than always" in good.lines[0]
    assert good.findings["direction"]["accuracy"]["value"] > 0.95
    random = forecasts(data, 0.01)
    last = data.values[data.origins["test"] - 1][:, None]
    coin = NOISE.choice([-1.0, 1.0], size=random.test.values.shape)
    random = random._replace(test=random.test._replace(values=last + coin))
    assert "not significantly better than chance" in comparison.direction(random, data).lines[0]


def test_the_walk_covers_the_test_part_once(inputs, reference):
    data = inputs.data
    walk = backtest.without_refits(data, reference)
    first, end = data.split.test
    assert walk.origins.tolist() == list(range(first, end - H + 1, H))
    again = backtest.with_refits(data, {"last value": report.naive_fits(inputs)["last value"]}, 3)
    np.testing.assert_array_equal(again.predictions["last value"], walk.predictions["last value"])
    assert len(again.fits) == 3 and again.fits[0] == first
    table = backtest.errors(walk, data)
    assert table["windows"] == len(walk.origins) and "ridge" in table["errors"]


def test_a_refitted_network_knows_the_past_alone(inputs):
    """Rows after the fit may change: neither its forecasts before nor its parameters do."""
    model = forecaster.Forecaster(Linear(H), likelihoods.point("mse"), forecaster.by_last_value)
    task = forecaster.task(model, optim.optimizer("adamw", 1e-2), forecaster.Shapes(W, H, C, 6, 6))

    def forecasts(series):
        def make(series, split):
            return windows(series, W, H, 16, split)

        fit = backtest.network(
            model, task, make, series, inputs.data.scaler, steps=5, seeds=(0, 1),
            placement=devices(1),
        )  # fmt: skip
        return fit(inputs.data.values[:500], 0)(inputs.data.values, np.array([500, 520]))

    before = forecasts(inputs.series)
    values = inputs.series.values.copy()
    values[520:] += 100
    after = forecasts(inputs.series._replace(values=values))
    np.testing.assert_array_equal(before, after)
    assert before.shape == (2, H, C) and np.abs(before).max() < 10
