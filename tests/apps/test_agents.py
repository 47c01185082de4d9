"""The applications of reinforcement learning: a short run, what it leaves, and refusals."""

import contextlib
import io
import json
import types
from typing import ClassVar

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import a2c, dqn, ppo, pqn, reinforce, sac
from dljax.apps.configs.agent import AgentConfig, resolved, tuned_table
from dljax.apps.rl import agent, training
from dljax.data.record import differences
from dljax.run.command_line import UsageError, help_text, parse

LIMIT = 50  # steps of an episode: some of these agents keep the pole up, and each is a drawn frame
SHORT = {
    "num_seeds": 2, "total_steps": 256, "episodes": 4, "features": (8,), "eval_every": 1,
    "env_params": (f"max_steps_in_episode={LIMIT}",),
}  # fmt: skip
TRAINED = {
    "ppo": (ppo, {"rollout": 32, "batch_size": 64}),
    "pqn": (pqn, {"rollout": 16, "environments": 8, "batch_size": 64, "epochs": 1}),
    "dqn": (dqn, {"capacity": 512, "warmup_steps": 64, "alpha": 0.5, "batch_size": 8}),
}


@pytest.fixture(scope="module", params=TRAINED)
def trained(request, tmp_path_factory):
    """An app, its Config, its Outcome, and what it printed."""
    app, flags = TRAINED[request.param]
    config = app.Config(workdir=tmp_path_factory.mktemp(request.param), **SHORT, **flags)
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        outcome = app.train(config)
    return types.SimpleNamespace(
        app=app, config=config, outcome=outcome, printed=printed.getvalue()
    )


def test_a_run_leaves_everything(trained):
    summary = trained.outcome.summary
    config = resolved(trained.config)
    assert summary["steps"] == 256 // (config.environments * config.rollout)
    scores = summary["metrics"]["return"]
    assert len(scores["per_seed"]) == 2 and 8 <= scores["mean"] <= LIMIT
    assert summary["interquartile_mean"]["value"] == pytest.approx(scores["mean"])
    assert 8 < summary["baselines"]["random"]["return"] < LIMIT
    assert summary["data"]["CartPole-v1"] == {
        "observation": "4 numbers", "action": "one of 2",
        "episode": f"at most {LIMIT} steps",
    }  # fmt: skip
    with Image.open(f"{config.workdir}/plots/returns.png") as image:
        assert image.width > 500


def test_metrics_do_not_grow_with_environments(trained):
    with open(f"{trained.config.workdir}/metrics.jsonl") as lines:
        line = json.loads(lines.readline())
    lengths = {len(x["per_seed"]) for x in line.values() if isinstance(x, dict)}
    assert lengths == {2}  # seeds, of four environments or more each


def test_what_is_printed_shows_spaces_and_returns(trained):
    assert "CartPole-v1: observation 4 numbers, action one of 2" in trained.printed
    lines = [line for line in trained.printed.splitlines() if line.startswith("step ")]
    assert len(lines) == trained.outcome.summary["steps"]
    assert all("validation: return" in line for line in lines)
    assert "nan" not in trained.printed and "entropy" not in trained.printed
    assert max(map(len, lines)) <= 100


def test_a_trained_agent_is_asked(trained):
    """Two observations at once: of either seed, it does what `play` lets it do."""
    found = trained.app.load(str(trained.config.workdir))
    assert found.step in range(1, trained.outcome.summary["steps"] + 1)
    leaf = jax.tree.leaves(found.states)[0]
    assert leaf.shape[0] == 2 and found.config.num_seeds == 2
    obs = np.float32([[0, 0, 0.2, 3], [0, 0, -0.2, -3]])
    for seed in 0, 1:
        memory, action = found.policy(seed)(found.agent.memory(2), obs, np.ones(2, bool), None)
        assert memory == () and action.shape == (2,) and set(action.tolist()) <= {0, 1}
    with pytest.raises(FileNotFoundError, match="holds no run"):
        trained.app.load("nowhere")


OWN = """
import jax.numpy as jnp
from dljax.envs.environment import Box, Discrete, Environment, Step

def make(length=10):
    def reset(key):
        return jnp.int32(0), jnp.zeros(1)

    def step(key, state, action):
        end = state + 1 >= length
        return state + 1, Step(jnp.zeros(1), jnp.float32(action), jnp.array(False), end)

    return Environment("own", reset, step, Box((1,)), Discrete(2), length)
"""


def test_an_environment_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "agents_own_env.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    flags = ["--env=agents_own_env:make", "--env_params=length=4"]
    for app in ppo, pqn, dqn, a2c, reinforce:
        config = resolved(parse(app.Config, [app.__name__, *flags, "--features=8"]))
        made = app.make(config)
        assert made.env.limit == 4 and config.workdir.endswith("-agents_own_env_make")
        record = agent.environment_record(config, made.env)
    assert record.derived == {"parameters": {"length": 4}}  # what a run is continued on
    other = agent.environment_record(app.Config(env=flags[0][6:]), made.env)
    assert "length 4 then, 10 now" in differences(record.fingerprint(), other.fingerprint())[0]


