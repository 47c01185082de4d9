"""The classifier on a backbone: what of it is trained, and what it makes of small grey images."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.backbone_classifier import BackboneClassifier
from dljax.nn.encoder_decoder import ENCODER
from dljax.nn.resnet import ResNet

SMALL = partial(
    ResNet, classes=0, stage_sizes=(1, 1), widths=(4, 6), pool=False, pyramid=True,
    small_images=False,
)  # fmt: skip
GREY = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)


def test_a_grey_image_is_three_equal_channels_magnified():
    model = BackboneClassifier(3, SMALL, side=16)
    logits, variables = model.init_with_output(jax.random.key(0), GREY)
    assert logits.shape == (4, 3)
    larger = jax.image.resize(jnp.repeat(GREY, 3, -1), (4, 16, 16, 3), "linear")
    np.testing.assert_allclose(model.apply(variables, larger), logits, atol=1e-5)
    whole = BackboneClassifier(3, SMALL, side=8)
    assert abs(np.asarray(whole.apply(variables, GREY)) - logits).max() > 1e-3


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_backbone_is_not_trained(frozen):
    model = BackboneClassifier(3, SMALL, side=8, frozen=frozen)
    variables = model.init(jax.random.key(0), GREY)
    rest = {"batch_stats": variables["batch_stats"]}

    def loss(params):
        logits, state = model.apply(
            {"params": params, **rest}, GREY, train=True, mutable=["batch_stats"]
        )
        return (logits[:, 0] ** 2).sum(), state["batch_stats"]

    gradient, statistics = jax.grad(loss, has_aux=True)(variables["params"])
    moved = [
        max(abs(np.asarray(x)).max() for x in jax.tree.leaves(tree[ENCODER]))
        for tree in (gradient, jax.tree.map(jnp.subtract, statistics, rest["batch_stats"]))
    ]
    assert all(x == 0 for x in moved) if frozen else all(x > 0 for x in moved)
    assert abs(np.asarray(gradient["classifier"]["kernel"])).max() > 0
