"""Proximal policy optimisation: agents that learn a policy and a value."""

from __future__ import annotations

from functools import partial

from dljax.apps.configs.ppo import Config
from dljax.rl import ppo


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    env, parts = agents.environment(config), agents.minibatches(config)
    network = agents.actor_critic(config, env)
    normalize = config.normalize_observations and not agents.pictured(env)
    settings = agents.settings(
        ppo.Settings, config, minibatches=parts, normalize_observations=normalize
    )
    tx = agents.transformation(config, config.epochs * parts)
    task = ppo.task(env, network, tx, settings)
    greedy = partial(ppo.acting, network, settings, best=True)
    return agents.Agent("ppo", env, task, greedy, network.begin)
