"""The small network of images and volumes: shapes, and what a place far away can't change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.pooled_cnn import PooledCNN


@pytest.mark.parametrize(
    "shape, stride", [((12, 12, 1), 1), ((13, 9, 3), 1), ((24, 24, 1), 2), ((8, 9, 10, 1), 2)]
)
def test_shapes(shape, stride):
    model = PooledCNN(3, (4, 6), first=2, stride=stride, dropout=0.2)
    x = jnp.ones((2, *shape))
    logits, variables = model.init_with_output(jax.random.key(0), x)
    assert logits.shape == (2, 3) and logits.dtype == jnp.float32
    assert variables["params"]["classifier"]["kernel"].shape == (12, 3)
    sides = len(shape) - 1
    assert variables["params"]["stem"]["kernel"].shape[:-2] == ((3, 4)[stride > 1],) * sides


def test_features_are_the_mean_and_the_largest_of_the_maps():
    """An image twice as high, of the image and its copy, has the same features but for borders."""
    model = PooledCNN(2, (4,), first=2)
    variables = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 1)))
    maps, features = {}, {}

    def keep(function, args, kwargs, context):
        out = function(*args, **kwargs)
        name = context.module.path[-1] if context.module.path else ""
        if name == "classifier":
            features["x"] = args[0]
        elif name.startswith("BatchNorm"):
            maps["x"] = out
        return out

    import flax.linen as nn

    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 1))
    with nn.intercept_methods(keep):
        model.apply(variables, x)
    last = np.asarray(nn.gelu(maps["x"]))
    expected = np.concatenate([last.mean((1, 2)), last.max((1, 2))], -1)
    np.testing.assert_allclose(features["x"], expected, atol=1e-5)
