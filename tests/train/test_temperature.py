"""Temperatures: fitted as by an optimiser on the logits, scored as by counting on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

from dljax.cnn.medical.calibration import calibration_counts, scaled
from dljax.train import metrics, temperature
from dljax.train.temperature import TEMPERATURES


def examples(sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, 4] that are `sharpness` times too large for their labels [N]."""
    draw = np.random.RandomState(seed)
    logits = 2 * draw.randn(400, 4)
    labels = (logits + draw.gumbel(size=logits.shape)).argmax(-1)
    return (sharpness * logits).astype(np.float32), labels.astype(np.int32)


def evaluated(*seeds: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """What `found` says of a network a seed, each on examples of its own in two batches."""

    def sums(logits, labels):
        parts = [(logits[:300], labels[:300]), (logits[300:], labels[300:])]
        first, second = (temperature.sums_at_each(jnp.array(x), jnp.array(y)) for x, y in parts)
        return jax.tree.map(np.asarray, metrics.add(first, second))

    each = [sums(*x) for x in seeds]
    return temperature.found(jax.tree.map(lambda *x: np.stack(x), *each))


def best_by_logits(logits: np.ndarray, labels: np.ndarray) -> float:
    def minus_log_posterior(log_t: float) -> float:
        p = scipy.special.softmax(logits.astype(np.float64) / np.exp(log_t), -1)
        likelihood = np.log(p[np.arange(len(labels)), labels]).sum()
        return -likelihood - scipy.stats.norm(0, temperature.DEVIATION).logpdf(log_t)

    return float(np.exp(scipy.optimize.minimize_scalar(minus_log_posterior, (-1, 1)).x))


def test_the_temperature_is_the_optimiser_s_within_a_step():
    sets = [examples(3.0), examples(0.4, 1), examples(1.0, 2)]
    found = evaluated(*sets)
    best = [best_by_logits(*x) for x in sets]
    assert best[0] > 2 and best[1] < 0.6
    np.testing.assert_allclose(np.log2(found["temperature"]), np.log2(best), atol=1 / 16 + 1e-3)
    for (logits, labels), errors in zip(sets, found["calibration_error_at"], strict=True):
        for k in (0, 20, 48):
            counts = calibration_counts(scaled(logits, TEMPERATURES[k], False), labels)
            expected = metrics.expected_calibration_error(counts)
            assert errors[k] == pytest.approx(expected, abs=2e-3)  # an example at a bin's border
    np.testing.assert_array_equal(found["calibration_error"], found["calibration_error_at"][:, 24])


def test_few_examples_that_are_told_rightly_change_little():
    logits = np.eye(4, dtype=np.float32) * 4
    sums = temperature.sums_at_each(jnp.array(logits), jnp.arange(4))
    (found,) = temperature.found(jax.tree.map(lambda x: np.asarray(x)[None], sums))["temperature"]
    assert 0.8 < found < 1


def test_padding_does_not_count():
    logits, labels = (jnp.array(x) for x in examples(2.0))
    odd = jnp.concatenate([logits, jnp.full((5, 4), jnp.nan)])
    mask = jnp.arange(405) < 400
    padded = temperature.sums_at_each(odd, jnp.pad(labels, (0, 5)), mask)
    plain = temperature.sums_at_each(logits, labels)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), padded, plain)


def test_the_temperature_of_validation_is_scored_on_the_test_part():
    validation, test = (
        evaluated(examples(3.0), examples(1.0)),
        evaluated(examples(3.0, 7), examples(1.0, 7)),
    )
    scores = {f"validation/{name}": x for name, x in validation.items()} | test
    chosen = temperature.choose(scores)
    assert chosen.temperatures == tuple(validation["temperature"])
    places = [list(TEMPERATURES).index(x) for x in chosen.temperatures]
    expected = [test["calibration_error_at"][i, k] for i, k in enumerate(places)]
    np.testing.assert_array_equal(chosen.scaled, expected)
    assert chosen.scaled[0] < 0.05 < 0.1 < chosen.errors[0]
    assert f"{chosen.errors.mean():.3f}, with" in chosen.line
    later = temperature.at_those(chosen.temperatures, lambda sums: dict(test), {})
    np.testing.assert_array_equal(later["calibration_error_scaled"], chosen.scaled)
    assert "temperature" not in later  # the one that fits these labels themselves


def test_a_dropped_seed_has_none():
    logits, labels = examples(1.0)
    found = evaluated((logits * np.nan, labels), (logits, labels))
    assert np.isnan(found["temperature"][0]) and np.isfinite(found["temperature"][1])
    scores = {f"validation/{name}": x for name, x in found.items()} | found
    assert len(temperature.choose(scores).temperatures) == 1


def test_without_a_validation_part_none_is_fitted_to_the_test_part():
    found = evaluated(examples(3.0))
    assert found["temperature"] > 2
    chosen = temperature.choose(found)
    assert chosen.temperatures == (1.0,) and chosen.metrics["temperature"] == 1
    np.testing.assert_array_equal(chosen.scaled, found["calibration_error"])
    assert chosen.line.endswith("no temperature was fitted on a validation part")
