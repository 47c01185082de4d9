"""Advantage actor-critic: the gradient of a policy and a value, one step along it a rollout."""

from __future__ import annotations

from functools import partial

from dljax.apps.configs.a2c import Config
from dljax.apps.rl import agent, training
from dljax.apps.rl.agent import Agent
from dljax.apps.rl.training import Trained
from dljax.rl import ppo
from dljax.run.experiment import Outcome


def make(config: Config) -> Agent:
    """Environment, network and Task of a Config."""
    env = agent.environment(config)
    network = agent.actor_critic(config, env, config.shared, config.core)
    settings = agent.settings(ppo.Settings, config, epochs=1, minibatches=1, value_clip=0.0)
    task = ppo.task(env, network, agent.transformation(config, 1), settings)
    return Agent(env, task, partial(ppo.acting, network, settings, best=True), network.begin)


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
