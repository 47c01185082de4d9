"""Deep Q-learning with a replay memory: double, duelling, prioritised, n-step, quantiles."""

from __future__ import annotations

from dljax.apps.configs.dqn import Config
from dljax.apps.rl import agent, training
from dljax.apps.rl.agent import Agent
from dljax.apps.rl.training import Trained
from dljax.rl import dqn, exploration
from dljax.run.experiment import Outcome


def make(config: Config) -> Agent:
    """Environment, network and Task of a Config."""
    env = agent.environment(config)
    network = agent.action_values(config, env, config.duelling, config.quantiles)
    settings = agent.settings(
        dqn.Settings,
        config,
        warmup=config.warmup_steps,
        exploration=agent.exploration_steps(config, config.explore),
        epsilon=(1.0, config.epsilon),
    )
    task = dqn.task(env, network, agent.transformation(config, config.updates), settings)
    return Agent(
        env,
        task,
        greedy=lambda state: exploration.greedy(network, state.params),
        value_and_greedy=lambda state: exploration.value_and_greedy(network, state.params),
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
