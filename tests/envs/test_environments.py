"""The one form of environments: gymnax in it, and the wrappers."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.envs import gymnax_environments, wrappers
from dljax.envs.environment import Box, Discrete, Environment, Step

KEY = jax.random.key(0)


def walked(env, actions, key=KEY):
    """The first observation and the Steps of these actions, as one stacked Step."""
    state, obs = env.reset(key)

    def one(state, action):
        return env.step(key, state, action)

    return obs, jax.lax.scan(one, state, jnp.asarray(actions))[1]


def counter(limit=100):
    """Sees the time and the last action, twice; its reward is the action."""
    space = Box((2,), -np.inf, np.inf)

    def step(key, state, action):
        time = state[0] + 1
        obs = jnp.array([time, action], jnp.float32)
        no = jnp.array(False)
        return (time,), Step(obs, jnp.float32(action), no, no)

    return Environment(
        "counter", lambda key: ((jnp.int32(0),), jnp.zeros(2)), step, space, Discrete(5), limit
    )


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "Pendulum-v1", "MountainCar-v0", "FourRooms-misc", "FrozenLake-misc",
             "UmbrellaChain-bsuite", "Breakout-MinAtar"]
)  # fmt: skip
def test_gymnax_keeps_the_form(name):
    env = gymnax_environments.make(name)
    state, obs = jax.eval_shape(env.reset, KEY)
    assert obs.shape == env.observation.shape
    action = jnp.zeros(env.action.shape, env.action.dtype)
    after, step = jax.eval_shape(env.step, KEY, state, action)
    assert after == state and step.obs == obs  # shapes, dtypes, and weak types
    assert (step.reward.shape, step.reward.dtype) == ((), jnp.float32)
    assert step.terminated.dtype == step.truncated.dtype == jnp.bool_
    assert env.limit > 1


def test_gymnax_truncates_at_its_limit_without_a_reset():
    env = gymnax_environments.make("MountainCar-v0", max_steps_in_episode=5)
    assert env.limit == 5
    _, steps = jax.jit(lambda: walked(env, [2] * 5))()
    assert steps.truncated.tolist() == [False] * 4 + [True]
    assert not steps.terminated.any()
    position = np.asarray(steps.obs[:, 0])
    assert (np.diff(position, 2) != 0).all() and abs(position[4] - position[3]) < 0.02


def test_gymnax_terminates_and_then_is_not_truncated():
    env = gymnax_environments.make("CartPole-v1", max_steps_in_episode=10)
    _, steps = jax.jit(lambda: walked(env, [1] * 10))()
    assert steps.terminated[-1] and not steps.truncated[-1]
    assert abs(steps.obs[-1, 2]) > 12 * np.pi / 180  # the true last observation: it has fallen


def test_gymnax_is_imported_without_seaborn_which_its_pictures_still_find():
    text = """if True:
        import sys
        from dljax.envs import gymnax_environments
        gymnax_environments.make("CartPole-v1")
        assert "seaborn" not in sys.modules
        from gymnax.environments.misc import pong
        assert len(pong.sns.color_palette("cubehelix", 3)) == 3
        import seaborn
        assert seaborn.color_palette is pong.sns.color_palette
    """
    subprocess.run([sys.executable, "-c", text], check=True, cwd=Path(__file__).parents[2])


def test_a_step_computes_no_reset(monkeypatch):
    import gymnax

    game, params = gymnax.make("Breakout-MinAtar")
    env = gymnax_environments.from_gymnax(game, params, "Breakout")
    state, _ = jax.eval_shape(env.reset, KEY)

    def never(key, params):
        raise AssertionError("a step computes a reset")

    monkeypatch.setattr(game, "reset_env", never)
    jax.eval_shape(env.step, KEY, state, jnp.int32(0))
    with pytest.raises(AssertionError, match="computes a reset"):  # as gymnax's own step does
        jax.eval_shape(game.step, KEY, state, jnp.int32(0), params)


@pytest.mark.parametrize(
    "name, parameters, message",
    [
        ("cartpole", {}, "unknown environment 'cartpole'; did you mean CartPole-v1[?]"),
        ("MountainCarr-v0", {}, "did you mean MountainCar-v0"),
        ("xyzzy", {}, "known are CartPole-v1, Pendulum-v1"),
        ("CartPole-v1", {"gravitty": 1.0}, "no parameter 'gravitty'; did you mean gravity[?]"),
        ("MNISTBandit-bsuite", {}, "not supported"),
    ],
)
def test_what_there_is_not(name, parameters, message):
    with pytest.raises(ValueError, match=message) as error:
        gymnax_environments.make(name, **parameters)
    assert "\n" not in str(error.value)


def test_arguments_of_the_class():
    assert gymnax_environments.make("DeepSea-bsuite", size=5).observation.shape == (5, 5)


def test_flatten_and_float32():
    lake = wrappers.float32(gymnax_environments.make("FrozenLake-misc"))
    _, obs = lake.reset(KEY)
    assert obs.shape == lake.observation.shape == (16,) and float(obs.sum()) == 1
    rooms = wrappers.flatten(gymnax_environments.make("FourRooms-misc"))
    state, obs = rooms.reset(KEY)
    assert obs.dtype == rooms.step(KEY, state, 0)[1].obs.dtype == jnp.float32


def test_hidden_velocities():
    env = gymnax_environments.make("CartPole-v1")
    hidden = wrappers.hide_velocities(env)
    full, part = walked(env, [1, 0]), walked(hidden, [1, 0])
    np.testing.assert_array_equal(part[0], full[0][jnp.array([0, 2])])
    np.testing.assert_array_equal(part[1].obs, full[1].obs[:, [0, 2]])
    assert hidden.observation.shape == (2,) and hidden.observation.high[0] == pytest.approx(4.8)
    with pytest.raises(ValueError, match="not of counter"):
        wrappers.hide_velocities(counter())


def test_sticky_actions():
    actions = jnp.arange(3000) % 5
    state, _ = counter().reset(KEY)
    env = wrappers.sticky_actions(counter(), 0.25)
    state, _ = env.reset(KEY)

    def one(state, x):
        return env.step(x[0], state, x[1])

    keys = jax.random.split(KEY, 3000)
    _, steps = jax.lax.scan(one, state, (keys, actions))
    taken = np.asarray(steps.reward)
    assert taken[0] == 0  # nothing to repeat yet
    stuck = taken != actions
    assert 0.22 < stuck.mean() < 0.28
    assert (taken[1:][stuck[1:]] == taken[:-1][stuck[1:]]).all()
    _, never = walked(wrappers.sticky_actions(counter(), 0.0), [3, 1])
    assert never.reward.tolist() == [3, 1]


def test_unit_observations():
    car = gymnax_environments.make("MountainCar-v0")
    _, steps = walked(wrappers.unit_observations(car), [2, 2])
    _, plain = walked(car, [2, 2])
    expected = (plain.obs - jnp.array([-0.3, 0.0])) / jnp.array([0.9, 0.07])
    np.testing.assert_allclose(steps.obs, expected, rtol=1e-5)
    pole = wrappers.unit_observations(gymnax_environments.make("CartPole-v1"))
    _, obs = pole.reset(KEY)
    _, plain = gymnax_environments.make("CartPole-v1").reset(KEY)
    np.testing.assert_allclose(obs / plain, [1 / 4.8, 1, 1 / pole_angle(), 1], rtol=1e-5)
    np.testing.assert_allclose(pole.observation.high[[0, 2]], 1, rtol=1e-6)


def pole_angle():
    return gymnax_environments.make("CartPole-v1").observation.high[2]


def test_frame_stack():
    env = wrappers.frame_stack(counter(), 3)
    first, steps = walked(env, [4, 2, 3])
    assert first.tolist() == [0] * 6 and env.observation.shape == (6,)
    assert steps.obs[1].tolist() == [0, 0, 1, 4, 2, 2]
    assert steps.obs[2].tolist() == [1, 4, 2, 2, 3, 3]


def test_unit_actions():
    env = gymnax_environments.make("Pendulum-v1")
    unit = wrappers.unit_actions(env)
    assert unit.action == Box((1,), -1.0, 1.0)
    _, ours = walked(unit, [[0.5], [-1.0], [9.0]])
    _, theirs = walked(env, [[1.0], [-2.0], [2.0]])
    np.testing.assert_allclose(ours.obs, theirs.obs, rtol=1e-6)
    boundless = env._replace(action=Box((1,)))
    with pytest.raises(ValueError, match="unbounded actions"):
        wrappers.unit_actions(boundless)


def acting(*bounds, shape=(2,)):
    """An environment whose reward is the first entry of the action that reaches it."""

    def step(key, state, action):
        no = jnp.array(False)
        return state, Step(jnp.zeros(1), jnp.float32(action[0]), no, no)

    space = Box(shape, *bounds)
    return Environment("own", lambda key: (0, jnp.zeros(1)), step, Box((1,)), space, 10)


@pytest.mark.parametrize(
    ("bounds", "seen"),
    [
        ((0.0, 500.0), [0, 0, 250, 500, 500]),
        (((-3.0, 1.0), (5.0, 2.0)), [-3, -3, 1, 5, 5]),
        ((-1.0, 1.0), [-1, -1, 0, 1, 1]),
        ((-np.inf, np.inf), [-7, -1, 0, 1, 7]),
        ((), [-7, -1, 0, 1, 7]),
        ((np.float32(-3.4e38), np.float32(3.4e38)), [-7, -1, 0, 1, 7]),
    ],
)
def test_actions_of_a_policy_are_mapped_to_their_bounds(bounds, seen):
    env = wrappers.policy_actions(acting(*bounds))
    given = np.repeat(np.array([-7.0, -1, 0, 1, 7])[:, None], 2, 1)
    assert walked(env, given)[1].reward.tolist() == seen
    again = wrappers.policy_actions(env)
    assert walked(again, given)[1].reward.tolist() == seen
    assert wrappers.policy_actions(counter()).action == Discrete(5)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (acting(0.0), "own: actions have bounds on one side or some entries only .0 to inf"),
        (acting((0.0, -np.inf), (1.0, np.inf)), "some entries only .0 to 1, -inf to inf"),
        (acting(3.0, 3.0), "bounds in the wrong order .3 to 3"),
        (acting(0.0, 1.0, shape=()), r"must be vectors, as Box\(\(1,\)\), not of the shape \(\)"),
        (acting(0.0, 1.0, shape=(2, 2)), "must be vectors"),
    ],
)
def test_bounds_that_cannot_be_mapped_are_refused(env, message):
    with pytest.raises(ValueError, match=message):
        wrappers.policy_actions(env)
