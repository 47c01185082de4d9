"""Images drawn from maps of tissues, against scipy's filters and what is said to be drawn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from dljax.data import synthseg
from dljax.data.sources.medical import brain

CLEAN = synthseg.Strength(gap=0.2, bias=0.0, blur=0.3, slices=1.0, noise=0.0)


def shells():
    """Maps [12, 12, 12, 4] of fluid, grey and white matter in three slabs, beside air."""
    maps = np.zeros((12, 12, 12, 4), np.float32)
    for tissue in range(3):
        maps[3 + 3 * tissue : 6 + 3 * tissue, ..., 1 + tissue] = 1
    return maps


@functools.lru_cache
def drawer(strength):
    return jax.jit(synthseg.drawn(strength))


def drawn(strength, seed):
    mask = jnp.arange(12**3).reshape(12, 12, 12)
    image, found = drawer(strength)(jax.random.key(seed), shells(), mask)
    if not np.asarray(found).any():  # of air alone
        assert np.abs(image).max() < (1e-6 if strength.noise == 0 else 2)
        return drawn(strength, 1000 + seed)
    np.testing.assert_array_equal(found, mask)
    return np.asarray(image)[..., 0]


def test_some_patches_are_air():
    draw = jax.jit(jax.vmap(synthseg.drawn(CLEAN), (0, None, None)))
    image, mask = draw(jax.random.split(jax.random.key(0), 500), shells(), jnp.ones((12, 12, 12)))
    air = np.asarray(mask).max((1, 2, 3)) == 0
    assert 0.06 < air.mean() < 0.14
    np.testing.assert_array_equal(air, np.asarray(image).max((1, 2, 3, 4)) < 0.05)


def test_tissues_have_levels_in_order_and_apart():
    for seed in range(20):
        image = drawn(CLEAN, seed)
        air, *levels = (image[i].mean() for i in (1, 4, 7, 10))
        assert abs(air) < 1e-3
        assert all(np.diff(levels) >= 0.19)  # of the white matter's level, which is at most 1
        np.testing.assert_allclose(levels[2], 1, atol=1e-2)


def test_degradations_are_as_large_as_they_say():
    noisy = [drawn(CLEAN._replace(noise=0.1), seed)[1] for seed in range(30)]
    # in units of the white matter's level, 0.5 to 1, and of the lower end of the scale
    deviations = [image.std() for image in noisy]
    assert 0.03 < min(deviations) < max(deviations) < 0.2
    keys = jax.random.split(jax.random.key(0), 300)
    fields = np.asarray(jax.vmap(lambda k: synthseg.bias_field(k, (8, 8, 60)))(keys))
    np.testing.assert_allclose([fields.mean(), fields.std()], [0, 1], atol=0.12)
    assert np.abs(np.diff(fields, axis=3)).max() < 0.25  # smooth: of 1 mm
    dark = drawn(CLEAN._replace(bias=0.6), 0)
    assert dark.max() < 2 and not np.allclose(dark, drawn(CLEAN._replace(bias=0.6), 1))


def test_blur_equals_scipys():
    x = np.random.default_rng(0).normal(size=(14, 15, 16)).astype(np.float32)
    got = synthseg.resolution(jax.random.key(0), jnp.asarray(x), jnp.float32(0.6), jnp.float32(1))
    want = ndimage.gaussian_filter(x, 0.6, truncate=8)
    np.testing.assert_allclose(got[4:-4, 4:-4, 4:-4], want[4:-4, 4:-4, 4:-4], atol=2e-3)


def test_thick_slices_lie_along_one_axis():
    """A wave of 4 voxels nearly vanishes in slices 4 thick, along one axis alone."""
    wave = np.sin(np.arange(24) * np.pi / 2)
    axes = set()
    for seed in range(8):
        left = []
        for axis in range(3):
            shape = [24 if i == axis else 1 for i in range(3)]
            image = jnp.asarray(np.broadcast_to(wave.reshape(shape), (24, 24, 24)), jnp.float32)
            got = synthseg.resolution(
                jax.random.key(seed), image, jnp.float32(0.3), jnp.float32(4.0)
            )
            left.append(float(got[6:-6, 6:-6, 6:-6].std() / wave.std()))
        axes.add(int(np.argmin(left)))
        assert sorted(left)[0] < 0.15 and sorted(left)[1] > 0.8
    assert axes == {0, 1, 2}


def test_a_straight_ramp_stays_one():
    ramp = np.broadcast_to(np.arange(20.0), (20, 20, 20)).astype(np.float32)
    for seed in range(6):
        got = synthseg.resolution(
            jax.random.key(seed), jnp.asarray(ramp), jnp.float32(0.4), jnp.float32(1.7)
        )
        np.testing.assert_allclose(got[5:-5, 5:-5, 5:-5], ramp[5:-5, 5:-5, 5:-5], atol=1e-2)


def test_the_same_images_as_those_of_the_parts():
    """Patches in training are drawn as the images of the parts: the same spread of grey levels.

    Without a bias field, which is of deviation 1 within each of the images of the parts.
    """
    share = np.moveaxis(shells()[..., 1:], -1, 0)
    strength = brain.STRENGTHS["medium"]._replace(bias=0.0)
    t1 = np.tensordot(np.array(brain.T1_LEVELS), share, 1)
    whole = [brain.degraded(t1, share, strength, [0, i]) for i in range(200)]
    patches = [drawn(strength, i) for i in range(200)]

    def contrast(images):
        """White against grey matter, over the fluid's: not changed by a scale."""
        middles = np.array([[x[i, 3:9, 3:9].mean() for i in (1, 4, 7, 10)] for x in images])
        return np.log((middles[:, 3] - middles[:, 0]) / (middles[:, 2] - middles[:, 0]))

    np.testing.assert_allclose(
        [contrast(patches).mean(), contrast(patches).std()],
        [contrast(whole).mean(), contrast(whole).std()],
        atol=0.04,
    )
