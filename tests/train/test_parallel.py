"""Placements over eight virtual devices, and what several processes need to say."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dljax.train import parallel
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
    items, examples = np.zeros((8, 2, 16)), np.zeros((2, 16))

    def shape(placement, x, sharding):
        return placement.put(x, sharding).addressable_shards[0].data.shape

    data, replica = devices(8), devices(8, "replica")
    assert shape(data, items, data.items()) == (8, 2, 2)
    assert shape(data, examples, data.examples()) == (2, 2)
    assert shape(data, items, data.seeds()) == (8, 2, 16)
    assert shape(replica, items, replica.items()) == (1, 2, 16)
    assert shape(replica, examples, replica.examples()) == (2, 16)
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


VARIABLES = (
    "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID",
    "SLURM_NTASKS", "SLURM_PROCID", "OMPI_COMM_WORLD_SIZE", "TPU_WORKER_HOSTNAMES",
)  # fmt: skip


@pytest.mark.parametrize(
    "environment, call",
    [
        ({}, None),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"SLURM_NTASKS": "4"}, None),  # salloc: tasks, but this is not one of them
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}, ()),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, ()),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, ()),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "host:1234",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": "1",
            },
            ("host:1234", 2, 1),
        ),
    ],
)
def test_initialize_processes(monkeypatch, environment, call):
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args: calls.append(args))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    parallel.initialize_processes()
    assert calls == ([] if call is None else [call])


def test_half_a_description_of_processes(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "host:1234")
    monkeypatch.delenv("JAX_NUM_PROCESSES", raising=False)
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES is not: set all three or none"):
        parallel.initialize_processes()