def test_an_episode_is_played(trained, capsys):
    config = trained.app.Config(workdir=trained.config.workdir, play=2)
    total = trained.app.play(config)
    printed = capsys.readouterr().out
    assert f"return {total:.1f}" in printed and "test episode 2" in printed
    with Image.open(f"{config.workdir}/predictions/episode_2.gif") as film:
        assert film.n_frames == total  # CartPole pays one a step
        first = np.asarray(film.convert("RGB"))
        assert len(np.unique(first.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize("app", [a2c, reinforce, sac])
def test_other_apps_make_what_the_loop_can_train(app):
    """Traced, not run: their algorithms are trained elsewhere."""
    config = resolved(app.Config(features=(8,)))
    made = app.make(config)
    state = jax.eval_shape(made.task.init, jax.random.key(0))
    after, sums = jax.eval_shape(made.task.step, state, (), jax.random.key(1))
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (state, after))
    assert shapes[0] == shapes[1] and {"loss", "return", "gradient_norm"} <= sums.keys()
    obs = jax.ShapeDtypeStruct((3, *made.env.observation.shape), "float32")
    start = jax.ShapeDtypeStruct((3,), bool)
    _, action = jax.eval_shape(
        lambda state, obs, start: made.greedy(state)(made.memory(3), obs, start, None),
        state, obs, start,
    )  # fmt: skip
    assert action.shape == (3, *made.env.action.shape)
    assert config.steps * config.environments * config.rollout >= 0.9 * config.total_steps


@pytest.mark.parametrize("app", [ppo, dqn, pqn, reinforce, sac])
def test_settings_and_flags_have_the_same_defaults(app, monkeypatch):
    """Where nothing is tuned, but for the steps in which random actions decline."""
    algorithm, given = getattr(app, app.__name__.rpartition(".")[2]), []
    monkeypatch.setattr(algorithm, "task", lambda *args: given.append(args[-1]))
    app.make(resolved(app.Config(env="Pendulum-v1" if app is sac else "Catch-bsuite")))
    own = algorithm.Settings()
    same = {"exploration": own.exploration} if hasattr(own, "exploration") else {}
    assert given[0]._replace(**same) == own


def test_total_steps_become_steps():
    config = resolved(ppo.Config(total_steps=5000, environments=4, rollout=128))
    assert config.steps == 10
    assert resolved(ppo.Config(steps=3)).steps == 3
    assert resolved(config) == config


def test_the_workdir_names_the_environment():
    assert ppo.Config().workdir == "runs/ppo-CartPole-v1"
    assert sac.Config().workdir == "runs/sac-Pendulum-v1"


def test_flags_that_are_none_are_tuned_for_environment_then_family_then_all():
    class Config(AgentConfig):
        tuned: ClassVar = {
            "": {"total_steps": 1, "environments": 2, "rollout": 3},
            "MinAtar": {"environments": 4, "rollout": 5},
            "Breakout-MinAtar": {"rollout": 6},
        }

    def found(env, **flags):
        config = resolved(Config(env=env, **flags))
        return config.environments, config.rollout

    assert found("CartPole-v1") == (2, 3)
    assert found("Asterix-MinAtar") == (4, 5)
    assert found("Breakout-MinAtar") == (4, 6)
    assert found("Breakout-MinAtar", environments=2, rollout=9) == (2, 9)
    table = tuned_table(Config).splitlines()
    assert "  any environment: total_steps=1, environments=2, rollout=3" in table
    assert table[-1] == "  Breakout-MinAtar: rollout=6"


@pytest.mark.parametrize(
    "app, flags, message",
    [
        (ppo, {"env": "Cartpole"}, "did you mean CartPole-v1"),
        (ppo, {"env_params": ("gravity",)}, "written name=value, not 'gravity'"),
        (ppo, {"env_params": ("gravity=low",)}, "'low' is no number"),
        (ppo, {"batch_size": 100}, "batch_size=100 must divide the 4 environments times 128"),
        (ppo, {"core": "gru", "batch_size": 64}, "8 minibatches do not divide the 4"),
        (ppo, {"env": "FourRooms-misc", "hide_velocities": True}, "not of FourRooms-misc"),
        (sac, {"env": "CartPole-v1"}, "SAC needs vectors and continuous actions"),
        (sac, {"vectorize_seeds": "on"}, "use vectorize_seeds=off"),
        (a2c, {"env": "Cartpole"}, "did you mean CartPole-v1"),
        (pqn, {"env": "Pendulum-v1"}, "continuous actions: use experiments.ppo"),
        (dqn, {"warmup_steps": 100}, "multiple of a step's 32 transitions"),
    ],
)
def test_refusals_are_one_line(app, flags, message):
    with pytest.raises(ValueError, match=message) as error:
        training.build(resolved(app.Config(**flags)), app.make)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "app, flag",
    [(ppo, "dataset=digits"), (ppo, "predict=x"), (sac, "clip_norm=1"), (a2c, "batch_size=8")],
)
def test_flags_that_an_agent_does_not_serve(app, flag):
    with pytest.raises(UsageError, match=f"unknown flag --{flag.partition('=')[0]}"):
        parse(app.Config, ["app", f"--{flag}"])
    assert f"--{flag.partition('=')[0]}=" not in help_text(app.Config, "", "app")


def test_environments_of_a_config():
    env = agent.environment(
        ppo.Config(env="Pendulum-v1", hide_velocities=True, frame_stack=2, sticky=0.1)
    )
    assert env.observation.shape == (4,) and env.action.low == -1
    config = ppo.Config(env="Pendulum-v1")
    (spaces,) = agent.environment_record(config, env).summary.values()
    assert spaces["action"] == "1 number from -1 to 1"
    heavier = agent.environment_record(ppo.Config(env="Pendulum-v1", env_params=("m=2.0",)), env)
    said = differences(agent.environment_record(config, env).fingerprint(), heavier.fingerprint())
    assert said == ["parameters: m 1.0 then, 2.0 now"]
    short = agent.environment(ppo.Config(env_params=("max_steps_in_episode=7", "gravity=9.0")))
    assert short.limit == 7
    breakout = agent.environment(ppo.Config(env="Breakout-MinAtar"))
    assert agent.has_images(breakout) and breakout.observation.shape == (10, 10, 4)
