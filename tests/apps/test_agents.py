"""The scripts of reinforcement learning: a short run of each, what it leaves, and refusals."""

import json
from typing import ClassVar

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import a2c, agents, dqn, ppo, pqn, reinforce, sac

SHORT = {"num_seeds": 2, "total_steps": 256, "episodes": 4, "features": (8,), "quiet": True}
SCRIPTS = {
    "ppo": (ppo, {"rollout": 32, "batch_size": 64}),
    "pqn": (pqn, {"rollout": 16, "environments": 8, "batch_size": 64, "epochs": 1}),
    "dqn": (dqn, {"capacity": 512, "warmup_steps": 64, "alpha": 0.5, "batch_size": 8}),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_run_leaves_everything(name, tmp_path, capsys):
    script, flags = SCRIPTS[name]
    config = script.Config(workdir=tmp_path, **SHORT, **flags)
    outcome = agents.train(config, script.make)
    config = agents.resolved(config)
    played = config.environments * config.rollout
    assert outcome.summary["steps"] == 256 // played
    scores = outcome.summary["metrics"]["return"]
    assert len(scores["per_seed"]) == 2 and 8 <= scores["mean"] <= 500
    middle = outcome.summary["interquartile_mean"]
    assert middle["value"] == pytest.approx(scores["mean"])
    assert 8 < outcome.summary["baselines"]["random"]["return"] < 100
    with Image.open(tmp_path / "plots" / "returns.png") as image:
        assert image.width > 500
    total = agents.play(script.Config(workdir=tmp_path, play=2), script.make)
    told = capsys.readouterr().out
    assert f"return {total:.1f}" in told and "test episode 2" in told
    with Image.open(tmp_path / "predictions" / "episode_2.gif") as film:
        assert film.n_frames == total  # CartPole pays one a step
        first = np.asarray(film.convert("RGB"))
        assert len(np.unique(first.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize("script", [a2c, reinforce, sac])
def test_other_scripts_make_what_the_loop_can_train(script):
    """Traced, not run: their algorithms are trained elsewhere."""
    config = agents.resolved(script.Config(features=(8,)))
    agent = script.make(config)
    state = jax.eval_shape(agent.task.init, jax.random.key(0))
    after, sums = jax.eval_shape(agent.task.step, state, (), jax.random.key(1))
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (state, after))
    assert shapes[0] == shapes[1] and {"loss", "return", "gradient_norm"} <= sums.keys()
    obs = jax.ShapeDtypeStruct((3, *agent.env.observation.shape), "float32")
    start = jax.ShapeDtypeStruct((3,), bool)
    _, action = jax.eval_shape(
        lambda state, obs, start: agent.greedy(state)(agent.memory(3), obs, start, None),
        state, obs, start,
    )  # fmt: skip
    assert action.shape == (3, *agent.env.action.shape)
    assert config.steps * config.environments * config.rollout >= 0.9 * config.total_steps


def test_total_steps_become_steps():
    config = agents.resolved(ppo.Config(total_steps=5000, environments=4, rollout=128))
    assert config.steps == 10
    assert agents.resolved(ppo.Config(steps=3)).steps == 3
    assert agents.resolved(config) == config


def test_flags_that_are_none_are_tuned_for_environment_then_family_then_all():
    class Config(agents.Config):
        tuned: ClassVar = {
            "": {"total_steps": 1, "environments": 2, "rollout": 3},
            "MinAtar": {"environments": 4, "rollout": 5},
            "Breakout-MinAtar": {"rollout": 6},
        }

    def found(env, **flags):
        config = agents.resolved(Config(env=env, **flags))
        return config.environments, config.rollout

    assert found("CartPole-v1") == (2, 3)
    assert found("Asterix-MinAtar") == (4, 5)
    assert found("Breakout-MinAtar") == (4, 6)
    assert found("Breakout-MinAtar", environments=2, rollout=9) == (2, 9)


@pytest.mark.parametrize(
    "script, flags, message",
    [
        (ppo, {"env": "Cartpole"}, "did you mean CartPole-v1"),
        (ppo, {"env_params": ("gravity",)}, "written name=value, not 'gravity'"),
        (ppo, {"env_params": ("gravity=low",)}, "'low' is no number"),
        (ppo, {"batch_size": 100}, "batch_size=100 must divide the 4 environments times 128"),
        (ppo, {"core": "gru", "batch_size": 64}, "8 minibatches do not divide the 4"),
        (ppo, {"env": "FourRooms-misc", "hide_velocities": True}, "not of FourRooms-misc"),
        (ppo, {"dataset": "digits"}, "see --env"),
        (sac, {"env": "CartPole-v1"}, "SAC wants vectors and continuous actions"),
        (sac, {"clip_norm": 1.0}, "would mix the gradients"),
        (sac, {"vectorize_seeds": "vmap"}, "use vectorize_seeds=map"),
        (a2c, {"env": "Cartpole"}, "did you mean CartPole-v1"),
        (pqn, {"env": "Pendulum-v1"}, "continuous actions: use experiments.ppo"),
        (dqn, {"warmup_steps": 100}, "multiple of a step's 32 transitions"),
    ],
)
def test_refusals_are_one_line(script, flags, message):
    with pytest.raises(ValueError, match=message) as error:
        agents.build(agents.resolved(script.Config(**flags)), script.make)
    assert "\n" not in str(error.value)


def test_environments_of_a_config():
    env = agents.environment(
        ppo.Config(env="Pendulum-v1", hide_velocities=True, frame_stack=2, sticky=0.1)
    )
    assert env.observation.shape == (4,) and env.action.low == -1
    short = agents.environment(ppo.Config(env_params=("max_steps_in_episode=7", "gravity=9.0")))
    assert short.limit == 7
    breakout = agents.environment(ppo.Config(env="Breakout-MinAtar"))
    assert agents.pictured(breakout) and breakout.observation.shape == (10, 10, 4)


def test_metrics_do_not_grow_with_environments(tmp_path):
    config = ppo.Config(
        workdir=tmp_path, environments=64, rollout=4, batch_size=128, steps=1, num_seeds=1,
        episodes=4, features=(8,), quiet=True, plots=False,
    )  # fmt: skip
    agents.train(config, ppo.make)
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert all(len(x["per_seed"]) == 1 for x in line.values() if isinstance(x, dict))
