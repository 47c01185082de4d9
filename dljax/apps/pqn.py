"""PQN, parallelised Q-learning: many environments, no replay memory, no target network."""

from __future__ import annotations

from dljax.apps.configs.pqn import Config
from dljax.apps.rl import agent, training
from dljax.apps.rl.agent import Agent
from dljax.apps.rl.training import Trained
from dljax.rl import exploration, pqn
from dljax.run.experiment import Outcome


def make(config: Config) -> Agent:
    """Environment, network and Task of a Config."""
    env, minibatches = agent.environment(config), agent.minibatches(config)
    network = agent.action_values(config, env, config.duelling, norm=True)
    settings = agent.settings(
        pqn.Settings,
        config,
        minibatches=minibatches,
        exploration=agent.exploration_steps(config, config.explore),
        epsilon=(1.0, config.epsilon),
    )
    tx = agent.transformation(config, config.epochs * minibatches)
    return Agent(
        env,
        pqn.task(env, network, tx, settings),
        greedy=lambda state: exploration.greedy(network, state.params),
        value_and_greedy=lambda state: exploration.value_and_greedy(
            network, state.params, config.reward_scale
        ),
    )


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
