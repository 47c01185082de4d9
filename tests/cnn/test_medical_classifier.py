"""The classifier of medical images: targets, losses, evaluation, Grad-CAM, baselines."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.cnn.medical import baselines, classifier, gradcam
from dljax.cnn.medical.classifier import Target
from dljax.nn.convolution import Conv
from dljax.train.supervised import State
from tests.cnn.medical import small_classifier
from tests.helpers import stripes


def test_soft_targets():
    grades = classifier.soft_targets(Target(3, ordinal=1.0), jnp.array([0, 1]))
    e = np.exp([0, -1, -4])
    np.testing.assert_allclose(grades[0], e / e.sum(), rtol=1e-6)
    np.testing.assert_allclose(grades[1], e[[1, 0, 1]] / e[[1, 0, 1]].sum(), rtol=1e-6)
    smooth = classifier.soft_targets(Target(4, label_smoothing=0.2), jnp.array([2]))
    np.testing.assert_allclose(smooth[0], [0.05, 0.05, 0.85, 0.05], rtol=1e-6)
    several = classifier.soft_targets(
        Target(3, multi_label=True, label_smoothing=0.2), jnp.array([[0, 1, 1]])
    )
    np.testing.assert_allclose(several[0], [0.1, 0.9, 0.9], rtol=1e-6)


def test_losses():
    logits, rng = jnp.array([[1.0, -2.0, 0.5], [0.0, 1.0, 2.0]]), np.random.default_rng(0)
    targets = jnp.asarray(rng.dirichlet(np.ones(3), 2))
    plain = classifier.losses(Target(3), logits, targets)
    np.testing.assert_allclose(plain, optax.softmax_cross_entropy(logits, targets), rtol=1e-6)
    weighted = classifier.losses(Target(3, weights=(2.0, 1.0, 0.0)), logits, jnp.eye(3)[:2])
    one = -jax.nn.log_softmax(logits)
    np.testing.assert_allclose(weighted, [2 * one[0, 0], one[1, 1]], rtol=1e-6)
    both = jnp.array([[0.0, 1, 1], [1, 0, 0]])
    several = classifier.losses(Target(3, multi_label=True), logits, both)
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    expected = -np.where(both > 0, np.log(p), np.log(1 - p)).mean(1)
    np.testing.assert_allclose(several, expected, rtol=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_evaluation_by_hand(multi_label):
    """The loss is that of the labels themselves, whatever was trained on; views are averaged."""
    target = Target(3, multi_label, label_smoothing=0.0 if multi_label else 0.1)
    task, data = small_classifier(target), stripes(6)
    labels = data["label"]
    if multi_label:
        labels = (labels[:, None] <= np.arange(3)).astype(np.int32)
    state = task.init(jax.random.key(0))
    mask = np.array([1, 1, 0, 1, 1, 1.0])
    batch = {"image": jnp.asarray(data["image"]), "label": jnp.asarray(labels)}
    sums = task.evaluate(state, batch | {"example_mask": jnp.asarray(mask)}, jax.random.key(1))
    model, kept = small_model(), mask > 0
    x = data["image"][kept] / np.float32(255)
    logits = sum(model.apply(state.variables(), v) for v in (x, x[:, :, ::-1])) / 2
    logits, y = np.asarray(logits, np.float64), labels[kept]
    if multi_label:
        p = 1 / (1 + np.exp(-logits))
        loss = -np.where(y > 0, np.log(p), np.log(1 - p)).mean(1)
        right = ((logits > 0) == (y > 0)).sum()
    else:
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        loss = -np.log(p[np.arange(5), y])
        right = (logits.argmax(1) == y).sum()
    np.testing.assert_allclose(sums["loss"], (loss.sum(), 5), rtol=1e-5)
    assert sums["accuracy"][0] == right
    assert sums["ranks"][0].sum() == 15  # each image is once with or without each class
    sums = jax.tree.map(lambda x: np.asarray(x)[None], sums)
    assert set(classifier.summarise(sums)) == {"loss", "accuracy", "auc"}
    tables = classifier.tables(sums, ("low", "mid", "high"))
    assert set(tables) == (set() if multi_label else {"per_class", "confusion"})


def small_model():
    from dljax.nn.pooled_cnn import PooledCNN

    return PooledCNN(3, (8,), first=4, dropout=0.1)


def test_views_of_all_mirror_images():
    class Corner(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return x[:, 0, 0, :1] * jnp.ones(2)

    image = jnp.arange(4, dtype=jnp.uint8).reshape(1, 2, 2, 1)
    state = State({}, {}, ())
    logits = [
        classifier.predict_logits(Corner(), state, image, lambda x: 255 * x, flips)[0, 0]
        for flips in ((), (1,), (0, 1))
    ]
    np.testing.assert_allclose(logits, [0, 0.5, 1.5], atol=1e-5)


class Linear(nn.Module):
    """A convolution whose maps are summed into the logits: Grad-CAM is known."""

    @nn.compact
    def __call__(self, x, train=False):
        maps = Conv(2, (1, 1), name="maps")(x)
        return nn.Dense(2, name="classifier", use_bias=False)(maps.mean((1, 2)))


def test_gradcam_by_hand():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 4, 1)).astype(np.uint8)
    kernel = jnp.array([[[[1.0, -2.0]]]])
    params = {
        "maps": {"kernel": kernel, "bias": jnp.array([0.1, 0.4])},
        "classifier": {"kernel": jnp.array([[1.0, 3.0], [2.0, -1.0]])},
    }
    state = State(params, {}, ())
    heat = gradcam.heat_maps(Linear(), state, images, np.array([0, 1]), lambda x: x)
    x = images[..., 0] / 255
    maps = np.stack([x + 0.1, 0.4 - 2 * x], -1)
    for i, weight in enumerate(([1, 2], [3, -1])):  # the mean gradient is these over 12
        expected = np.maximum((maps[i] * weight).sum(-1), 0)
        np.testing.assert_allclose(heat[i], expected / expected.max(), atol=1e-5)
    assert gradcam.last_maps(Linear(), state, jnp.ones((1, 3, 4, 1))) == ("maps",)


def test_baselines():
    train, test = stripes(60), stripes(30, seed=1)
    found = baselines.simple_methods(train, test, 3)
    assert found["logistic regression"] == {"auc": 1, "accuracy": 1}
    assert found["commonest class"]["auc"] == 0.5
    common = np.bincount(train["label"]).argmax()
    assert found["commonest class"]["accuracy"] == np.mean(test["label"] == common)


def test_features_of_volumes_are_means_of_cells():
    volume = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 10, 1)).astype(np.uint8)
    cells = volume.reshape(2, 10, 2, 10, 3, 10, 1).mean((2, 4, 6)) / 255
    np.testing.assert_allclose(baselines.features(volume), cells.reshape(2, -1), atol=1e-6)
    assert baselines.features(volume[:, :5, :6]).shape == (2, 5 * 6 * 10)
