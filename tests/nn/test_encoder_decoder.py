"""The decoder on a backbone: sizes, and what each place of its last map answers for."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.encoder_decoder import EncoderDecoder, SummedScores, subpixels
from dljax.nn.resnet import ResNet

ENCODER = partial(ResNet, classes=0, stage_sizes=(1, 1, 1), widths=(4, 6, 8), pyramid=True)


@pytest.mark.parametrize("halved", [True, False])
@pytest.mark.parametrize("widths", [(6, 4), (6,), ()])
@pytest.mark.parametrize("size", [(16, 24), (13, 18), (49, 9)])
def test_logits_have_the_size_of_the_image(halved, widths, size):
    encoder = partial(ENCODER, small_images=not halved, pool=False)
    model = EncoderDecoder(3, encoder, widths, aspp=(2,) if widths else ())
    logits, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.ones((2, *size, 3)))
    assert logits.shape == (2, *size, 3) and logits.dtype == jnp.float32


def test_channels_become_the_pixels_of_their_place():
    x = np.arange(2 * 3 * 8).reshape(1, 2, 3, 8)  # 2 x 2 pixels of 2 classes each
    out = np.asarray(subpixels(jnp.asarray(x), 2, (4, 6)))
    assert out.shape == (1, 4, 6, 2)
    for y in range(4):
        for column in range(6):
            first = 4 * (y % 2) + 2 * (column % 2)
            place = x[0, y // 2, column // 2]
            assert out[0, y, column].tolist() == place[first : first + 2].tolist()
    assert subpixels(jnp.asarray(x), 2, (3, 5)).shape == (1, 3, 5, 2)


def test_scores_of_all_maps_are_added():
    random = np.random.default_rng(0)
    sizes, whole = (7, 13, 25), (49, 49)  # a place of the last map has two by two pixels
    maps = [jnp.asarray(random.normal(size=(1, n, n, 4)), jnp.float32) for n in sizes]
    model = SummedScores(3)
    variables = model.init(jax.random.key(0), maps, whole)
    alone = [[x * (i == k) for i, x in enumerate(maps)] for k in range(3)]
    parts = [model.apply(variables, some, whole) for some in alone]
    assert all(np.abs(part).mean() > 0.1 for part in parts)
    np.testing.assert_allclose(model.apply(variables, maps, whole), sum(parts), atol=1e-5)
    assert max(layer["kernel"].shape[-1] for layer in variables["params"].values()) == 4 * 3
