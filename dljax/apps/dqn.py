"""Deep Q-learning with a replay memory: double, duelling, prioritised, n-step, quantiles."""

from __future__ import annotations

from dljax.apps.configs.dqn import Config
from dljax.rl import dqn, exploration


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    env = agents.environment(config)
    network = agents.action_values(config, env).clone(quantiles=config.quantiles)
    settings = agents.settings(
        dqn.Settings,
        config,
        warmup=config.warmup_steps,
        exploration=agents.explored(config),
        epsilon=(1.0, config.epsilon),
    )
    task = dqn.task(env, network, agents.transformation(config, config.updates), settings)
    return agents.Agent(
        "dqn",
        env,
        task,
        greedy=lambda state: exploration.greedy(network, state.params),
        value_and_greedy=lambda state: exploration.value_and_greedy(network, state.params),
    )
