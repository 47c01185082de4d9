"""The dense layer against its definition and Flax's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.dense import Dense, dense, dense_reference


def test_equals_its_definition():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5))
    w, b = jax.random.normal(jax.random.key(1), (5, 4)), jnp.arange(4.0)
    for arguments in [(x, w), (x, w, b)]:
        got, transpose = jax.vjp(dense, *arguments)
        want, their_transpose = jax.vjp(dense_reference, *arguments)
        for a, c in zip((got, *transpose(want)), (want, *their_transpose(want)), strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5)


def test_module_equals_flax():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5))
    for fields in [dict(features=4), dict(features=2, use_bias=False, dtype=jnp.bfloat16)]:
        variables = nn.Dense(**fields).init(jax.random.key(1), x)
        jax.tree.map(
            np.testing.assert_array_equal, Dense(**fields).init(jax.random.key(1), x), variables
        )
        got, want = Dense(**fields).apply(variables, x), nn.Dense(**fields).apply(variables, x)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(
            got.astype(jnp.float32), want.astype(jnp.float32), rtol=1e-5, atol=1e-5
        )


def test_refuses():
    with pytest.raises(ValueError, match="dense of 3 features does not fit"):
        dense(jnp.ones((2, 3)), jnp.ones((4, 5)))
