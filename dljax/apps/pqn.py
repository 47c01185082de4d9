"""PQN, parallelised Q-learning: many environments, no replay memory, no target network."""

from __future__ import annotations

from dljax.apps.configs.pqn import Config
from dljax.rl import exploration, pqn


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    env, parts = agents.environment(config), agents.minibatches(config)
    network = agents.action_values(config, env, norm=True)
    settings = agents.settings(
        pqn.Settings,
        config,
        minibatches=parts,
        exploration=agents.explored(config),
        epsilon=(1.0, config.epsilon),
    )
    task = pqn.task(env, network, agents.transformation(config, config.epochs * parts), settings)
    return agents.Agent(
        "pqn",
        env,
        task,
        greedy=lambda state: exploration.greedy(network, state.params),
        value_and_greedy=lambda state: exploration.value_and_greedy(
            network, state.params, config.reward_scale
        ),
    )
