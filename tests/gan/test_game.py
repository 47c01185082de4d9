"""Losses, penalties, spectral normalisation and augmentation, against numbers made by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.gan import diffaugment, penalties, spectral
from dljax.gan.losses import LOSSES

LN2 = np.log(2)
REAL, FAKE = jnp.array([0.0, 2.0]), jnp.array([0.0, -0.5])


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize(
    "name, discriminator, generator",
    [
        ("non_saturating", [2 * LN2, softplus(-2) + softplus(-0.5)], [LN2, softplus(0.5)]),
        ("hinge", [2.0, 0.5], [0.0, 0.5]),
        ("least_squares", [0.5, 0.5 + 0.125], [0.5, 0.5 * 1.5**2]),
        ("wasserstein", [0.0, -2.5], [0.0, 0.5]),
        ("relativistic", [LN2, softplus(-2.5)], [LN2, softplus(2.5)]),
    ],
)
def test_losses(name, discriminator, generator):
    loss = LOSSES[name]
    np.testing.assert_allclose(loss.discriminator(REAL, FAKE), discriminator, rtol=1e-6)
    np.testing.assert_allclose(loss.generator(REAL, FAKE), generator, rtol=1e-6)


def test_squared_gradient():
    # D(x) = w.x + |x|^2 / 2 has the gradient w + x.
    w = jnp.arange(4.0).reshape(2, 2, 1)
    images = jnp.stack([jnp.zeros((2, 2, 1)), jnp.ones((2, 2, 1))])

    def discriminate(x):
        return (w * x).sum((1, 2, 3)) + jnp.square(x).sum((1, 2, 3)) / 2

    np.testing.assert_allclose(penalties.squared_gradient(discriminate, images), [14.0, 30.0])


def test_distance_from_one():
    # D(x) = 3 x_1 + 4 x_2: a gradient of norm 5 everywhere.
    w = jnp.array([3.0, 4.0]).reshape(1, 2, 1)

    def discriminate(x):
        return (w * x).sum((1, 2, 3))

    def between(x):  # |x|^2 / 2: the gradient is the point itself
        return jnp.square(x).sum((1, 2, 3)) / 2

    real, fake, key = jnp.ones((3, 1, 2, 1)), jnp.zeros((3, 1, 2, 1)), jax.random.key(0)
    distance = jax.jit(penalties.distance_from_one, static_argnums=0)
    found = distance(discriminate, key, real, fake)
    np.testing.assert_allclose(found, [16.0] * 3, rtol=1e-5)
    share = jax.random.uniform(key, (3,))
    found = distance(between, key, real, fake)
    np.testing.assert_allclose(found, np.square(share * np.sqrt(2) - 1), rtol=1e-4)


def test_spectral_norm_becomes_one():
    key = jax.random.key(0)
    params = {"conv": {"kernel": jax.random.normal(key, (3, 3, 2, 5)), "bias": jnp.arange(5.0)}}
    vectors, normalize = spectral.init(params, key), jax.jit(spectral.normalize)
    for _ in range(50):
        normal, vectors = normalize(params, vectors)
    singular = np.linalg.svd(np.asarray(normal["conv"]["kernel"]).reshape(18, 5))[1]
    np.testing.assert_allclose(singular[0], 1.0, rtol=1e-4)
    np.testing.assert_array_equal(normal["conv"]["bias"], np.arange(5.0))


def test_gradient_through_the_spectral_norm():
    # Of w / |w| for a matrix of one column: nothing along w.
    w = jnp.array([[3.0], [4.0]])
    vectors = spectral.init({"kernel": w}, jax.random.key(0))
    first = lambda w: spectral.normalize({"kernel": w}, vectors)[0]["kernel"][0, 0]  # noqa: E731
    gradient = jax.jit(jax.grad(first))(w)
    np.testing.assert_allclose(gradient[:, 0], [16 / 125, -12 / 125], atol=1e-6)


IMAGES = jax.random.uniform(jax.random.key(1), (6, 8, 8, 3), minval=-1)


@pytest.mark.parametrize("policy", diffaugment.POLICIES)
def test_augmentation_is_by_chance_and_differentiable(policy):
    change, key = diffaugment.chain([policy]), jax.random.key(2)

    @jax.jit
    def both(p):  # one program: the changed images, and the gradient of their squares
        changed, back = jax.vjp(lambda x: change(key, x, p), IMAGES)
        return changed, back(2 * changed)[0]

    np.testing.assert_array_equal(both(0.0)[0], IMAGES)
    changed, gradient = both(1.0)
    assert changed.shape == IMAGES.shape
    assert not np.allclose(changed, IMAGES)
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum((1, 2, 3)) > 0).all()


def test_translation_moves_the_image_and_shows_background():
    bright = jnp.ones((16, 16, 1))
    moved = np.asarray(diffaugment.translation(jax.random.key(3), bright))[..., 0]
    assert set(np.unique(moved)) == {-1.0, 1.0}
    rows, columns = (moved == 1).any(1).sum(), (moved == 1).any(0).sum()
    assert (moved == 1).sum() == rows * columns
    assert min(rows, columns) >= 14 and rows + columns < 32


def test_unknown_policy():
    with pytest.raises(ValueError, match="unknown policy 'blur'"):
        diffaugment.chain(["blur"])


def test_adaptation_of_p():
    sure, unsure = jnp.array([1.0, 2.0, 0.5, -1.0, 3.0]), jnp.array([1.0, -1.0])
    p = diffaugment.adapt(jnp.float32(0.5), jnp.abs(sure), 200, target=0.6, ramp=2000)
    np.testing.assert_allclose(p, 0.6, rtol=1e-6)
    p = diffaugment.adapt(jnp.float32(0.05), unsure, 200, target=0.6, ramp=2000)
    assert p == 0
