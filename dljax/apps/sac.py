"""Soft actor-critic: continuous actions, learned off a replay memory."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax

from dljax.apps.configs.sac import Config
from dljax.envs.environment import Box
from dljax.rl import networks, sac


def make(config: Config) -> agents.Agent:
    """Environment, networks and Task of a Config.

    Raises ValueError for discrete actions, pictures, a common clipping of gradients, and where the
    program would hang.
    """
    env = agents.environment(config)
    if not isinstance(env.action, Box) or agents.pictured(env):
        raise ValueError(f"SAC wants vectors and continuous actions: {config.env} has other ones")
    if config.clip_norm:
        raise ValueError("clip_norm would mix the gradients of policy and critics: leave it 0")
    if (
        config.vectorize_seeds == "vmap" and jax.default_backend() == "cpu"
    ):  # measured, jaxlib 0.10.2
        raise ValueError(
            "seeds side by side make SAC hang in XLA's CPU runtime: use vectorize_seeds=map"
        )
    torso = agents.torso(config, env, activation=nn.relu)
    actor, critics = networks.SquashedActor(env.action, torso), networks.Critics(torso)
    settings = agents.settings(sac.Settings, config, warmup=config.warmup_steps)
    tx = agents.transformation(config, config.updates)
    task = sac.task(env, actor, critics, tx, settings)
    return agents.Agent("sac", env, task, partial(sac.acting, actor, best=True))
