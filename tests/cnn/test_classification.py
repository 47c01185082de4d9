"""Image classification's own part of step and evaluation, and what looks at the result."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.cnn.classification import classifier, inspection, targets
from dljax.cnn.classification.baselines import image_baselines
from dljax.data import augment
from dljax.data.image_scaling import BLOCK, in_floats, normalization, standardized
from dljax.train import optim, supervised, temperature
from dljax.train.loop import one_seed
from tests import helpers
from tests.helpers import TinyNet, stripes


def test_normalization():
    images = stripes(50)["image"].repeat(3, -1)
    images[..., 2] = 7  # a constant channel is only shifted
    x = np.asarray(normalization(images)(images / 255.0))
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std((0, 1, 2)), [1, 1, 0], atol=1e-4)


def test_normalization_of_volumes():
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5, 2)).astype(np.uint8)
    x = np.asarray(normalization(images)(images / 255.0))
    np.testing.assert_allclose(x.mean((0, 1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std((0, 1, 2, 3)), 1, atol=1e-5)


def test_standardized_images():
    """Whatever the scanner's gain and offset."""
    x = np.random.default_rng(0).random((3, 4, 5, 2)).astype(np.float32)
    found = np.asarray(standardized(jnp.asarray(x)))
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), 1, atol=1e-5)
    np.testing.assert_allclose(standardized(jnp.asarray(0.3 * x + 0.4)), found, atol=1e-4)
    np.testing.assert_array_equal(standardized(jnp.full((1, 2, 2, 1), 0.5)), 0)


def test_normalization_by_blocks():
    images = np.random.default_rng(0).integers(0, 256, (1501, 8, 9, 3)).astype(np.uint8)
    images[-1] = 255  # in the last of two blocks
    assert images.size > BLOCK
    found = normalization(images)
    np.testing.assert_allclose(found.mean, (images / 255).mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.std, (images / 255).std((0, 1, 2)), rtol=1e-9)


@pytest.fixture(scope="module")
def state():
    return helpers.small_classifier().init(jax.random.key(0))


def test_evaluation_by_hand(state):
    batch = {k: jnp.asarray(x) for k, x in stripes(6).items()} | {
        "example_mask": jnp.array([1, 1, 0, 1, 1, 1.0])
    }
    sums = helpers.small_classifier().evaluate(state, batch, jax.random.key(0))
    logits = classifier.predict_logits(TinyNet(), state, batch["image"])
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    kept = [0, 1, 3, 4, 5]
    labels = np.asarray(batch["label"])
    loss = -np.log(p[kept, labels[kept]])
    np.testing.assert_allclose(sums["loss"], (loss.sum(), 5), rtol=1e-5)
    assert sums["accuracy"] == ((p.argmax(-1) == labels)[kept].sum(), 5)
    assert sums["top_5"] == (5, 5)  # of three classes
    values = targets.summarise(jax.tree.map(lambda x: np.asarray(x)[None], sums))
    assert set(values) == {
        "loss", "accuracy", "top_5", "calibration_error", "balanced_accuracy", "macro_f1"
    }  # fmt: skip


def test_flip_at_evaluation_averages_both_views(state):
    images = stripes(4)["image"]
    plain, mirrored = (
        classifier.predict_logits(TinyNet(), state, x) for x in (images, images[:, :, ::-1])
    )
    views = classifier.Views(flip=True)
    both = classifier.predict_logits(TinyNet(), state, images, views=views)
    np.testing.assert_allclose(both, (plain + mirrored) / 2, atol=1e-6)
    assert np.abs(plain - mirrored).max() > 1e-4


def test_views_of_a_counted_image():
    image = jnp.arange(9.0).reshape(1, 3, 3, 1)
    itself, right_down, left_up, mirror, *_ = classifier.Views(True, 1)(image)
    np.testing.assert_array_equal(itself, image)
    np.testing.assert_array_equal(mirror[0, 0, :, 0], [2, 1, 0])
    np.testing.assert_array_equal(right_down[0, ..., 0], [[4, 3, 4], [1, 0, 1], [4, 3, 4]])
    np.testing.assert_array_equal(left_up[0, ..., 0], [[4, 5, 4], [7, 8, 7], [4, 5, 4]])


