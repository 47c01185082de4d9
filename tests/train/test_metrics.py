import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score

from dljax.train import metrics

# Three examples, two classes; probabilities of class 0: 3/4, 1/2 (a tie: class 0), 1/5.
LOGITS = jnp.log(jnp.array([[3.0, 1.0], [1.0, 1.0], [1.0, 4.0]]))
LABELS = jnp.array([0, 1, 1])
ALL = {
    "loss": metrics.cross_entropy,
    "accuracy": metrics.accuracy,
    "top_2": lambda logits, labels, mask: metrics.top_k(logits, labels, 2, mask),
    "confusion": metrics.confusion,
    "per_class": metrics.per_class_accuracy,
    "calibration": metrics.calibration,
}
ALL = {name: jax.jit(metric) for name, metric in ALL.items()}


def value(pair):
    return metrics.ratios({"x": pair})["x"]


def random_batch(seed=0, examples=53, classes=5):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, classes)).astype(np.float32) * 2
    return logits, rng.integers(classes, size=examples).astype(np.int32)


def test_mean_of_masked_values():
    pair = metrics.mean(jnp.array([2.0, 4.0, 100.0]), jnp.array([1.0, 1.0, 0.0]))
    assert [float(x) for x in pair] == [6.0, 2.0]


def test_mean_counts_every_position_of_a_real_example():
    values = jnp.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]])
    assert [float(x) for x in metrics.mean(values, jnp.array([1, 1, 0]))] == [10.0, 4.0]


def test_cross_entropy_by_hand():
    expected = -(np.log(3 / 4) + np.log(1 / 2) + np.log(4 / 5)) / 3
    np.testing.assert_allclose(value(metrics.cross_entropy(LOGITS, LABELS)), expected, rtol=1e-6)


def test_label_smoothing_by_hand():
    # target (0.9, 0.1) for label 0 of two classes at smoothing 0.2
    expected = -(0.9 * np.log(3 / 4) + 0.1 * np.log(1 / 4))
    got = metrics.softmax_loss(LOGITS[:1], LABELS[:1], 0.2)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    one_hot = metrics.softmax_loss(LOGITS[:1], jnp.array([[1.0, 0.0]]), 0.2)[0]
    np.testing.assert_allclose(one_hot, expected, rtol=1e-6)


def test_soft_targets_by_hand():
    got = metrics.softmax_loss(LOGITS[:1], jnp.array([[0.25, 0.75]]))[0]
    np.testing.assert_allclose(got, -(0.25 * np.log(3 / 4) + 0.75 * np.log(1 / 4)), rtol=1e-6)


def test_accuracy_confusion_and_per_class_by_hand():
    assert value(metrics.accuracy(LOGITS, LABELS)) == pytest.approx(2 / 3)
    counts, total = metrics.confusion(LOGITS, LABELS)
    np.testing.assert_array_equal(counts, [[1, 0], [1, 1]])
    assert total == 3
    correct, examples = metrics.per_class_accuracy(LOGITS, LABELS)
    np.testing.assert_array_equal(correct, [1, 1])
    np.testing.assert_array_equal(examples, [1, 2])


def test_top_k_by_hand():
    logits = jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    labels = jnp.array([1, 2, 1])
    assert [float(metrics.top_k(logits, labels, k)[0]) for k in (1, 2, 3)] == [0, 2, 3]


@pytest.mark.parametrize("k", [0, 3])
def test_top_k_refuses_impossible_k(k):
    with pytest.raises(ValueError, match="between 1 and 2"):
        metrics.top_k(LOGITS, LABELS, k)


def test_calibration_by_hand():
    # Confidences 3/4 (right), 1/2 (wrong), 4/5 (right) in two bins: (0, 1/2] and (1/2, 1].
    sums, count = metrics.calibration(LOGITS, LABELS, bins=2)
    np.testing.assert_allclose(sums, [[0.5, 0.0], [1.55, 2.0]], rtol=1e-6)
    np.testing.assert_array_equal(count, [1, 2])
    # |0 - 0.5| / 3 + |2 - 1.55| / 3
    got = metrics.expected_calibration_error((sums, count))
    np.testing.assert_allclose(got, (0.5 + 0.45) / 3, rtol=1e-6)


