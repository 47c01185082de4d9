"""Pooling against its definition, Flax and PyTorch: values, gradients and the rule for ties."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn import pooling

# Compiles five times as quickly as with optimisation, which small arrays do not need.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

CASES = [
    dict(window=2),
    dict(window=(2, 3), strides=(2, 1)),
    dict(window=3, strides=2, padding="SAME"),
    dict(window=3, strides=2, padding=1),
    dict(window=3, strides=1, padding=((0, 2), (1, 0))),
    dict(window=2, strides=3),
]
PAIRS = [
    (pooling.max_pool, pooling.max_pool_reference, CASES),
    (pooling.avg_pool, pooling.avg_pool_reference, CASES),
    (
        pooling.avg_pool,
        pooling.avg_pool_reference,
        [case | dict(count_include_pad=False) for case in CASES],
    ),
    (pooling.global_avg_pool, pooling.global_avg_pool_reference, [{}]),
    (pooling.global_max_pool, pooling.global_max_pool_reference, [{}]),
]


def images(shape=(2, 6, 7, 2)):
    return jax.random.normal(jax.random.key(0), shape)


def value_and_gradient(f, x):
    y, transpose = jax.vjp(f, x)
    return y, transpose(jnp.sin(jnp.arange(y.size)).reshape(y.shape))[0]


def all_cases(f, cases, x):
    return jit(lambda x: [value_and_gradient(lambda x, c=case: f(x, **c), x) for case in cases])(x)


def close(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), got, want)


@pytest.mark.parametrize(("fast", "reference", "cases"), PAIRS)
def test_equals_its_definition(fast, reference, cases):
    close(all_cases(fast, cases, images()), all_cases(reference, cases, images()))


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
def test_equals_flax(name):
    cases = [
        dict(window=(2, 2), strides=(2, 2), padding="VALID"),
        dict(window=(3, 2), strides=(2, 1), padding="SAME"),
    ]
    theirs = getattr(nn, name)

    def flax(x, window, strides, padding):
        return theirs(x, window, strides=strides, padding=padding)

    close(all_cases(getattr(pooling, name), cases, images()), all_cases(flax, cases, images()))


def test_ties_give_the_whole_gradient_to_the_first_in_reading_order():
    x = jnp.array([[3.0, 3.0, 1.0], [3.0, 0.0, 1.0]]).reshape(1, 2, 3, 1)
    gradient = jax.grad(
        lambda x: (pooling.max_pool(x, 2, 1) * jnp.array([5.0, 7.0])[:, None]).sum()
    )
    np.testing.assert_array_equal(gradient(x)[0, :, :, 0], [[5, 7, 0], [0, 0, 0]])


def test_ties_equal_those_of_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    x = np.random.default_rng(0).integers(0, 2, (2, 9, 9, 3)).astype(np.float32)
    y, got = value_and_gradient(lambda x: pooling.max_pool(x, 3, 2, 1), jnp.asarray(x))
    tx = torch.tensor(x).permute(0, 3, 1, 2).contiguous().requires_grad_()
    ty = torch.nn.functional.max_pool2d(tx, 3, 2, 1)
    weights = np.sin(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
    (want,) = torch.autograd.grad(ty, tx, torch.tensor(weights).permute(0, 3, 1, 2))
    close(got, want.permute(0, 2, 3, 1).numpy())


def test_ties_of_the_global_maximum_share():
    gradient = jax.grad(lambda x: pooling.global_max_pool(x).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient, np.full((1, 2, 2, 1), 0.25))


def test_inside_scan_and_vmap():
    x = images((3, 2, 6, 6, 2))

    def both(f):
        gradient = jax.grad(lambda x: (f(x, 3, 2, 1) ** 2).sum())
        return jit(lambda: (jax.vmap(gradient)(x), jax.lax.map(gradient, x)))()

    close(both(pooling.max_pool), both(pooling.max_pool_reference))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "window must be"), ((9,), "does not fit into"), ((2, 2, "same"), "padding must be")],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        pooling.max_pool(images(), *arguments)
