"""Returns against hand-computed numbers and against their definitions, as sums."""

import jax
import jax.numpy as jnp
import numpy as np

from dljax.rl import returns

# Three steps; the second one terminates an episode, the third one is in the next.
R = jnp.array([1.0, 2.0, 3.0])
DISCOUNT = jnp.array([0.5, 0.0, 0.5])
V_TM1 = jnp.array([10.0, 20.0, 30.0])
V_T = jnp.array([20.0, 99.0, 40.0])  # 99: the value of a terminated state counts for nothing


def test_discounted_scan():
    y = returns.discounted_scan(jnp.array([1.0, 2.0, 3.0]), 0.5, 8.0)
    np.testing.assert_allclose(y, [3.75, 5.5, 7.0])  # 3 + 4; 2 + 3.5; 1 + 2.75


def test_discounted():
    # 3 + 0.5 * 40; 2; 1 + 0.5 * 2
    np.testing.assert_allclose(returns.discounted(R, DISCOUNT, 40.0), [2.0, 2.0, 23.0])


def test_lambda_returns():
    # backwards: 3 + 0.5 * 40 = 23; 2; 1 + 0.5 (0.5 * 20 + 0.5 * 2) = 6.5
    found = returns.lambda_returns(R, DISCOUNT, V_T, 0.5)
    np.testing.assert_allclose(found, [6.5, 2.0, 23.0])
    np.testing.assert_allclose(returns.lambda_returns(R, DISCOUNT, V_T, 0.0), [11.0, 2.0, 23.0])
    np.testing.assert_allclose(
        returns.lambda_returns(R, DISCOUNT, V_T), returns.discounted(R, DISCOUNT, V_T[-1])
    )


def test_gae():
    # deltas: 1 + 10 - 10 = 1; 2 - 20 = -18; 3 + 20 - 30 = -7. First: 1 + 0.5 * 0.8 * -18
    found = returns.gae(R, DISCOUNT, V_TM1, V_T, 0.8)
    np.testing.assert_allclose(found, [-6.2, -18.0, -7.0], rtol=1e-6)


def test_gae_is_the_lambda_return_less_the_value():
    found = returns.gae(R, DISCOUNT, V_TM1, V_T, 0.8) + V_TM1
    # true where v_t is the next v_tm1, or worth nothing
    np.testing.assert_allclose(found, returns.lambda_returns(R, DISCOUNT, V_T, 0.8), rtol=1e-6)


def test_a_truncated_step_ends_in_the_value_of_its_last_state():
    """The second step is cut by a time limit: its discount stays, lambda is 0 there."""
    discount, lambda_ = jnp.full(3, 0.5), jnp.array([1.0, 0.0, 1.0])
    # 3 + 0.5 * 40 = 23; 2 + 0.5 * 99 = 51.5; 1 + 0.5 * 51.5 = 26.75
    expected = [26.75, 51.5, 23.0]
    np.testing.assert_allclose(returns.lambda_returns(R, discount, V_T, lambda_), expected)
    gae = returns.gae(R, discount, V_TM1, V_T, lambda_)
    np.testing.assert_allclose(gae + V_TM1, expected, rtol=1e-6)


def test_many_trajectories_by_vmap():
    two = [jnp.stack([x, 2 * x], 1) for x in (R, V_TM1, V_T)]
    found = jax.vmap(returns.gae, 1, 1)(
        two[0], jnp.stack([DISCOUNT] * 2, 1), two[1], two[2], jnp.full((3, 2), 0.8)
    )
    np.testing.assert_allclose(found[:, 1], 2 * found[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 0], [-6.2, -18.0, -7.0], rtol=1e-6)
