"""`dljax.nn.parameters`: what a module asks for by name."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax.errors import NameInUseError, ScopeParamNotFoundError, ScopeParamShapeError

from dljax.nn.parameters import param


class Scale(nn.Module):
    values: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x):
        return x * param(self, "scale", self.values, x.shape[-1:], jnp.float16)


def test_it_is_made_once_and_then_read():
    calls = []

    def init(key, shape, dtype):
        calls.append(shape)
        return jnp.full(shape, 3, dtype)

    module, x = Scale(init), jnp.ones((2, 5))
    variables = module.init(jax.random.key(0), x)
    assert variables["params"]["scale"].dtype == jnp.float16
    assert (module.apply(variables, x) == 3).all() and calls == [(5,)]


def test_another_shape_and_none_are_refused_as_flax_does():
    module = Scale(nn.initializers.ones)
    variables = module.init(jax.random.key(0), jnp.ones((2, 5)))
    with pytest.raises(ScopeParamShapeError, match=r'"scale" in "/".*shape \(4,\), .*shape \(5,\)'):
        module.apply(variables, jnp.ones((2, 4)))
    with pytest.raises(ScopeParamNotFoundError, match='"scale"'):
        module.apply({"params": {"other": jnp.ones(5)}}, jnp.ones((2, 5)))


def test_a_name_is_used_once():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            return [param(self, "w", nn.initializers.ones, x.shape) for _ in range(2)]

    with pytest.raises(NameInUseError, match='"w"'):
        Twice().init(jax.random.key(0), jnp.ones(3))


def test_a_box_that_names_its_axes_is_opened():
    module, x = Scale(nn.with_partitioning(nn.initializers.ones, ("features",))), jnp.ones((2, 5))
    variables = module.init(jax.random.key(0), x)
    assert isinstance(variables["params"]["scale"], nn.Partitioned)
    assert (module.apply(variables, x) == x).all()
