"""Placements over eight virtual devices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dljax.nn.convolution import Conv
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import max_pool
from dljax.train.parallel import place
from tests.helpers import devices


@pytest.mark.parametrize(
    "mode, batch_size, num_seeds, axis, size",
    [
        ("auto", 16, 1, "data", 8),
        ("auto", 12, 1, "data", 1),
        ("auto", 0, 1, "data", 1),  # a task that makes its own data
        ("none", 16, 8, "data", 1),
        ("data", 16, 1, "data", 8),
        ("fsdp", 16, 1, "data", 8),
        ("pmap", 3, 16, "replica", 8),
    ],
)
def test_place(mode, batch_size, num_seeds, axis, size):
    placement = place(mode, batch_size=batch_size, num_seeds=num_seeds)
    assert (placement.axis, placement.size) == (axis, size)
    assert placement.batch_multiple == (size if axis == "data" else 1)
    assert placement.platform == "cpu"


@pytest.mark.parametrize(
    "mode, batch_size, num_seeds, message",
    [
        ("data", 12, 8, "batch_size=12 is not a multiple of the 8 devices"),
        ("fsdp", 12, 8, "batch_size=12 is not a multiple of the 8 devices"),
        ("pmap", 16, 4, "num_seeds=4 is not a multiple of 8"),
        ("both", 16, 8, "parallel='both': choose one of auto, none, data, fsdp, pmap"),
    ],
)
def test_place_refuses_what_cannot_be_split(mode, batch_size, num_seeds, message):
    with pytest.raises(ValueError, match=message):
        place(mode, batch_size=batch_size, num_seeds=num_seeds)


def test_what_is_split():
    items, examples = np.zeros((8, 2, 16)), np.zeros((16, 3))

    def shape(placement, x, sharding):
        return placement.put(x, sharding).addressable_shards[0].data.shape

    data, replica = devices(8), devices(8, "replica")
    assert shape(data, items, data.items()) == (8, 2, 2)
    assert shape(data, examples, data.examples()) == (2, 3)
    assert shape(data, items, data.seeds()) == (8, 2, 16)
    assert shape(replica, items, replica.items()) == (1, 2, 16)
    assert shape(replica, examples, replica.examples()) == (16, 3)
    assert shape(replica, items, replica.seeds()) == (1, 2, 16)
    states = {
        "buffer": np.zeros((2, 8, 16)),
        "rest": np.zeros((2, 8, 16)),
        "bias": np.zeros((2, 3)),
    }
    spec = {"buffer": P("data"), "rest": P(), "bias": P()}
    assert data.states(spec, states)["buffer"].spec == P(None, "data")
    assert data.states(spec, states)["rest"].spec == P(None)
    split = data._replace(fsdp=True).states(spec, states)
    assert split["buffer"].spec == P(None, "data")
    assert split["rest"].spec == P(None, None, "data")  # the longest axis
    assert split["bias"].spec == P(None)  # 8 devices do not divide 3


def test_over_seeds():
    def f(x, y):
        return {"sum": x + y, "y": y}

    x = np.arange(8.0)
    side_by_side = devices(1)._replace(vmap=True)
    for placement in (devices(1), side_by_side, devices(8), devices(8, "replica")):
        out = jax.jit(placement.over_seeds(f, (0, None)))(x, 10.0)
        np.testing.assert_array_equal(out["sum"], x + 10)
        np.testing.assert_array_equal(out["y"], np.full(8, 10.0))


class Layers(nn.Module):
    """What a convolutional network is made of."""

    @nn.compact
    def __call__(self, x):
        x = Conv(6, (5, 5))(x)
        x = max_pool(nn.relu(BatchNorm(use_running_average=False)(x)), 2)
        x = Conv(16, (3, 3), strides=2)(x)
        x = Conv(16, (3, 3), feature_group_count=16)(x)
        return Conv(8, (1, 1))(x)


def test_each_device_works_on_its_own_images():
    """Sums alone cross the network: no device gets another's images, or all."""
    model, placement = Layers(), devices(8)
    x = jnp.zeros((16, 8, 8, 3))
    params = model.init(jax.random.key(0), x)["params"]

    def loss(params, x):
        return (model.apply({"params": params}, x, mutable="batch_stats")[0] ** 2).sum()

    split = jax.sharding.NamedSharding(placement.mesh, P("data"))
    gradient = jax.jit(jax.grad(loss), in_shardings=(placement.everywhere(), split))
    program = gradient.lower(params, x).compile().as_text()
    assert "all-reduce" in program
    for other in ("all-gather", "all-to-all", "collective-permute"):
        assert other not in program
