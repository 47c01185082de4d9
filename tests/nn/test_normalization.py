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


@pytest.mark.parametrize("mean", [0, 1e3, 1e4, -1e5])
@pytest.mark.parametrize("module", [BatchNorm(use_running_average=False), GroupNorm(2)])
def test_inputs_far_from_zero_are_normalised(module, mean):
    """E[x^2] - E[x]^2 in float32 loses all of a deviation of 1 from a mean of 1e4 on."""
    x = (np.random.default_rng(0).normal(mean, 1, (8, 12, 12, 6))).astype(np.float32)
    x[..., 3] += 7 * np.arange(12)[:, None]  # a slope: the middle row is no sample of the whole
    groups = 6 if isinstance(module, BatchNorm) else 2
    split = x.astype(np.float64).reshape(8, 144, groups, -1)
    axes = (0, 1, 3) if groups == 6 else (1, 3)
    centred = split - split.mean(axes, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + module.epsilon)
    variables = module.init(jax.random.key(0), x)
    y, updates = jit(lambda x: module.apply(variables, x, mutable=["batch_stats"]))(x)
    np.testing.assert_allclose(y, expected.reshape(x.shape), atol=1e-4 + 1e-7 * abs(mean))
    if groups == 6:
        var = (centred**2).mean(axes)
        found = (updates["batch_stats"]["var"] - 0.99) / 0.01
        np.testing.assert_allclose(found, var, rtol=1e-4, atol=1e-4)

    def loss(x):
        return (module.apply(variables, x, mutable=["batch_stats"])[0] * weights).sum()

    weights = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    near = jit(jax.grad(loss))((x - np.float32(mean)).astype(np.float32))
    np.testing.assert_allclose(jit(jax.grad(loss))(x), near, atol=1e-4 + 1e-6 * abs(mean))


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 6, 3), (7, 11, 11)])
@pytest.mark.parametrize("module", [BatchNorm(use_running_average=False), GroupNorm(2)])
def test_one_value_far_from_the_others(module, place):
    x = np.random.default_rng(0).normal(0, 1e-2, (8, 12, 12, 6)).astype(np.float32)
    x[place] = 1e4
    y, _ = module.apply(module.init(jax.random.key(0), x), x, mutable=["batch_stats"])
    theirs = nn.GroupNorm(2, use_fast_variance=False)
    if isinstance(module, BatchNorm):
        theirs = nn.BatchNorm(use_running_average=False, use_fast_variance=False)
    expected = theirs.apply(theirs.init(jax.random.key(0), x), x, mutable=["batch_stats"])[0]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


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
