"""Layers of volumes against XLA's own: values and gradients."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dljax.nn.convolution3d import Conv3D, conv3d, conv3d_reference
from dljax.nn.pooling import max_pool3d
from dljax.nn.unet import UpConv, volume_unet

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def close(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)


@pytest.mark.parametrize(
    ("inputs", "kernel", "options"),
    [
        (8, (3, 3, 3), {}),
        (1, (3, 3, 3), {"padding": 1}),
        (8, (3, 3, 3), {"strides": 2}),
        (2, (3, 2, 3), {"strides": (2, 1, 1), "padding": "VALID"}),
        (8, (1, 1, 1), {}),
        (8, (2, 2, 2), {"strides": 2, "padding": "VALID"}),
    ],
)
def test_convolution_equals_xla_inside_a_loop(inputs, kernel, options):
    x, w = normal(2, 5, 6, 7, inputs), normal(*kernel, inputs, 4, seed=1)

    def of(f):
        def descend(pair, _):
            y, transpose = jax.vjp(partial(f, **options), *pair)
            dx, dw = transpose(jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))
            return (pair[0] - 0.1 * dx, pair[1] - 0.1 * dw), y

        return jit(lambda: lax.scan(descend, (x, w), None, length=2))()

    close(of(conv3d), of(conv3d_reference))


def test_convolution_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="wants x"):
        conv3d(normal(1, 4, 4, 4, 2), normal(3, 3, 3, 1, 4))
    with pytest.raises(ValueError, match="three of them"):
        conv3d(normal(1, 4, 4, 4, 2), normal(3, 3, 3, 2, 4), strides=(1, 2))
    with pytest.raises(ValueError, match="does not fit"):
        conv3d(normal(1, 2, 4, 4, 2), normal(3, 3, 3, 2, 4), padding="VALID")


def test_layer_has_flax_parameters():
    x = normal(2, 4, 4, 4, 8)
    layer, peer = Conv3D(3, (3, 3, 3)), nn.Conv(3, (3, 3, 3)).apply
    variables = layer.init(jax.random.key(0), x)
    variables["params"]["bias"] = jnp.arange(3.0)
    close(layer.apply(variables, x), peer(variables, x))

    def loss(f):
        return jax.grad(lambda v: (f(v, x) ** 2).sum())(variables)

    close(loss(layer.apply), loss(peer))


@pytest.mark.parametrize(("window", "strides"), [((2, 2, 2), (2, 2, 2)), ((3, 2, 3), (2, 1, 2))])
def test_max_pool_and_its_gradient(window, strides):
    x = jnp.round(normal(2, 5, 6, 5, 3))  # with many ties
    pool = partial(
        lax.reduce_window,
        init_value=-jnp.inf,
        computation=lax.max,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *strides, 1),
        padding="VALID",
    )
    got, want = (jax.vjp(f, x) for f in (partial(max_pool3d, window=window, strides=strides), pool))
    close(got[0], want[0])
    g = normal(*got[0].shape, seed=1)
    close(got[1](g), want[1](g))


def test_up_convolution_of_a_voxel_is_its_kernel():
    x = jnp.zeros((1, 2, 2, 2, 1)).at[0, 1, 0, 1, 0].set(2.0)
    kernel = jnp.arange(8.0)[None]
    y = UpConv(1).apply({"params": {"Dense_0": {"kernel": kernel}}}, x)
    assert y.shape == (1, 4, 4, 4, 1)
    np.testing.assert_array_equal(y[0, 2:, :2, 2:, 0], 2 * np.arange(8.0).reshape(2, 2, 2))
    assert float(jnp.abs(y).sum()) == 56


def test_unet_of_volumes():
    model, x = volume_unet(3, (4, 8)), normal(2, 4, 6, 8, 1)
    variables = jit(model.init)(jax.random.key(0), x)
    assert set(variables) == {"params"}
    y = jit(model.apply)(variables, x)
    assert y.shape == (2, 4, 6, 8, 3)
    alone = jit(model.apply)(variables, x[:1])
    close(y[:1], alone)
    with pytest.raises(ValueError, match="multiples of 2, not 3x6x8"):
        model.apply(variables, x[:, :3])
