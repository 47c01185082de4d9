"""MobileNetV2 and EfficientNet-Lite: the published sizes, and what each block does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.efficientnet_lite import efficientnet_lite2, scaled
from dljax.nn.mobilenet import MobileNetV2


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(MobileNetV2, 3_504_872), (efficientnet_lite2, 6_092_072)],
)
def test_the_published_numbers_of_parameters(build, parameters):
    blank = jnp.zeros((1, 32, 32, 3))
    model = build(classes=1000)
    variables = jax.eval_shape(lambda key: model.init(key, blank), jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == parameters


def test_scaled_stages():
    assert scaled(1.1, 1.2) == (
        *((1, 16, 1, 1, 3), (6, 24, 3, 2, 3), (6, 48, 3, 2, 5), (6, 88, 4, 2, 3)),
        *((6, 120, 4, 1, 5), (6, 208, 5, 2, 5), (6, 352, 1, 1, 3)),
    )
    assert [stage[1] for stage in scaled(0.35, 1.0)][:2] == [8, 8]  # 5.6 and 8.4


def test_a_block_adds_its_input_where_shapes_allow():
    """With the last scale at zero the second block gives its input; the first one gives zeros."""
    stages = ((2, 4, 2, 2, 3),)
    model = MobileNetV2(2, stages, stem=4, head=8)
    images = jax.random.normal(jax.random.key(0), (1, 8, 8, 3))
    variables = jax.jit(model.init)(jax.random.key(1), images)
    for block in ("stage1_block1", "stage1_block2"):
        variables["params"][block]["project_norm"]["scale"] = jnp.zeros(4)
    variables["params"]["stage1_block1"]["project_norm"]["bias"] = jnp.arange(4.0)
    _, seen = jax.jit(lambda v, x: model.apply(v, x, capture_intermediates=True))(variables, images)
    outputs = seen["intermediates"]
    first, second = (outputs[f"stage1_block{n}"]["__call__"][0] for n in (1, 2))
    assert first.shape == (1, 2, 2, 4)  # halved by the stem, and by the first block
    np.testing.assert_allclose(first[0, 0, 0], np.arange(4.0))
    np.testing.assert_allclose(second, first)
