"""Rings of rows, windows of them, and priorities."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.rl import dqn, replay, transitions

ADD = jax.jit(replay.add)
ADD_PRIORITISED = jax.jit(replay.add_prioritised)
SAMPLE = jax.jit(replay.sample, static_argnums=(2, 3))
SAMPLE_PRIORITISED = jax.jit(replay.sample_prioritised, static_argnums=(2, 4))


@partial(jax.jit, static_argnums=1)
def rows(first, count, environments=2):
    """Rows whose entries tell time and environment: 10 t + e."""
    time = first + jnp.arange(count)
    return {"x": 10 * time[:, None] + jnp.arange(environments)}


def filled(count, capacity=6):
    memory = replay.empty(capacity, rows(0, 2))
    for first in range(0, count, 2):
        memory = ADD(memory, rows(first, 2))
    return memory


def drawn(memory, n=1, batch=4000):
    return np.asarray(SAMPLE(memory, jax.random.key(0), batch, n)["x"])


@pytest.fixture(scope="module")
def prioritised():
    """Six rows of two environments, times 4 to 9, all of weight 1."""
    memory = replay.prioritised(replay.empty(6, rows(0, 2)))
    for first in range(0, 10, 2):
        memory = ADD_PRIORITISED(memory, rows(first, 2), 0.5)
    return memory


def test_only_what_was_added_is_sampled():
    values, counts = np.unique(drawn(filled(4)), return_counts=True)
    assert values.tolist() == [0, 1, 10, 11, 20, 21, 30, 31]
    assert counts.min() > 420  # of 500 expected


def test_the_oldest_rows_give_way():
    assert np.unique(drawn(filled(10))).tolist() == [40, 41, 50, 51, 60, 61, 70, 71, 80, 81, 90, 91]


def test_windows_are_consecutive_and_never_cross_the_end():
    for count in (4, 10):
        window = drawn(filled(count), n=3)
        assert (np.diff(window, axis=0) == 10).all()
        first = max(count - 6, 0)
        assert np.unique(window[0] // 10).tolist() == list(range(first, count - 2))


def test_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="7 rows can't be filled 2 at once"):
        replay.empty(7, rows(0, 2))


def test_priorities(prioritised):
    place = (jnp.array([4, 0]), jnp.array([1, 0]))  # row 4: time 4; row 0: time 6
    memory = jax.jit(replay.reprioritise)(prioritised, place, jnp.array([-9.0, 4.0]), 0.5)
    found = SAMPLE_PRIORITISED(memory, jax.random.key(1), 16_000, 1.0, 1)
    values, counts = np.unique(np.asarray(found.windows["x"][0]), return_counts=True)
    weight = dict.fromkeys([40, 50, 51, 61, 70, 71, 80, 81, 90, 91], 1.0) | {41: 3.0, 60: 2.0}
    assert values.tolist() == sorted(weight)
    expected = np.array([weight[v] for v in values]) / 15
    np.testing.assert_allclose(counts / 16_000, expected, atol=0.002)  # drawn by strata
    # with beta 1, every entry counts the same in expectation
    x, importance = np.asarray(found.windows["x"][0]), np.asarray(found.importance)
    assert importance.max() == 1
    assert importance[x == 41][0] == pytest.approx(1 / 3, rel=1e-4)
    assert memory.largest == pytest.approx(9, rel=1e-5)
    # the next rows begin with the largest priority
    memory = ADD_PRIORITISED(memory, rows(10, 2), 0.5)
    np.testing.assert_allclose(memory.weight[4], 3.0, rtol=1e-5)


def test_windows_by_priority_do_not_cross_the_end(prioritised):
    found = SAMPLE_PRIORITISED(prioritised, jax.random.key(1), 500, 0.5, 3)
    window = np.asarray(found.windows["x"])
    assert (np.diff(window, axis=0) == 10).all()
    assert np.unique(window[0] // 10).tolist() == [4, 5, 6, 7]
    row, environment = found.place
    np.testing.assert_array_equal(
        np.asarray(prioritised.replay.data["x"])[row, environment], window[0]
    )


def test_n_step_targets():
    """Three windows of three steps: whole, terminated after two, truncated after one."""
    no = np.zeros((3, 3), bool)
    terminated, truncated = no.copy(), no.copy()
    terminated[1, 1], truncated[0, 2] = True, True
    window = transitions.Transitions(
        obs=jnp.zeros((3, 3, 1)),
        action=jnp.zeros((3, 3), jnp.int32),
        reward=jnp.array([[1.0] * 3, [2.0] * 3, [4.0] * 3]),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        next_obs=jnp.array([[[10.0]] * 3, [[20.0]] * 3, [[30.0]] * 3]),
    )
    total, discount, last = jax.jit(transitions.n_step)(window, 0.5)
    np.testing.assert_allclose(total, [1 + 1 + 1, 1 + 1, 1])
    np.testing.assert_allclose(discount, [0.125, 0.0, 0.5])
    np.testing.assert_allclose(last[:, 0], [30, 20, 10])


def test_quantile_loss():
    """K = 2: tau is 1/4 and 3/4, the Huber loss of 1 is 1/2 and of 3 it is 5/2; all times two."""
    loss, target = jax.jit(dqn.quantile_loss), jnp.array([[1.0, 3.0]])
    # u = 1, 3 above tau 1/4: 2 (0.5 + 2.5) / 2 / 4; u = -1, 1: 2 (0.5 / 4 + 0.5 * 3 / 4) / 2
    np.testing.assert_allclose(loss(jnp.array([[0.0, 2.0]]), target), [0.75 + 0.5])
    # of a single quantile it is the Huber loss
    single = loss(jnp.array([[0.0], [4.0]]), jnp.array([[3.0], [3.5]]))
    np.testing.assert_allclose(single, [2.5, 0.125])


def test_quantiles_are_those_of_the_target():
    """Of 0 .. 999 the quarters' middles; Huber's loss is the absolute one that far away."""
    target = jnp.arange(1000.0)[None]

    def step(theta, _):
        return theta - 20 * jax.grad(lambda x: dqn.quantile_loss(x, target).sum())(theta), None

    theta, _ = jax.lax.scan(step, jnp.full((1, 4), 300.0), length=400)
    np.testing.assert_allclose(theta[0], [125, 375, 625, 875], atol=5)
