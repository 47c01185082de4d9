"""Output shapes and receptive fields against real layers and the support of real gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.convolution import conv
from dljax.nn.receptive_field import Layer, output_shape, receptive_field

STACKS = [
    [Layer(3)],
    [Layer(3), Layer(3, 2), Layer(2, 2, "VALID")],
    [Layer((3, 2), (1, 2), 1), Layer(2, padding=((1, 0), (0, 1)), dilation=(1, 3))],
    [Layer(5, 3, "VALID"), Layer(3, padding="VALID", dilation=2), Layer(1)],
]


def run(layers, x):
    for kernel, stride, padding, dilation in layers:
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        w = jnp.ones((*kernel, 1, 1))
        x = conv(x, w, strides=stride, padding=padding, dilation=dilation)
    return x


@pytest.mark.parametrize("layers", STACKS)
def test_shape_and_field_of_real_layers(layers):
    size = (41, 40)
    x = jnp.ones((1, *size, 1))
    real = jax.eval_shape(lambda x: run(layers, x), x).shape[1:3]
    assert output_shape(layers, size) == real
    middle = (real[0] // 2, real[1] // 2)

    def seen(row, column):  # the pixels that one output depends on, as spans of rows and columns
        support = jax.grad(lambda x: run(layers, x)[0, row, column, 0])(x)[0, :, :, 0]
        return [np.flatnonzero(support.any(axis)) for axis in (1, 0)]

    here, next_ = seen(*middle), seen(middle[0] + 1, middle[1] + 1)
    for field, a, b in zip(receptive_field(layers), here, next_, strict=True):
        assert field.size == a[-1] - a[0] + 1
        assert field.jump == b[0] - a[0]


def test_of_a_stack_known_by_heart():
    vgg = [Layer(3), Layer(3), Layer(2, 2, "VALID")] * 2
    assert [field.size for field in receptive_field(vgg)] == [16, 16]
    assert output_shape(vgg, (32, 28)) == (8, 7)


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit into 4 pixels"):
        output_shape([Layer(5, padding="VALID")], (4, 9))
