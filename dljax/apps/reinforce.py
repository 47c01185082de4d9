"""REINFORCE with a baseline: the simplest policy gradient, whole episodes at a time."""

from __future__ import annotations

from functools import partial

from dljax.apps.configs.reinforce import Config
from dljax.rl import networks, reinforce


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    env = agents.environment(config)
    network = networks.ActorCritic(env.action, agents.torso(config, env), shared=config.shared)
    settings = agents.settings(reinforce.Settings, config)
    task = reinforce.task(env, network, agents.transformation(config, 1), settings)
    return agents.Agent("reinforce", env, task, partial(reinforce.acting, network, best=True))
