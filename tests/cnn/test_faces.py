"""Losses, verification and identification of faces against hand-computed cases and scikit-learn."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_curve

from dljax.cnn.faces import baselines, calibration, identification, losses, recogniser, verification
from dljax.train import loop
from tests.cnn import faces
from tests.helpers import devices


def test_margins_by_hand():
    cosines, labels = jnp.array([[0.5, 0.2], [0.1, -0.9]]), jnp.array([0, 1])
    plain = losses.margin_logits("softmax", cosines, labels, 0.3, 10.0)
    np.testing.assert_allclose(plain, [[5, 2], [1, -9]], rtol=1e-5)
    face = losses.margin_logits("cosface", cosines, labels, 0.3, 10.0)
    np.testing.assert_allclose(face, [[2, 2], [1, -12]], rtol=1e-5)
    arc = losses.margin_logits("arcface", cosines, labels, 0.3, 10.0)
    own = 10 * math.cos(math.pi / 3 + 0.3)
    beyond = math.acos(-0.9) + 0.3
    assert beyond < math.pi
    np.testing.assert_allclose(arc, [[own, 2], [1, 10 * math.cos(beyond)]], rtol=1e-4)
    far = losses.margin_logits("arcface", jnp.array([[-0.99]]), jnp.array([0]), 0.3, 10.0)
    np.testing.assert_allclose(far, [[10 * (-0.99 - 0.3 * math.sin(0.3))]], rtol=1e-5)


def test_a_margin_makes_the_loss_larger():
    cosines, labels = jnp.array([[0.5, 0.2]]), jnp.array([0])
    without, cos, arc = (
        float(losses.margin_loss(kind, cosines, labels, 0.2, 8.0)[0])
        for kind in losses.MARGIN_LOSSES
    )
    np.testing.assert_allclose(without, math.log(1 + math.exp(8 * (0.2 - 0.5))), rtol=1e-5)
    assert cos > without and arc > without


def test_gradients_at_the_poles_are_finite():
    for kind in losses.MARGIN_LOSSES:
        grad = jax.grad(lambda c, k=kind: losses.margin_loss(k, c, jnp.array([0]), 0.3, 8.0).sum())
        assert np.isfinite(grad(jnp.array([[1.0, -1.0]]))).all()
    same = jnp.ones((4, 2)) / 2**0.5
    grad = jax.grad(lambda e: losses.batch_hard(e, jnp.array([0, 0, 1, 1]), 0.3)[0].sum())
    assert np.isfinite(grad(same)).all()


def test_batch_hard_by_hand():
    angles = np.array([0.0, 0.5, 1.2, 2.0])
    embeddings = jnp.array(np.stack([np.cos(angles), np.sin(angles)], 1))
    found, known = losses.batch_hard(embeddings, jnp.array([0, 0, 1, 2]), 0.3)

    def distance(i, j):
        return 2 * math.sin(abs(angles[i] - angles[j]) / 2)

    first = max(0, 0.3 + distance(0, 1) - distance(0, 2))
    second = max(0, 0.3 + distance(1, 0) - distance(1, 2))
    np.testing.assert_allclose(found, [first, second, 0, 0], atol=1e-5)
    np.testing.assert_array_equal(known, [1, 1, 0, 0])


def test_separation_is_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    x = identification.unit(rng.normal(size=(9, 4)))
    person = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3])
    sums = np.stack([x[person == p].sum(0) for p in range(5)])  # of the last there is none
    pairs = list(itertools.combinations(range(9), 2))
    own = np.mean([x[i] @ x[j] for i, j in pairs if person[i] == person[j]])
    other = np.mean([x[i] @ x[j] for i, j in pairs if person[i] != person[j]])
    found = recogniser.separation((sums[None], np.bincount(person, minlength=5)[None]))
    np.testing.assert_allclose(found, [own - other])


@pytest.mark.parametrize("kind", ["softmax", "cosface", "arcface", "triplet"])
def test_training_tells_people_apart(kind):
    from dljax.data import feed

    data = faces.blobs(48, seed=1)
    task = faces.task(kind)
    start = loop.start(task, (0,), devices(1))
    before = loop.evaluate(task, start, feed.examples(data, 16), devices(1))
    advance = loop.advance(task, feed.in_memory(data, 24), devices(1), 40)
    run, _, _ = advance(start, advance.prepare((0,), 0, 40), 40)
    after = loop.evaluate(task, run, feed.examples(faces.blobs(24, seed=2), 16), devices(1))
    before, after = (recogniser.summarise(x)["separation"][0] for x in (before, after))
    assert after > before + 0.3 and after > 0.6


def test_rates_agree_with_sklearn():
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, 80).round(1), rng.normal(-1, 1, 150).round(1)
    found = verification.curve(genuine, impostor)
    y = np.repeat([1, 0], [80, 150])
    far, tar, thresholds = roc_curve(y, np.r_[genuine, impostor], drop_intermediate=False)
    np.testing.assert_allclose(found.far, far)
    np.testing.assert_allclose(1 - found.frr, tar)
    np.testing.assert_allclose(found.threshold, thresholds)
    eer = verification.equal_error_rate(found)
    i = np.argmax(far >= 1 - tar)
    assert min(far[i - 1], 1 - tar[i]) <= eer <= max(far[i], 1 - tar[i - 1])


def test_rates_by_hand():
    genuine, impostor = np.array([0.9, 0.8, 0.4]), np.array([0.7, 0.5, 0.3, 0.1, 0.0])
    found = verification.curve(genuine, impostor)
    assert verification.tar_at(found, 0.0) == pytest.approx(2 / 3)
    assert verification.tar_at(found, 0.39) == pytest.approx(2 / 3)
    assert verification.tar_at(found, 0.4) == pytest.approx(1)
    # from (FAR .2, FRR 1/3) over (.4, 1/3): they cross at a third on the level part
    assert verification.equal_error_rate(found) == pytest.approx(1 / 3)
    threshold = verification.threshold_at(found, 0.2)
    assert threshold == pytest.approx(0.6)
    assert verification.rates(genuine, impostor, threshold) == (pytest.approx(0.2), 2 / 3)
    perfect = verification.curve(np.array([0.9, 0.8]), np.array([0.1]))
    assert verification.equal_error_rate(perfect) == 0


def test_bootstrap_resamples_people():
    """Weights of pairs are as if the people's images had been drawn and paired."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(6), 4)
    x = identification.unit(rng.normal(size=(24, 3)) + 2 * rng.normal(size=(6, 3))[person])
    pairs = verification.all_pairs(x, person)
    assert len(pairs.genuine) == 36 and len(pairs.impostor) == 24 * 20 // 2
    statistics = {"eer": verification.equal_error_rate}
    found = verification.bootstrap(pairs, statistics, resamples=100)["eer"]
    assert found.low < found.value < found.high
    drawn = np.random.default_rng(0).integers(0, 6, 6)
    genuine = np.concatenate([pairs.genuine[pairs.genuine_people == p] for p in drawn])
    impostor = [
        pairs.impostor[(pairs.impostor_people == (min(p, q), max(p, q))).all(1)]
        for p, q in itertools.combinations(drawn, 2)
    ]
    by_hand = verification.equal_error_rate(verification.curve(genuine, np.concatenate(impostor)))
    once = verification.bootstrap(pairs, statistics, resamples=1)["eer"]
    assert once.low == pytest.approx(by_hand)


