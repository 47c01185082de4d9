"""Local contrast normalisation against scipy's filter, and what the network of volumes keeps."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from dljax.nn.convolution3d import Conv3D
from dljax.nn.local_contrast import beside_local_contrast, local_contrast
from dljax.nn.pooling import max_pool3d
from dljax.nn.unet import UNet, example_norm, volume_unet


def test_local_contrast_equals_scipys_filters():
    x = np.random.default_rng(0).normal(3, 1, (2, 13, 14, 15, 2))
    got = local_contrast(jnp.asarray(x, jnp.float32), 1.5, 0.1)
    inside = np.ones(x.shape[1:4])

    def mean(v):
        smooth = [ndimage.gaussian_filter(a, 1.5, mode="constant", truncate=9) for a in (v, inside)]
        return smooth[0] / smooth[1]

    for example in range(2):
        for channel in range(2):
            v = x[example, ..., channel]
            centred = v - mean(v)
            want = centred / (np.sqrt(mean(centred**2)) + 0.1)
            np.testing.assert_allclose(got[example, ..., channel], want, atol=1e-4)


def test_a_bias_field_is_taken_off():
    """A pattern has the same local contrast where it is four times as bright, but for the floor."""
    pattern = 1 + 0.5 * np.sin(np.arange(120) * 1.3)
    bias = np.exp(np.linspace(0, np.log(4), 120))
    x = jnp.asarray(pattern * bias, jnp.float32)[None, :, None]
    got = np.asarray(beside_local_contrast(x))[0]
    np.testing.assert_array_equal(got[:, :1], x[0])
    low, high = np.ptp(got[20:50, 1]), np.ptp(got[70:100, 1])
    assert abs(low / high - 1) < 0.1 and np.ptp(x[0, 70:100]) > 1.6 * np.ptp(x[0, 20:50])


def test_the_network_of_volumes_sees_how_bright_a_window_is():
    """Dark and bright, else alike: with a norm in all stages the answers are the same."""
    x = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1, (1, 8, 8, 8, 1)), jnp.float32)
    change = []
    for model in (volume_unet(3, (4, 8)), UNet(3, (4, 8), Conv3D, max_pool3d, example_norm)):
        variables = jax.jit(model.init)(jax.random.key(0), x)
        dark, bright = (jax.jit(model.apply)(variables, x * level) for level in (0.2, 1))
        change.append(float(jnp.abs(dark - bright).max()))
    assert change[0] > 0.05 > 5e-3 > change[1]
