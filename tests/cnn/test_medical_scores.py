"""Scores of medical classifiers: by hand, against scikit-learn, MedMNIST's definitions."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, roc_auc_score

from dljax.cnn.medical import operating_point, review, scores
from dljax.cnn.medical.calibration import calibration_counts, fit_temperature, scaled
from dljax.cnn.medical.review import Goal
from dljax.train import ranking
from dljax.train.metrics import expected_calibration_error


def official(p, labels):
    """MedMNIST's getAUC and getACC (medmnist 3.0.2, evaluator.py), by scikit-learn."""
    if labels.ndim == 2:
        auc = np.mean([roc_auc_score(labels[:, i], p[:, i]) for i in range(p.shape[1])])
        return auc, np.mean(
            [accuracy_score(labels[:, i], p[:, i] > 0.5) for i in range(p.shape[1])]
        )
    if p.shape[1] == 2:
        return roc_auc_score(labels, p[:, -1]), accuracy_score(labels, p[:, -1] > 0.5)
    auc = np.mean([roc_auc_score(labels == i, p[:, i]) for i in range(p.shape[1])])
    return auc, accuracy_score(labels, p.argmax(-1))


def made(kind: str, count: int = 60):
    """Logits with ties and labels of one of MedMNIST's kinds."""
    rng = np.random.default_rng(3)
    classes = {"binary": 2, "several": 4, "multi": 3}[kind]
    labels = rng.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    if kind == "multi":
        labels = rng.integers(0, 2, (count, classes))
        logits = np.round(2 * labels - 1 + rng.normal(0, 1.5, labels.shape), 1)
    else:
        logits = np.round(2 * np.eye(classes)[labels] + rng.normal(size=(count, classes)), 1)
    return logits, labels


@pytest.mark.parametrize("kind", ["binary", "several", "multi"])
def test_official_definitions(kind):
    logits, labels = made(kind)
    p = scaled(logits, 1.0, kind == "multi")
    auc, accuracy = official(p, labels)
    assert 0.6 < auc < 0.99
    np.testing.assert_allclose(scores.mean_auc(p, labels), auc, atol=1e-12)
    np.testing.assert_allclose(scores.correct(p, labels).mean(), accuracy, atol=1e-12)


@pytest.mark.parametrize("kind", ["binary", "several", "multi"])
def test_auc_while_training(kind):
    """Of binned log odds, and padding does not count."""
    logits, labels = made(kind)
    mask = np.ones(len(logits))
    mask[50:] = 0
    counts, total = ranking.rank_counts(
        jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(mask), kind == "multi"
    )
    auc, _ = official(scaled(logits, 1.0, kind == "multi")[:50], labels[:50])
    assert total == 50
    np.testing.assert_allclose(ranking.auc_of_counts(np.asarray(counts, float)), auc, atol=2e-3)


def test_auc_by_hand():
    score = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, False, True, True])
    assert scores.auc(score, positive) == (1 + 0.5 + 1 + 1) / 4
    assert np.isnan(scores.auc(score, np.zeros(4, bool)))
    weights = np.array([[2, 0, 1, 3], [1, 1, 1, 1]])  # as if examples were repeated
    repeated = roc_auc_score(np.repeat(positive, weights[0]), np.repeat(score, weights[0]))
    np.testing.assert_allclose(scores.auc(score, positive, weights), [repeated, 0.875])


def test_a_class_without_examples_does_not_count():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]])
    assert scores.mean_auc(p, np.array([0, 1, 0])) == 1


def test_kappa():
    logits, labels = made("several")
    p = scaled(logits, 1.0, False)
    expected = cohen_kappa_score(labels, p.argmax(1), weights="quadratic")
    np.testing.assert_allclose(scores.kappa(p, labels), expected, atol=1e-12)


def test_wilson():
    """Newcombe 1998, table I: 81 of 263 and 0 of 20."""
    np.testing.assert_allclose(scores.wilson(81, 263), (0.2553, 0.3662), atol=5e-5)
    np.testing.assert_allclose(scores.wilson(0, 20), (0, 0.1611), atol=5e-5)
    assert scores.wilson(0, 0) == (0, 1)


def test_resamples_keep_patients_whole():
    drawn = scores.resamples(np.array(["a", "b", "a", "c"]), 500)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 2])
    np.testing.assert_array_equal(drawn[:, [0, 1, 3]].sum(1), 3)
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.15)


def test_threshold_by_hand():
    score = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    positive = np.array([False, False, True, False, True, True])
    # 0.25 finds 3 of 3 and spares 2 of 3, 0.65 the other way round: it is nearer to one half.
    assert operating_point.choose(score, positive) == pytest.approx(0.65)
    assert operating_point.choose(score[:4], positive[:4]) == 0.25  # 1 of 1 and 2 of 3
    assert operating_point.choose(score, positive, 0.6) == pytest.approx(0.65)
    assert operating_point.choose(score, positive, 1.0) == 0.25
    with pytest.raises(ValueError, match="positive and negative"):
        operating_point.choose(score, np.ones(6, bool))


