"""Learned values of FrozenLake against the exact ones; maps of it and of MountainCar."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dljax.apps import pqn
from dljax.apps.configs.agent import resolved
from dljax.apps.rl import value_maps
from dljax.apps.rl.agent import Agent, environment
from dljax.envs import gymnax_environments
from dljax.rl import exploration, tabular


def config(**flags):
    return resolved(pqn.Config(**flags))


def table_agent(config):
    """Its State is q [S, A] itself, for it observes the one-hot code of the environment's state."""

    def value_and_greedy(state):
        return lambda obs: ((obs @ state).max(-1), (obs @ state).argmax(-1))

    return Agent(environment(config), None, None, value_and_greedy=value_and_greedy)


@pytest.fixture(scope="module")
def lake():
    """The exact q [16, 4] of FrozenLake, zero in its holes and its goal."""
    small = tabular.SMALL["FrozenLake-misc"]
    env = gymnax_environments.make("FrozenLake-misc", **small.never_fails)
    problem = tabular.table(env, small, small.slip({}))
    q = np.zeros((16, 4))
    q[problem.obs] = tabular.value_iteration(problem, 0.9).q
    return q


def test_exact_and_learned(lake, tmp_path):
    flags = config(env="FrozenLake-misc", gamma=0.9)
    run = types.SimpleNamespace(states=jnp.stack([lake, 0 * lake]))
    findings, (line,) = value_maps.compared(flags, table_agent(flags), run)
    found, first = findings["values"], lake[0].max()
    assert found["exact"] == pytest.approx(first) and 0.05 < first < 0.1
    assert found["learned"] == pytest.approx([first, 0], rel=1e-5)
    assert found["of_the_policy"][0] == pytest.approx(first)
    assert 0 <= found["of_the_policy"][1] < 0.5 * first  # whoever always goes left
    assert found["mean_error"] == pytest.approx([0, lake.max(1).sum() / 11], abs=1e-6)
    assert f"exact {first:.4f}" in line and "all 11 states" in line
    value_maps.draw(flags, table_agent(flags), run, tmp_path / "values.png")
    with Image.open(tmp_path / "values.png") as image:
        assert image.width > 1.5 * image.height  # two grids


@pytest.mark.parametrize(
    "flags", [{"env": "CartPole-v1"}, {"env": "FrozenLake-misc", "sticky": 0.5},
              {"env": "FrozenLake-misc", "sweep": ("gamma=0.9,0.8",)},
              {"env": "DeepSea-bsuite", "env_params": ("deterministic=false",)}]
)  # fmt: skip
def test_nothing_is_compared_where_no_values_are_known(flags):
    flags = config(**flags)
    assert value_maps.compared(flags, table_agent(flags), None) == ({}, ())


def test_a_car_is_mapped_as_the_agent_observes_it(tmp_path):
    flags = config(env="MountainCar-v0")
    assert flags.observations == "unit"
    observed = []

    def value_and_greedy(state):
        def evaluate(obs):
            observed.append(np.asarray(obs))
            return jnp.asarray(obs[:, 0]), jnp.asarray(obs[:, 1] > 0, int)

        return evaluate

    network = types.SimpleNamespace(apply=lambda params, obs: jnp.tile(params, (len(obs), 1)))
    agent = Agent(
        environment(flags),
        None,
        greedy=lambda state: exploration.greedy(network, state),
        value_and_greedy=value_and_greedy,
    )
    run = types.SimpleNamespace(states=jnp.array([[0.0, 0.0, 1.0]]))
    value_maps.draw(flags, agent, run, tmp_path / "values.png")
    (obs,) = observed
    np.testing.assert_allclose(obs.min(0), [-1, -1], atol=1e-5)
    np.testing.assert_allclose(obs.max(0), [1, 1], atol=1e-5)
    with Image.open(tmp_path / "values.png") as image:
        assert image.width > 800
