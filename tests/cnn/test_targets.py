"""What a network of images is trained to tell, by hand: padding never counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score, r2_score

from dljax.cnn.classification import inspection, targets
from dljax.cnn.classification.baselines import label_baselines, number_baselines

RNG = np.random.default_rng(1)
MASK = jnp.array([1.0] * 20 + [0.0] * 4)
PRESENT = RNG.integers(0, 2, (24, 3))
LOGITS = (1.5 * PRESENT + RNG.normal(size=(24, 3))).astype(np.float32) - 0.7


def scored(target, outputs, labels) -> dict[str, np.ndarray]:
    """Metrics of one seed of 24 examples, of which 4 are padding that must not matter."""
    outputs = jnp.asarray(outputs).at[20:].set(jnp.nan)
    sums = jax.jit(target.evaluate)(outputs, jnp.asarray(labels), MASK)
    sums = jax.tree.map(lambda x: np.asarray(x)[None], sums)
    assert not targets.tables(sums, ("number",)) or "per_class" in targets.tables(sums, "abc")
    return {name: x[0] for name, x in targets.summarise(sums).items()}


def test_several_labels():
    found = scored(targets.several_labels(3), LOGITS, PRESENT)
    kept, has = LOGITS[:20], PRESENT[:20]
    p = 1 / (1 + np.exp(-kept))
    assert found["loss"] == pytest.approx(-np.log(np.where(has, p, 1 - p)).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(((p > 0.5) == has).mean())
    assert found["exact_match"] == pytest.approx(((p > 0.5) == has).all(1).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(has, p > 0.5, average="macro"))
    assert {"auc", "map"} <= set(found)


def test_weights_and_smoothing_of_several_labels():
    logits, targets_ = jnp.array([[2.0, -1.0]]), jnp.array([[1.0, 0.0]])
    p = 1 / (1 + np.exp([-2.0, 1.0]))
    plain = targets.several_labels(2).losses(logits, targets_)
    np.testing.assert_allclose(plain, [-(np.log(p[0]) + np.log(1 - p[1])) / 2], rtol=1e-5)
    weighted = targets.several_labels(2, weights=np.array([3.0, 5.0])).losses(logits, targets_)
    np.testing.assert_allclose(weighted, [-(3 * np.log(p[0]) + np.log(1 - p[1])) / 2], rtol=1e-5)
    smooth = targets.several_labels(2, 0.2).losses(logits, targets_)
    expected = (
        -(0.9 * np.log(p) + 0.1 * np.log(1 - p))[0] - (0.1 * np.log(p) + 0.9 * np.log(1 - p))[1]
    )
    np.testing.assert_allclose(smooth, [expected / 2], rtol=1e-5)


def test_a_number():
    actual = RNG.normal(50, 7, 24).astype(np.float32)
    target = targets.number(mean=48.0, std=6.0)
    outputs = (actual - 48 + RNG.normal(size=24)) / 6
    found = scored(target, outputs[:, None].astype(np.float32), actual)
    told = np.asarray(target.answer(jnp.asarray(outputs[:, None]))["value"])
    np.testing.assert_allclose(told, outputs * 6 + 48, rtol=1e-5)
    kept, truth = told[:20], actual[:20]
    assert found["mae"] == pytest.approx(np.abs(kept - truth).mean(), rel=1e-4)
    assert found["r2"] == pytest.approx(r2_score(truth, kept), rel=1e-4)
    assert found["loss"] == pytest.approx(((kept - truth) ** 2).mean() / 36, rel=1e-4)


def test_class_weights_are_in_the_loss_alone():
    """What is evaluated does not depend on how it was trained."""
    weights = np.array([3.0, 1.0, 0.5])
    plain, weighted = targets.one_class(3), targets.one_class(3, weights=weights)
    labels = jnp.asarray(PRESENT.sum(1) % 3)
    encoded = plain.encode(labels)
    np.testing.assert_allclose(
        weighted.losses(LOGITS, encoded), plain.losses(LOGITS, encoded) * weights[labels], rtol=1e-5
    )
    both = jax.jit(lambda *x: (plain.evaluate(*x), weighted.evaluate(*x)))(LOGITS, labels, MASK)
    jax.tree.map(np.testing.assert_array_equal, *both)


def test_baselines():
    """The mean explains nothing; what follows from the pixels is found."""
    images = RNG.integers(0, 256, (60, 2, 2, 1)).astype(np.uint8)
    value = (images[:, 0, 0, 0] / 10).astype(np.float32)
    train = {"image": images[:40], "label": value[:40]}
    found = number_baselines(train, {"image": images[40:], "label": value[40:]})
    mean = value[:40].mean()
    assert found["mean of train"]["mae"] == pytest.approx(np.abs(value[40:] - mean).mean())
    assert found["mean of train"]["r2"] <= 0 < 0.8 < found["ridge regression"]["r2"]
    several = np.stack([images[:, 0, 0, 0] > 128, images[:, 1, 1, 0] > 99, images[:, 0, 0, 0] < 0])
    several = several.T.astype(int)  # the last label is never there
    train = {"image": images[:40], "label": several[:40]}
    found = label_baselines(train, {"image": images[40:], "label": several[40:]})
    assert found["shares of the labels"]["auc"] == 0.5 < 0.9 < found["logistic regression"]["auc"]


def test_pictures_of_numbers(tmp_path):
    images = RNG.integers(0, 256, (5, 4, 4, 1)).astype(np.uint8)
    test = {"image": images, "label": np.arange(5, dtype=np.float32)}
    inspection.draw_numbers(tmp_path, test["label"] + 0.5, test, "age")
    inspection.draw_examples(tmp_path, test, ("age",))
    names = {"predicted.png", "most_wrong.png", "training_images.png"}
    assert {x.name for x in tmp_path.iterdir()} == names