def test_rates_by_hand():
    score = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    positive = np.array([False, False, True, False, True, True])
    found = operating_point.rates(score, positive, 0.6)
    assert (found["true_positives"], found["false_negatives"]) == (2, 1)
    assert (found["true_negatives"], found["false_positives"]) == (2, 1)
    assert found["sensitivity"] == found["specificity"] == pytest.approx(2 / 3)
    assert found["sensitivity_interval"] == scores.wilson(2, 3)
    weights = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 3, 0, 0, 0]])
    low, high = operating_point.rates(score, positive, 0.6, weights)["sensitivity_interval"]
    assert (low, high) == (pytest.approx(0.025), pytest.approx(0.975))  # of 1 and 0
    none = operating_point.rates(score, np.ones(6, bool), 0.6)
    assert none["specificity"] is None and none["negative_predictive_value"] == 0


@pytest.mark.parametrize("multi", [False, True])
def test_temperature(multi):
    """Of logits whose labels are drawn from a third of them, it is three."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (20000, 3))
    p = scaled(logits, 3.0, multi)
    if multi:
        labels = (rng.random(p.shape) < p).astype(int)
    else:
        labels = (rng.random((len(p), 1)) > p.cumsum(1)).sum(1)
    assert fit_temperature(logits, labels) == pytest.approx(3, rel=0.03)
    error = expected_calibration_error(calibration_counts(p, labels))
    unscaled = expected_calibration_error(calibration_counts(scaled(logits, 1, multi), labels))
    assert error < 0.015 < 0.1 < unscaled


def test_calibration_error_by_hand():
    p = np.array([[0.8, 0.2], [0.3, 0.7], [0.9, 0.1]])
    sums, count = calibration_counts(p, np.array([0, 0, 0]), bins=2)
    np.testing.assert_allclose(sums, [[0, 0], [2.4, 2]])
    assert expected_calibration_error((sums, count)) == pytest.approx(0.4 / 3)


def test_review():
    """Thresholds and temperature are of validation, scores are of the test part."""
    logits, labels = made("binary", 200)
    logits = np.stack([logits, logits * 3])
    goal = Goal(("no", "yes"), False, review.detected(("no", "yes"), False, ""), 0.9)
    rule = review.fit(goal, logits[:, :100], labels[:100])
    np.testing.assert_allclose(rule.temperatures[1], 3 * rule.temperatures[0], rtol=1e-3)
    p = review.mean_probability(goal, rule.temperatures, logits)
    expected = operating_point.choose(p[:100, 1], labels[:100] == 1, 0.9)
    assert rule.thresholds == {"yes": expected}
    held = (logits[:, :100], labels[:100])
    found = review.review(goal, rule, logits[:, 100:], labels[100:], None, held)
    auc = roc_auc_score(labels[100:], p[100:, 1])
    np.testing.assert_allclose(found.metrics["auc"], [auc, auc], atol=1e-3)  # ties by rounding
    point = found.findings["operating_points"]["yes"]
    called = p[100:, 1] >= expected
    assert point["sensitivity"] == np.mean(called[labels[100:] == 1])
    assert point["specificity"] == np.mean(~called[labels[100:] == 0])
    np.testing.assert_allclose(found.metrics["sensitivity"], point["sensitivity"])
    low, high = found.findings["auc_interval"]
    assert low < auc < high
    text = "\n".join(review.lines(found))
    assert "over images" in text and "yes, called from probability" in text


def test_intervals_over_patients_are_wider():
    logits, labels = made("binary", 60)
    logits, labels = np.repeat(logits, 5, 0), np.repeat(labels, 5)
    people = np.repeat(np.arange(60), 5).astype(str)
    goal = Goal(("no", "yes"), False, ("yes",))
    rule = review.Rule((1.0,), {"yes": 0.5})
    images, patients = (
        review.review(goal, rule, logits[None], labels, x).findings for x in (None, people)
    )
    for name in ("auc_interval", "accuracy_interval"):
        assert np.diff(patients[name]) > 1.8 * np.diff(images[name])
    wide, narrow = (
        np.diff(x["operating_points"]["yes"]["sensitivity_interval"]) for x in (patients, images)
    )
    assert wide > 1.8 * narrow
    assert patients["intervals_over"] == "60 patients"


def test_a_positive_class_must_exist():
    assert review.detected(("a", "b", "c"), False, "") == ("a", "b", "c")
    assert review.detected(("a", "b"), False, "a") == ("a",)
    with pytest.raises(ValueError, match="--positive=x is none of the classes a, b"):
        review.detected(("a", "b"), False, "x")
