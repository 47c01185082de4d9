"""BatchNorm and GroupNorm against Flax's: outputs, gradients and running statistics."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.normalization import BatchNorm, GroupNorm
from dljax.nn.spatial_sum import add_bias, sum_pixels

# Compiles five times as quickly as with optimisation, which small arrays do not need.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

RANDOM = dict(scale_init=nn.initializers.normal(), bias_init=nn.initializers.normal())
PAIRS = [
    (BatchNorm, nn.BatchNorm, dict(use_running_average=False, momentum=0.8)),
    (BatchNorm, nn.BatchNorm, dict(use_running_average=False, use_scale=False, epsilon=1e-3)),
    (BatchNorm, nn.BatchNorm, dict(use_running_average=True, use_bias=False)),
    (GroupNorm, nn.GroupNorm, dict(num_groups=2)),
    (GroupNorm, nn.GroupNorm, dict(num_groups=3, use_bias=False)),
]


def close(got, want, tolerance=2e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want
    )


@pytest.mark.parametrize("shape", [(3, 8, 6, 6), (4, 5, 6), (16, 6)])
@pytest.mark.parametrize(("ours", "theirs", "fields"), PAIRS)
def test_equals_flax(ours, theirs, fields, shape):
    x = 2 * jax.random.normal(jax.random.key(0), shape) + 1
    ours, theirs = ours(**RANDOM | fields), theirs(**RANDOM | fields)
    variables = theirs.init(jax.random.key(1), x)
    close(ours.init(jax.random.key(1), x), variables, 0)

    def run(module):
        def apply(x, variables):
            y, updates = module.apply(variables, x, mutable=["batch_stats"])
            return (y * jnp.sin(jnp.arange(y.size)).reshape(y.shape)).sum(), (y, updates)

        return jit(jax.value_and_grad(apply, (0, 1), has_aux=True))(x, variables)

    (loss, aux), gradients = run(ours)
    (their_loss, their_aux), their_gradients = run(theirs)
    gradients[1].pop("batch_stats", None), their_gradients[1].pop("batch_stats", None)
    close((loss, aux, gradients), (their_loss, their_aux, their_gradients), 1e-4)


def test_bfloat16_in_and_out_with_float32_statistics():
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 6), jnp.bfloat16)
    module = BatchNorm(use_running_average=False, dtype=jnp.bfloat16)
    variables = module.init(jax.random.key(1), x)
    y, updates = module.apply(variables, x, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    close(updates["batch_stats"]["mean"], 0.01 * x.astype(jnp.float32).mean((0, 1, 2)))


def test_twice_differentiated():
    x = jax.random.normal(jax.random.key(0), (3, 4, 4, 6))

    def penalty(module):
        variables = module.init(jax.random.key(1), x)
        slope = jax.grad(lambda x: (module.apply(variables, x) ** 3).sum())
        return jit(jax.grad(lambda x: (slope(x) ** 2).sum()))(x)

    close(penalty(GroupNorm(2)), penalty(nn.GroupNorm(2)), 5e-3)


def test_refuses_unequal_groups():
    with pytest.raises(ValueError, match="do not make 4 equal groups"):
        GroupNorm(4).init(jax.random.key(0), jnp.ones((1, 2, 2, 6)))


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 6, 2), (3, 1, 1, 4)])
def test_sum_pixels(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    y, transpose = jax.vjp(sum_pixels, x)
    close(y, x.sum((1, 2)))
    close(transpose(y)[0], jnp.broadcast_to(y[:, None, None], shape))


def test_add_bias():
    x, b = jax.random.normal(jax.random.key(0), (2, 4, 4, 3)), jnp.arange(3.0)
    y, transpose = jax.vjp(add_bias, x, b)
    close((y, *transpose(x)), (x + b, x, x.sum((0, 1, 2))))