def test_the_averaged_parameters_are_evaluated():
    task = helpers.small_classifier(optim.optimizer("sgd", 0.5, ema=0.5))
    batch = {k: jnp.asarray(x) for k, x in stripes(8).items()}
    state, step = task.init(jax.random.key(0)), jax.jit(task.step)
    for i in range(2):  # after one, they are the parameters themselves
        state, _ = step(state, batch, jax.random.key(i))
    averaged = optim.ema_params(state.opt_state, state.params)
    assert not np.array_equal(
        averaged["classifier"]["kernel"], state.params["classifier"]["kernel"]
    )
    expected = TinyNet().apply({"params": averaged, **state.model_state}, batch["image"] / 255.0)
    logits = classifier.predict_logits(TinyNet(), state, batch["image"])
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_a_step_augments_mixes_and_smooths(state):
    batch = {k: jnp.asarray(x) for k, x in stripes(8).items()}
    seen = []

    def mix(key, images, targets):
        seen.append((images.shape, targets.shape))
        return images, jnp.ones_like(targets) / 3

    task = helpers.small_classifier(mix=mix, label_smoothing=0.1)
    sums = task.step(state, batch, jax.random.key(3))[1]
    assert seen == [((8, 8, 8, 1), (8, 3))]
    assert sums["loss"][0] / sums["loss"][1] >= np.log(3) - 1e-6  # a uniform target's entropy

    black = classifier.task(
        TinyNet(), optim.optimizer("sgd", 0.1), image_shape=(8, 8, 1), classes=3,
        augmentation=augment.chain(lambda key, image: image * 0),
    )  # fmt: skip
    after = black.step(state, batch, jax.random.key(3))[0]
    mean = after.model_state["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_array_equal(mean, 0)  # the network saw black images alone
    other = helpers.small_classifier().step(state, batch, jax.random.key(3))[0]
    assert np.abs(other.model_state["batch_stats"]["BatchNorm_0"]["mean"]).max() > 0


class Plain(nn.Module):
    """As TinyNet's head, without an argument train."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.reshape(len(x), -1))


class Deterministic(Plain):
    def __call__(self, x, deterministic=True):
        return super().__call__(x)


FLAT = nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(3)])


@pytest.mark.parametrize("model", [Plain(), FLAT, nn.remat(Plain)()])
def test_a_module_without_train(model):
    settings = {"image_shape": (8, 8, 1), "classes": 3}
    task = classifier.task(model, optim.optimizer("sgd", 0.1), **settings)
    key = jax.random.key(0)
    batch = stripes(9) | {"example_mask": np.ones(9, np.float32)}
    first = task.init(key)
    after, sums = jax.eval_shape(task.step, first, batch, key)
    assert {"loss", "accuracy"} <= sums.keys() and after.params.keys() == first.params.keys()
    assert classifier.predict_logits(model, first, batch["image"]).shape == (9, 3)
    with pytest.raises(ValueError, match="Deterministic.__call__ takes deterministic=, which is"):
        classifier.task(Deterministic(), optax.sgd(0.1), **settings).init(key)


def test_train_is_set_where_a_module_has_it():
    for model in TinyNet(), nn.remat(TinyNet, static_argnums=(2,))(), object():
        assert supervised.train_argument(model, True) == {"train": True}


def test_whole_numbers_are_levels_and_floats_are_as_they_are():
    images = jnp.asarray(stripes(3)["image"])
    for same in images / 255, images.astype(jnp.int32), (images / 255).astype(jnp.float16):
        found = in_floats(same)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, in_floats(images), atol=1e-3)
    floats = np.asarray(images / 255, np.float32)
    assert normalization(floats).std == pytest.approx(normalization(np.asarray(images)).std)


def test_probabilities_are_the_mean_over_seeds():
    task, images = helpers.small_classifier(), stripes(7)["image"]
    states = jax.vmap(task.init)(jax.random.split(jax.random.key(0), 3))
    weights = temperature.with_temperatures(states)
    p = inspection.probabilities(TinyNet(), weights, images, lambda x: x, batch_size=3)
    each = [
        jax.nn.softmax(classifier.predict_logits(TinyNet(), one, images))
        for one in (one_seed(states, i) for i in range(3))
    ]
    assert p.shape == (7, 3)
    np.testing.assert_allclose(p, np.mean(each, 0), atol=1e-6)


def test_inspection_of_layers(state):
    image = stripes(1)["image"][0]
    maps = inspection.feature_maps(TinyNet(), state, image, lambda x: x)
    assert [(name, x.shape) for name, x in maps] == [
        ("Conv_0", (4, 4, 8)), ("BatchNorm_0", (4, 4, 8)), ("Dropout_0", (4, 4, 8)),
    ]  # fmt: skip
    assert inspection.first_kernel(state, 1).shape == (3, 3, 1, 8)
    assert inspection.first_kernel(state, 3) is None


def test_baselines():
    found = image_baselines(stripes(60), stripes(30, seed=1))
    labels = stripes(30, seed=1)["label"]
    frequent = np.bincount(stripes(60)["label"]).argmax()
    assert found["most frequent class"]["accuracy"] == np.mean(labels == frequent)
    assert found["3 nearest neighbours"]["accuracy"] == 1  # the stripes are easily told apart
    assert found["logistic regression"]["accuracy"] == 1