def test_against_sklearn():
    logits, labels = random_batch()
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(
        value(metrics.cross_entropy(logits, labels)), log_loss(labels, p), rtol=1e-5
    )
    for k in (1, 2, 4):
        got = value(metrics.top_k(jnp.asarray(logits), labels, k))
        assert got == pytest.approx(top_k_accuracy_score(labels, p, k=k))
    np.testing.assert_array_equal(
        metrics.confusion(logits, labels)[0], confusion_matrix(labels, logits.argmax(-1))
    )


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("batch", [7, 16, 64])
def test_padded_batches_equal_the_whole(name, batch):
    logits, labels = random_batch()
    metric, total = ALL[name], {}
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        padding = batch - len(labels[part])
        padded = np.pad(logits[part], ((0, padding), (0, 0)), constant_values=np.nan)
        mask = np.arange(batch) < batch - padding
        sums = metric(jnp.asarray(padded), np.pad(labels[part], (0, padding)), mask)
        total = metrics.add(total, {"x": sums})
    whole = metrics.add({}, {"x": metric(jnp.asarray(logits), labels, None)})
    for got, expected in zip(total["x"], whole["x"], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_seeds_are_a_leading_axis_under_vmap_and_jit(name):
    batches = [random_batch(seed) for seed in range(3)]
    logits, labels = (jnp.stack(x) for x in zip(*batches, strict=True))
    mask = jnp.arange(labels.shape[1]) < 40
    pair = jax.jit(jax.vmap(ALL[name], in_axes=(0, 0, None)))(logits, labels, mask)
    alone = [value(ALL[name](jnp.asarray(x), y, mask)) for x, y in batches]
    np.testing.assert_allclose(value(pair), np.stack(alone), rtol=1e-5)


def test_positions_count_as_examples():
    logits, labels = random_batch(examples=24)
    mask = np.arange(6) < 4
    for metric in ALL.values():
        dense = metric(jnp.asarray(logits.reshape(6, 2, 2, 5)), labels.reshape(6, 2, 2), mask)
        flat = metric(jnp.asarray(logits[:16]), labels[:16], None)
        for got, expected in zip(dense, flat, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_add_is_exact_where_float32_is_not():
    big = {"x": (np.float32(2**24), np.float32(2**24))}
    one = {"x": (np.float32(1), np.float32(1)), "y": (np.float32(1), np.float32(2))}
    total = metrics.add(metrics.add(big, one), one)
    assert total["x"][0] == 2**24 + 2
    assert total["y"] == (2, 4)


def test_ratios_keep_seeds_and_turn_empty_into_nan():
    sums = {"a": (np.array([1.0, 0.0]), np.array([4.0, 0.0])), "b": (np.ones((2, 3)), np.ones(2))}
    got = metrics.ratios(sums)
    np.testing.assert_array_equal(got["a"], [0.25, np.nan])
    assert got["b"].shape == (2, 3)
    assert list(metrics.scalars(sums)) == ["a"]
    np.testing.assert_array_equal(metrics.scalars(sums)["a"], got["a"])


def test_describe():
    assert metrics.describe(np.array([1.0, 3.0])) == {
        "mean": 2.0,
        "std": pytest.approx(2**0.5),
        "per_seed": [1.0, 3.0],
    }
    assert metrics.describe(np.array([0.5]))["std"] == 0.0


def test_describe_leaves_dropped_seeds_out():
    got = metrics.describe(np.array([1.0, np.nan, 3.0]))
    assert (got["mean"], got["std"]) == (2.0, pytest.approx(2**0.5))
    assert len(got["per_seed"]) == 3
    assert np.isnan(metrics.describe(np.array([np.nan]))["mean"])
