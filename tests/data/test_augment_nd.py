"""Augmentation in any number of dimensions: counted volumes, and scipy's transformations."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dljax.data import augment, augment_nd

VOLUME = jnp.arange(2 * 3 * 4, dtype=jnp.float32).reshape(2, 3, 4, 1) / 24


def test_shift():
    """Each result is the volume moved by at most one, its border repeated; all moves occur."""
    moved = augment.batch(augment_nd.shift(1))(jax.random.key(0), jnp.stack([VOLUME] * 300))
    padded = np.pad(VOLUME, ((1, 1), (1, 1), (1, 1), (0, 0)), mode="edge")
    possible = {
        padded[a : a + 2, b : b + 3, c : c + 4].tobytes()
        for a in range(3) for b in range(3) for c in range(3)
    }  # fmt: skip
    assert {np.asarray(x).tobytes() for x in moved} == possible


def test_mirror():
    moved = augment.batch(augment_nd.mirror((0, 2)))(jax.random.key(0), jnp.stack([VOLUME] * 60))
    x = np.asarray(VOLUME)
    possible = {y.tobytes() for y in (x, x[::-1], x[:, :, ::-1], x[::-1, :, ::-1])}
    assert {np.asarray(y).tobytes() for y in moved} == possible


def test_warp_is_scipys():
    rng = np.random.default_rng(0)
    volume = rng.random((7, 8, 9, 2)).astype(np.float32)
    matrix = np.asarray(augment_nd.rotation_matrix(jnp.array([0.2, -0.3, 0.1]))) / 1.1
    centre = (np.array(volume.shape[:3]) - 1) / 2
    found = augment_nd.warp(jnp.asarray(volume), jnp.asarray(matrix))
    for c in range(2):
        expected = ndimage.affine_transform(
            volume[..., c], matrix, centre - matrix @ centre, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(found[..., c], expected, atol=1e-4)


def test_rotation_matrix():
    angles = np.array([0.2, -0.3, 0.1])
    expected = Rotation.from_euler("xyz", angles).as_matrix()
    found = augment_nd.rotation_matrix(jnp.asarray(angles))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_affine_without_change():
    function = augment_nd.affine(0.0, (1.0, 1.0))
    np.testing.assert_allclose(function(jax.random.key(0), VOLUME), VOLUME, atol=1e-6)
    turned = augment_nd.affine(30.0, (0.8, 1.2))(jax.random.key(0), VOLUME)
    assert np.abs(turned - VOLUME).max() > 0.05
