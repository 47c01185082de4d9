import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.upsampling import ConvTranspose, bilinear, conv_transpose, nearest

X = np.random.RandomState(0).randn(2, 5, 3, 2).astype(np.float32)


@pytest.mark.parametrize("side, stride", [(4, 2), (2, 2), (6, 2), (3, 3), (3, 1)])
def test_a_pixel_paints_the_kernel(side, stride):
    w = np.random.RandomState(1).randn(side, side, 2, 3).astype(np.float32)
    full = np.zeros((2, 4 * stride + side, 2 * stride + side, 3))
    for i in range(5):
        for j in range(3):
            painted = np.einsum("ni,abio->nabo", X[:, i, j], w)
            full[:, i * stride : i * stride + side, j * stride : j * stride + side] += painted
    cut = (side - stride) // 2
    want = full[:, cut : cut + 5 * stride, cut : cut + 3 * stride]
    np.testing.assert_allclose(conv_transpose(X, w, stride), want, atol=1e-5)


def test_it_is_the_gradient_of_a_convolution():
    w = np.random.RandomState(1).randn(4, 4, 2, 3).astype(np.float32)

    def convolved(y):
        return jax.lax.conv_general_dilated(
            y, w.transpose(0, 1, 3, 2), (2, 2), ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    want = jax.vjp(convolved, jnp.zeros((2, 10, 6, 3)))[1](X)[0]
    np.testing.assert_allclose(conv_transpose(X, w, 2), want, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 2, 1), (4, 2, 2, 1)])
def test_an_impossible_kernel_is_refused(shape):
    with pytest.raises(ValueError, match="square kernel"):
        conv_transpose(X, np.zeros(shape, np.float32), 2)


def test_layer():
    layer = ConvTranspose(3)
    y, variables = layer.init_with_output(jax.random.key(0), X)
    assert y.shape == (2, 10, 6, 3)
    assert variables["params"]["kernel"].shape == (4, 4, 2, 3)


def test_doubling():
    np.testing.assert_array_equal(nearest(X), X.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(
        bilinear(X), jax.image.resize(X, (2, 10, 6, 2), "bilinear"), atol=1e-6
    )
