"""Soft actor-critic: continuous actions, learned off a replay memory."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax

from dljax.apps.configs.sac import Config
from dljax.apps.rl import agent, training
from dljax.apps.rl.agent import Agent
from dljax.apps.rl.training import Trained
from dljax.envs.environment import Box
from dljax.rl import networks, sac
from dljax.run.experiment import Outcome


def make(config: Config) -> Agent:
    """Environment, networks and Task of a Config.

    Raises ValueError for discrete actions, images, and where the program would hang.
    """
    env = agent.environment(config)
    if not isinstance(env.action, Box) or agent.has_images(env):
        raise ValueError(f"SAC needs vectors and continuous actions: {config.env} has other ones")
    if config.vectorize_seeds == "on" and jax.default_backend() == "cpu":
        # Measured with jaxlib 0.10.2.
        raise ValueError("vectorised seeds make SAC hang on a CPU: use vectorize_seeds=off")
    torso = agent.torso(config, env, activation=nn.relu)
    actor, critics = networks.SquashedActor(env.action, torso), networks.Critics(torso)
    settings = agent.settings(sac.Settings, config, warmup=config.warmup_steps)
    tx = agent.transformation(config, config.updates)
    task = sac.task(env, actor, critics, tx, settings)
    return Agent(env, task, partial(sac.acting, actor, best=True))


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return training.train(config, make)


def load(workdir: str) -> Trained:
    """The trained agents of a run: its best checkpoint, the newest if none was scored."""
    return training.load(Config(workdir=workdir), make)


def play(config: Config) -> float:
    """Draws test episode config.play of the best checkpoint; returns its return."""
    return training.play(config, make)


def run(config: Config) -> None:
    """What the command line does."""
    training.run(config, make)
