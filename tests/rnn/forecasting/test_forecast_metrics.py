"""Metrics and calibrated intervals by hand, and on data whose answer is known."""

import numpy as np
import pytest
from scipy import stats

from dljax.rnn.forecasting import calibration, forecast_metrics


def test_errors_by_hand():
    truth = np.array([[[1.0, 10.0]], [[3.0, 20.0]]])
    forecast = np.array([[[2.0, 10.0]], [[3.0, 26.0]]])
    train = np.array([[0.0, 1.0], [2.0, 4.0], [2.0, 7.0]])
    scale = forecast_metrics.mase_scale(train)
    np.testing.assert_allclose(scale, [1.0, 3.0])
    np.testing.assert_allclose(forecast_metrics.mase_scale(train, 2), [2.0, 6.0])
    got = forecast_metrics.errors(forecast, truth, scale)
    assert got == pytest.approx({"mse": 37 / 4, "mae": 7 / 4, "mase": (1 + 2) / 4})
    with pytest.raises(ValueError, match="season by season"):
        forecast_metrics.mase_scale(np.tile([[1.0], [2.0]], (5, 1)), 2)
    with pytest.raises(ValueError, match="more than a season of 3 rows"):
        forecast_metrics.mase_scale(train, 3)


def test_coverage_by_hand():
    got = forecast_metrics.covered(
        np.zeros(4), np.array([1, 1, 2, 2]), np.array([0.0, 1.5, 2.0, -1.0])
    )
    assert got == {"coverage": 0.5, "width": 1.5}


def test_direction_by_hand_and_by_chance():
    change = np.array([[1.0, -2.0], [0.0, 3.0], [-1.0, 1.0]])
    guess = np.array([[2.0, 1.0], [1.0, 0.0], [-3.0, 1.0]])
    got = forecast_metrics.direction(guess, change, 1)
    assert (got.accuracy.value, got.up.value, got.changes) == (3 / 5, 3 / 5, 5)
    rng = np.random.default_rng(0)
    change = np.repeat(rng.normal(size=(500, 1)), 4, 1)  # four columns that move as one
    chance = forecast_metrics.direction(
        np.repeat(rng.normal(size=(500, 1)), 4, 1), change, 1
    ).accuracy
    assert chance.low < 0.5 < chance.high
    successes = round(chance.value * 500)
    honest = stats.binomtest(successes, 500).proportion_ci(0.95, method="wilson")
    assert chance.high - chance.low == pytest.approx(honest.high - honest.low, rel=0.15)
    with pytest.raises(ValueError, match="no value changed"):
        forecast_metrics.direction(guess, np.zeros((3, 2)), 1)


def test_the_conformal_radius_by_hand():
    residuals = np.arange(1.0, 10.0)[:, None]  # 9 of them: ceil(10 * 0.8) = the 8th
    assert calibration.conformal_radius(residuals, 0.8) == [8.0]
    assert calibration.conformal_radius(residuals, 0.95) == [9.0]  # the 10th: none, so the largest


def test_split_conformal_intervals_cover_what_they_promise():
    rng = np.random.default_rng(0)
    truth = rng.standard_t(3, (4000, 2, 3)) * [1, 2, 3]
    forecast = np.zeros_like(truth)
    for level in (0.5, 0.8):
        radius = calibration.conformal_radius(np.abs(truth[:2000]), level)
        inside = np.abs(truth[2000:]) <= radius
        assert radius.shape == (2, 3)
        np.testing.assert_allclose(inside.mean(0), level, atol=0.04)
    added = calibration.residual_quantiles(forecast[:2000], truth[:2000] + 5, (0.1, 0.5, 0.9))
    below = (truth[2000:, ..., None] + 5 <= added).mean(0)
    np.testing.assert_allclose(below, np.broadcast_to([0.1, 0.5, 0.9], (2, 3, 3)), atol=0.03)


def test_residual_quantiles_by_hand():
    residuals = np.arange(1.0, 10.0).reshape(9, 1, 1)
    added = calibration.residual_quantiles(np.zeros((9, 1, 1)), residuals, (0.1, 0.2, 0.5, 0.8))
    # with 9 windows the 8th is the 0.8 quantile, its mirror image the 0.2 one; 0.1 is the smallest
    assert added[0, 0].tolist() == [1, 2, 5, 8]


def test_conformalised_quantiles_by_hand():
    low, high = np.zeros((4, 1, 1)), np.ones((4, 1, 1))
    truth = np.array([0.5, 1.25, -0.5, 0.9]).reshape(4, 1, 1)
    np.testing.assert_allclose(
        calibration.beyond(low, high, truth).ravel(), [-0.5, 0.25, 0.5, -0.1]
    )


def test_tracking_follows_a_series_that_changes_and_split_conformal_does_not():
    rng = np.random.default_rng(0)
    earlier = np.abs(rng.normal(size=(300, 3, 1)))
    scores_now = np.abs(3 * rng.normal(size=(1500, 3, 1)))
    fixed = (scores_now <= calibration.conformal_radius(earlier, 0.8)).mean()
    radius = calibration.adaptive(earlier, scores_now, 0.8)
    assert fixed < 0.5 and (scores_now <= radius).mean() == pytest.approx(0.8, abs=0.03)


def test_tracking_looks_at_what_has_come_alone():
    rng = np.random.default_rng(0)
    earlier, now = np.abs(rng.normal(size=(50, 4, 2))), np.abs(rng.normal(size=(60, 4, 2)))
    radius = calibration.adaptive(earlier, now, 0.8)
    np.testing.assert_array_equal(radius[0], calibration.conformal_radius(earlier, 0.8))
    for step in range(4):  # window n's step h comes with row n + h - 1: known from window n + h on
        changed = now.copy()
        changed[30, step] += 100
        differs = (calibration.adaptive(earlier, changed, 0.8) != radius).any((1, 2))
        assert differs.argmax() == 30 + step + 1
