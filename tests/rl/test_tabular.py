"""Tables of small problems against the environments themselves, exact values, and learned ones."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.data import feed
from dljax.envs import gymnax_environments, wrappers
from dljax.rl import networks, pqn, tabular
from tests.helpers import SEEDS, devices, most, run_steps


@functools.cache
def known(name, **parameters):
    small = tabular.SMALL[name]
    env = gymnax_environments.make(name, **{**parameters, **small.never_fails})
    return tabular.table(env, small, small.slip(parameters))


@pytest.fixture(scope="module")
def rooms():
    return known("FourRooms-misc")


def by_hand():
    """Of the first state, action 0 stays and pays 1, action 1 ends and pays 4; the second pays 3.

    Action 0 is carried out as action 1 a quarter of the time.
    """
    return tabular.Table(
        obs=np.zeros((2, 1)),
        place=np.zeros((2, 2)),
        to=np.zeros((2, 2, 2)),
        next=np.array([[0, 0], [0, 0]]),
        reward=np.array([[1.0, 4.0], [3.0, 3.0]]),
        terminated=np.array([[False, True], [True, True]]),
        slip=np.array([[0.75, 0.25], [0.0, 1.0]]),
        start=np.array([1.0, 0.0]),
    )


def test_two_states_by_hand():
    problem = by_hand()
    # v = max(0.75 (1 + 0.5 v) + 0.25 * 4, 4) = 4, for 1.75 + 0.375 v has its fixed point at 2.8
    found = tabular.value_iteration(problem, 0.5)
    np.testing.assert_allclose(found.v, [4.0, 3.0])
    np.testing.assert_allclose(found.q, [[3.25, 4.0], [3.0, 3.0]])
    # and with gamma 0.9: 1.75 + 0.675 v = v at 5.3846
    np.testing.assert_allclose(tabular.value_iteration(problem, 0.9).v[0], 1.75 / 0.325)
    with pytest.raises(ValueError, match="below 1, not 1"):
        tabular.value_iteration(problem, 1.0)


def test_deep_sea_pays_for_going_right_alone():
    problem = known("DeepSea-bsuite", size=4)
    assert len(problem.obs) == 10 and problem.start[0] == 1
    found = tabular.value_iteration(problem, 0.5)
    cost = 0.01 / 4  # of each move to the right; the last one is paid 1
    first = -cost * (1 + 0.5 + 0.25) + 0.125 * (1 - cost)
    np.testing.assert_allclose(found.v[0], first, rtol=1e-6)
    for parameters in ({"deterministic": False}, {"sample_action_map": True}):
        with pytest.raises(ValueError, match="only if deterministic"):
            known("DeepSea-bsuite", **parameters)


def test_four_rooms(rooms):
    assert len(rooms.obs) == 103  # all but the goal
    ending = rooms.to[rooms.terminated]
    assert (ending == [8, 9]).all() and (rooms.reward == rooms.terminated).all()
    found = tabular.value_iteration(rooms, 0.9)
    beside = np.abs(rooms.place - [8, 9]).sum(1) == 1
    assert found.v[beside].min() > found.v[~beside].max()
    # Bellman's equation, by transition probabilities as one array.
    p = np.zeros((103, 4, 104))
    for s, a, b in np.ndindex(103, 4, 4):
        p[s, a, 103 if rooms.terminated[s, b] else rooms.next[s, b]] += 2 / 3 if a == b else 1 / 9
    v = np.append(found.v, 0.0)
    np.testing.assert_allclose(p[:, :, 103] + 0.9 * p @ v, found.q, atol=1e-7)


@pytest.mark.parametrize(
    "name, parameters",
    [("FourRooms-misc", {}), ("FourRooms-misc", {"fail_prob": 0.6}), ("FrozenLake-misc", {}),
     ("FrozenLake-misc", {"success_rate": 0.8})],
)  # fmt: skip
def test_moves_fail_as_often_as_the_environment_says(name, parameters):
    small, env = tabular.SMALL[name], gymnax_environments.make(name, **parameters)
    problem = known(name, **parameters)
    step = jax.vmap(jax.vmap(env.step, (0, None, None)), (None, None, 0))

    @jax.jit
    def places():
        state, _ = env.reset(jax.random.key(0))
        keys = jax.random.split(jax.random.key(1), 4000)
        after, _ = step(keys, state, jnp.arange(4))
        return jnp.stack(jax.vmap(jax.vmap(small.place))(after), -1)

    place = np.asarray(places())
    for action in range(4):
        for target in np.unique(problem.to[0], axis=0):
            expected = problem.slip[action][(problem.to[0] == target).all(1)].sum()
            assert abs((place[action] == target).all(1).mean() - expected) < 0.03


def test_learned_values_are_the_exact_ones():
    """PQN on a sea of depth 4: by one-step targets, from random play, it learns all of q."""
    env = wrappers.flatten(gymnax_environments.make("DeepSea-bsuite", size=4))
    network = networks.ActionValues(env.action, partial(networks.MLP, (32,), norm=True))
    settings = pqn.Settings(
        environments=16,
        rollout=8,
        epsilon=(1.0, 1.0),
        gamma=0.5,
        lambda_=0.0,
        minibatches=4,
        reward_scale=1.0,
    )
    rate = optax.linear_schedule(1e-2, 0, 200 * settings.epochs * settings.minibatches)
    task = pqn.task(env, network, optax.adam(rate), settings)
    run, _ = run_steps(task, feed.empty(), devices(1, vmap=True), SEEDS, [200])
    problem = known("DeepSea-bsuite", size=4)
    know = jax.vmap(network.apply, (0, None))
    learned = know(run.states.params, problem.obs.reshape(10, 16))
    exact = tabular.value_iteration(problem, 0.5)
    assert exact.q.max() > 0.99
    error = abs(learned - exact.q).max((1, 2))
    assert most(error < 0.02), error


def test_the_value_of_a_policy():
    """Of the best policy it is the best value; of one that always ends or always stays, by hand."""
    problem = by_hand()
    # action 0: 1.75 + 0.5 * 0.75 v = v; action 1: 4 at once
    stays = tabular.policy_evaluation(problem, np.array([0, 0]), 0.5)
    np.testing.assert_allclose(stays, [1.75 / 0.625, 3.0])
    ends = tabular.policy_evaluation(problem, np.array([1, 0]), 0.5)
    np.testing.assert_allclose(ends, tabular.value_iteration(problem, 0.5).v)


def test_what_has_no_table():
    with pytest.raises(ValueError, match="only of its 4x4 map"):
        known("FrozenLake-misc", map_name="8x8")
    with pytest.raises(ValueError, match="more than 4000 states"):
        known("FourRooms-misc", resample_goal_pos=True, resample_init_pos=True)
