"""An environment of your own, by module and function: what it may be, and what is refused."""

import sys

import jax
import jax.numpy as jnp
import pytest

from dljax.envs import environment, named
from dljax.envs.environment import Box, Discrete, Environment, Step

MODULE = """
import gymnax
import jax.numpy as jnp
from dljax.envs.environment import Box, Discrete, Environment, Step

KEPT = 3

def count(length=10, pay=1.0):
    def reset(key):
        return jnp.int32(0), jnp.zeros(1)

    def step(key, state, action):
        state += 1
        reward = pay * jnp.float32(action == 1)
        return state, Step(jnp.zeros(1), reward, jnp.array(False), state >= length)

    return Environment("count", reset, step, Box((1,)), Discrete(2), length)

def gym():
    return gymnax.make("CartPole-v1")

def alone():
    return gymnax.make("Pendulum-v1")[0]

def number():
    return 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module own_envs that can be imported, and one that lacks what it imports."""
    (tmp_path / "own_envs.py").write_text(MODULE)
    (tmp_path / "lame_envs.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_envs"
    sys.modules.pop("own_envs", None)


def test_an_environment_by_module_and_function(own):
    env = named.make(f"{own}:count", length=4, pay=2.5)
    assert (env.name, env.limit) == ("count", 4)
    _, step = env.step(jax.random.key(0), jnp.int32(3), jnp.int32(1))
    assert (step.reward, step.truncated) == (2.5, True)
    assert named.all_parameters(f"{own}:count", length=4) == {"length": 4, "pay": 1.0}
    assert named.make(f"{own}:gym").observation.shape == (4,)
    assert named.make(f"{own}:alone").action.shape == (1,)


@pytest.mark.parametrize(
    "name, parameters, message",
    [
        ("own_envs:", {}, "written MODULE:FUNCTION, not 'own_envs:'"),
        ("own envs:count", {}, "written MODULE:FUNCTION"),
        ("no_envs:count", {}, "no_envs:count: there is no module no_envs in the working folder"),
        ("own_envs.x:count", {}, "there is no module own_envs.x"),
        ("own_envs:KEPT", {}, "has no function 'KEPT', but count, gym, alone, number"),
        ("own_envs:count", {"size": 3}, "env_params: got an unexpected keyword argument 'size'"),
        ("own_envs:number", {}, "must return a dljax.envs.environment.Environment, .* not a int"),
    ],
)
def test_what_is_no_environment_is_refused(own, name, parameters, message):
    with pytest.raises(ValueError, match=message) as error:
        named.make(name, **parameters)
    assert "\n" not in str(error.value)


def test_what_the_module_itself_raises_is_shown(own):
    with pytest.raises(ModuleNotFoundError, match="nothing_of_the_kind"):
        named.make("lame_envs:count")


def env(**changes):
    def reset(key):
        return jnp.int32(0), jnp.zeros(2)

    def step(key, state, action):
        x = {"state": state + 1, "obs": jnp.ones(2), "reward": jnp.float32(1), "end": state > 3}
        x |= {name: value for name, value in changes.items() if name in x}
        return x["state"], Step(x["obs"], x["reward"], x["end"], jnp.array(False))

    made = Environment("own", reset, step, Box((2,)), Discrete(2), 5)
    return made._replace(**{k: x for k, x in changes.items() if k in made._fields})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"action": 3}, "action must be a Discrete or a Box, not 3"),
        ({"limit": 0}, "limit must be a whole number from 1 on, not 0"),
        ({"reset": lambda key: jnp.zeros(2)}, r"reset must return \(state, observation\)"),
        ({"step": lambda key, state, action: (state, 1, 2)}, r"step must return \(state, Step"),
        ({"observation": Box((3,))}, r"reset observes \(2,\), its space says \(3,\)"),
        ({"obs": jnp.ones(3)}, r"step observes \(3,\), its space says \(2,\)"),
        ({"reward": jnp.int32(1)}, r"reward must be one float, not int32\[\]"),
        ({"reward": jnp.ones(1)}, r"reward must be one float, not float32\[1\]"),
        ({"end": jnp.int32(0)}, r"terminated must be one bool, not int32\[\]"),
        (
            {"state": jnp.float32(1)},
            r"step changes the form of the state from int32\[\] to float",
        ),
    ],
)
def test_what_does_not_fit_is_said(changes, message):
    assert environment.check(env()).limit == 5
    with pytest.raises(ValueError, match=f"environment own: {message}") as error:
        environment.check(env(**changes))
    assert "\n" not in str(error.value)
