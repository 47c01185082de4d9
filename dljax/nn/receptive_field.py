"""The output shape and the receptive field of a stack of sliding windows, without running it."""

from collections.abc import Sequence
from typing import NamedTuple

from dljax.nn.window import Padding, Pair, output_size, pad_pairs, pair


class Layer(NamedTuple):
    """A convolution or a pooling, as far as geometry goes."""

    kernel: Pair
    stride: Pair = 1
    padding: Padding = "SAME"
    dilation: Pair = 1


class Field(NamedTuple):
    """Along one axis: an output sees `size` pixels; its neighbour's lie `jump` pixels on."""

    size: int
    jump: int


def output_shape(layers: Sequence[Layer], input_shape: tuple[int, int]) -> tuple[int, int]:
    """The (H, W) that comes out of the layers; ValueError when a window does not fit."""
    shape = tuple(input_shape)
    for layer in layers:
        kernel, strides, dilation = _pairs(layer)
        pads = pad_pairs(layer.padding, shape, kernel, strides, dilation)
        shape = tuple(map(output_size, shape, kernel, strides, pads, dilation))
    return shape


def receptive_field(layers: Sequence[Layer]) -> tuple[Field, Field]:
    """What an output sees of the image, for rows and columns.

    Each layer adds its reach, dilation (kernel - 1), times the strides of the layers below. Pixels
    in the padding count; those that dilations and strides skip over count as well.
    """
    fields = [Field(1, 1), Field(1, 1)]
    for layer in layers:
        sides = zip(*_pairs(layer), fields, strict=True)
        fields = [Field(f.size + d * (k - 1) * f.jump, f.jump * s) for k, s, d, f in sides]
    return fields[0], fields[1]


def _pairs(layer: Layer):
    layer = Layer(*layer)
    return (
        pair(layer.kernel, "kernel"),
        pair(layer.stride, "stride"),
        pair(layer.dilation, "dilation"),
    )
