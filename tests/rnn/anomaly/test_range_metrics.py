"""Scores of detection by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dljax.data.anomaly_series import mask, runs
from dljax.rnn.anomaly import range_metrics


def test_runs_and_mask_are_inverse():
    windows = ((0, 2), (4, 4), (7, 9))
    assert runs(mask(windows, 10)) == windows and runs(np.zeros(4, bool)) == ()


def test_point_scores():
    truth, found = mask([(2, 5)], 10), mask([(4, 8)], 10)
    scores = range_metrics.point_scores(truth, found)
    assert scores == {"precision": 2 / 5, "recall": 2 / 4, "f1": pytest.approx(4 / 9)}
    assert range_metrics.point_scores(truth, np.zeros(10, bool)) == dict.fromkeys(scores, 0)


def test_range_scores_by_hand():
    truth = mask([(2, 5), (8, 9)], 12)
    found = mask([(3, 3), (5, 6)], 12)
    flat = range_metrics.range_scores(truth, found, existence=0.5, bias=range_metrics.flat)
    # First range: touched, 2 of 4 rows in 2 pieces; second one: not at all.
    assert flat["recall"] == pytest.approx((0.5 + 0.5 * (2 / 4) / 2) / 2)
    assert flat["precision"] == pytest.approx((1 + 1 / 2) / 2)
    front = range_metrics.range_scores(truth, found, existence=0.0)
    weights = np.array([1, 0.75, 0.5, 0.25])
    assert front["recall"] == pytest.approx((0.75 + 0.25) / weights.sum() / 2 / 2)


def test_average_precision_equals_scikit_learns():
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.1
    scores = np.round(truth + rng.normal(size=500), 1)  # with ties
    expected = average_precision_score(truth, scores)
    assert range_metrics.average_precision(truth, scores) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(range_metrics.average_precision(np.zeros(5, bool), np.arange(5.0)))


def test_soft_labels():
    one, two = np.sqrt([1 - 1 / 4, 1 - 2 / 4])
    np.testing.assert_allclose(
        range_metrics.soft_labels(mask([(3, 4)], 8), 4), [0, two, one, 1, 1, one, two, 0]
    )
    both = range_metrics.soft_labels(mask([(1, 1), (4, 4), (6, 6)], 7), 5)
    slope, foot = np.sqrt([1 - 1 / 5, 1 - 2 / 5])
    np.testing.assert_allclose(both, [slope, 1, 1, 1, 1, 1, 1])  # slope + foot: more than 1
    assert slope + foot > 1


@pytest.mark.parametrize(
    "windows, widest, decimals, published",
    [
        ([(20, 30), (34, 50), (300, 303)], 16, 6, 0.35284873830637187),
        ([(0, 5), (60, 60), (390, 399)], 31, 1, 0.24439005786064427),  # with ties
        ([(100, 149)], 0, 6, 0.24381794973357582),
    ],
)
def test_vus_pr_equals_the_published_one(windows, widest, decimals, published):
    """As `generate_curve` of the package vus 0.0.6 (which requires TensorFlow) computes it."""
    row = np.arange(400)
    truth = mask(windows, 400)
    scores = np.round(np.cos(row * row / 7) + truth * np.sin(row / 3), decimals)
    assert range_metrics.vus_pr(truth, scores, widest) == pytest.approx(published, abs=1e-12)
    assert np.isnan(range_metrics.vus_pr(np.zeros(400), scores, widest))