def test_pairs_need_two_people():
    with pytest.raises(ValueError, match="two people"):
        verification.all_pairs(np.eye(3), np.zeros(3, int))


def test_ranks_and_cmc_by_hand():
    scores = np.array([[0.9, 0.1, 0.3], [0.2, 0.5, 0.5], [0.3, 0.2, 0.1]])
    rank = identification.ranks(scores, np.array([0, 1, 2]))
    np.testing.assert_array_equal(rank, [1, 2, 3])
    np.testing.assert_allclose(identification.cumulative_match(rank, 3), [1 / 3, 2 / 3, 1])


def test_identification_with_rejection_by_hand():
    found = identification.Trial(
        known=np.array([0.9, 0.8, 0.3]),
        right=np.array([True, False, True]),
        strangers=np.array([0.7, 0.4, 0.2, 0.1, 0.0]),
    )
    threshold = identification.threshold_at(found.strangers, 0.2)
    assert threshold == 0.4
    rates = identification.detection_and_identification(found, threshold)
    assert rates == (pytest.approx(1 / 3), pytest.approx(0.2))


def test_a_trial_keeps_probes_out_of_the_gallery():
    person = np.repeat(np.arange(4), 3)
    x = np.eye(12)  # each image is unlike all others: only one of the gallery would score
    found = identification.trial(x, person, enrolled=2, seed=0)
    assert len(found.known) == 2 and len(found.strangers) == 6
    assert not found.known.any() and not found.strangers.any()


def test_scores_with_templates_of_others():
    person = np.repeat([4, 7], 3)
    x = np.array([[1.0, 0], [1, 0], [1, 0], [0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    found = identification.template_scores(x, person, enrolled=2, repeats=3)
    np.testing.assert_allclose(found, np.full(18, 0.6))


def test_templates_are_of_length_one():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    means, people = identification.templates(x, np.array([5, 5, 7]))
    np.testing.assert_allclose(means, [[0.5**0.5, 0.5**0.5], [0.6, 0.8]])
    np.testing.assert_array_equal(people, [5, 7])


def test_calibration():
    """Cosines of two normal distributions have logistic probabilities: slope d / s^2."""
    rng = np.random.default_rng(0)
    found = calibration.fit(rng.normal(0.7, 0.2, 4000), rng.normal(0.1, 0.2, 20_000))
    assert found.slope == pytest.approx(0.6 / 0.2**2, rel=0.1)
    assert found(0.4) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="no higher"):
        calibration.fit(rng.normal(0, 1, 50), rng.normal(1, 1, 50))


def test_baselines():
    train, test = faces.blobs(30), faces.blobs(12, seed=5)
    for name, vectors in baselines.embeddings(train["image"], train["label"]).items():
        x = vectors(test["image"])
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, err_msg=name)
        pairs = verification.all_pairs(x, test["label"])
        assert pairs.genuine.mean() > pairs.impostor.mean() + 0.3, name
    found = baselines.closed_set(*train.values(), *test.values())
    assert found == dict.fromkeys(("pixels", "eigenfaces", "svm", "lda"), 1.0)
