"""Advantage actor-critic: the gradient of a policy and a value, one step along it a rollout."""

from __future__ import annotations

from functools import partial

from dljax.apps.configs.a2c import Config
from dljax.rl import ppo


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    env = agents.environment(config)
    network = agents.actor_critic(config, env)
    settings = agents.settings(ppo.Settings, config, epochs=1, minibatches=1, value_clip=0.0)
    task = ppo.task(env, network, agents.transformation(config, 1), settings)
    greedy = partial(ppo.acting, network, settings, best=True)
    return agents.Agent("a2c", env, task, greedy, network.begin)
