"""Features, their cache, the baselines on them; stems for other images; a few examples a class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data import feed
from dljax.data.image_scaling import Normalize
from dljax.data.sources.dataset import Dataset, select_classes, subsample_per_class
from dljax.nn.convolution import conv
from dljax.nn.lenet import LeNet
from dljax.transfer import linear_probe, stem


def test_the_head_on_the_features_gives_the_logits():
    model = LeNet(classes=3, widths=(2, 3), hidden=(5,), padding="SAME")
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), np.uint8)
    normalize = Normalize((0.5,), (0.25,))
    variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    features = linear_probe.extract(model, variables, images, normalize, batch_size=4)
    assert features.shape == (7, 5) and features.dtype == np.float32
    head = {"params": {"classifier": variables["params"]["classifier"]}}
    logits = model.apply(variables, (images / 255 - 0.5) / 0.25)
    np.testing.assert_allclose(
        linear_probe.Linear(3).apply(head, features), logits, rtol=1e-4, atol=1e-5
    )


def test_features_are_computed_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return np.arange(6.0).reshape(2, 3)

    for key, count in (({"images": "a"}, 1), ({"images": "a"}, 1), ({"images": "b"}, 2)):
        np.testing.assert_array_equal(
            linear_probe.cached(tmp_path, key, compute), compute.__call__()
        )
        calls.pop()
        assert len(calls) == count
    (folder, _) = sorted(tmp_path.iterdir())
    (folder / "features.npy").write_bytes(b"damaged")
    for key in ({"images": "a"}, {"images": "b"}):
        linear_probe.cached(tmp_path, key, compute)
    assert len(calls) == 3


def test_a_digest_depends_on_names_and_numbers():
    tree = {"a": np.arange(3.0)}
    assert linear_probe.digest(tree) == linear_probe.digest({"a": np.arange(3.0)})
    others = [{"b": np.arange(3.0)}, {"a": np.arange(3)}, {"a": -np.arange(3.0)}]
    assert linear_probe.digest(tree) not in [linear_probe.digest(other) for other in others]


def test_baselines_on_known_points():
    x = np.array([[1.0, 0.1], [3.0, -0.1], [0.1, 1.0], [0.2, 9.0]], np.float32)
    labels, queries = np.array([4, 4, 7, 7]), np.array([[50.0, 1.0], [0.01, 0.02]], np.float32)
    # By direction, not by length: the second query is short and lies along the second class.
    np.testing.assert_array_equal(linear_probe.nearest_class_mean(x, labels, queries), [4, 7])
    np.testing.assert_array_equal(
        linear_probe.logistic_regression(x, labels, queries * 10)[:1], [4]
    )


def test_a_grey_stem_answers_as_the_old_one():
    rng = np.random.default_rng(0)
    kernel, grey = rng.normal(size=(3, 3, 3, 5)), rng.normal(size=(2, 8, 8, 1))
    old = conv(jnp.repeat(jnp.asarray(grey, jnp.float32), 3, -1), jnp.asarray(kernel, jnp.float32))
    fitted = stem.fit_kernel(jnp.asarray(kernel, jnp.float32), (3, 3, 1, 5))
    np.testing.assert_allclose(conv(jnp.asarray(grey, jnp.float32), fitted), old, atol=1e-4)


def test_other_channels_and_windows_keep_the_sum():
    kernel = np.random.default_rng(0).normal(size=(7, 7, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(stem.fit_kernel(kernel, kernel.shape), kernel)
    for shape in ((7, 7, 6, 5), (3, 3, 3, 5), (3, 5, 1, 5)):
        fitted = stem.fit_kernel(kernel, shape)
        assert fitted.shape == shape
        np.testing.assert_allclose(fitted.sum((0, 1, 2)), kernel.sum((0, 1, 2)), atol=2e-4)
    middle = np.zeros((5, 1, 1, 1), np.float32)
    middle[2] = 1.0
    np.testing.assert_allclose(
        stem.fit_kernel(middle, (3, 1, 1, 1))[:, 0, 0, 0], [0, 1, 0], atol=1e-6
    )
    assert stem.fit_statistics((0.1, 0.2, 0.6), 1) == pytest.approx((0.3,))
    assert stem.fit_statistics((0.5,), 3) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="its outputs stay"):
        stem.fit_kernel(kernel, (7, 7, 3, 6))


def test_few_of_each_class_are_nested():
    labels = np.repeat([0, 1, 2], [5, 9, 6])
    five, two = subsample_per_class(labels, 5, seed=3), subsample_per_class(labels, 2, seed=3)
    assert np.bincount(labels[five]).tolist() == [5, 5, 5]
    assert np.bincount(labels[two]).tolist() == [2, 2, 2] and set(two) < set(five)
    assert not np.array_equal(subsample_per_class(labels, 2, seed=4), two)
    with pytest.raises(ValueError, match="6 examples of each class"):
        subsample_per_class(labels, 6, seed=0)


def test_a_seed_is_fed_what_it_picks():
    arrays = {"x": np.arange(20)}
    data = feed.in_memory(arrays, 4, lambda seed: np.array([seed, 10 + seed, 2, 3, 4, 5]))
    items = data.chunk(7, 0, 3)  # twelve examples: two epochs of six
    assert sorted(items.ravel().tolist()) == sorted([7, 17, 2, 3, 4, 5] * 2)
    np.testing.assert_array_equal(data.chunk(7, 1, 2), items[1:])


def test_only_some_classes():
    part = {"image": np.arange(6), "label": np.array([0, 1, 2, 0, 1, 2], np.int32)}
    data = select_classes(Dataset("set", part, part, ("a", "b", "c")), ("c", "a"))
    assert data.classes == ("c", "a") and data.validation is None
    np.testing.assert_array_equal(data.train["image"], [0, 2, 3, 5])
    np.testing.assert_array_equal(data.test["label"], [1, 0, 1, 0])
    for names, message in (
        (("a", "d"), "no class 'd'"),
        (("a", "a"), "two different"),
        (("a",), "two"),
    ):
        with pytest.raises(ValueError, match=message):
            select_classes(Dataset("set", part, part, ("a", "b", "c")), names)
