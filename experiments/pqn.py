"""PQN, parallelised Q-learning: many environments, no replay memory, no target network.

    python -m experiments.pqn                    # CartPole-v1, eight agents
    python -m experiments.pqn --play=0           # draws an episode of the best

The first one, of 2e5 steps an agent: a return of 500 +- 0 over 8 seeds, each of 64 test episodes;
random play 23. The defaults suit CartPole-v1; other environments want other flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments import agents, base

if TYPE_CHECKING:
    from experiments.session import Experiment, Outcome


@dataclass(frozen=True, kw_only=True)
class Config(agents.Config):
    """The flags of PQN; the defaults are tuned for CartPole-v1."""

    workdir: str = base.field("runs/pqn", "folder of the run", path=True, resume=False)
    total_steps: int = base.field(
        200_000, "steps of each agent's environments, all together", minimum=1
    )
    batch_size: int = base.field(128, "samples in a minibatch", minimum=1)
    learning_rate: float = base.field(1e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = base.field(10.0, "largest norm of the gradient; 0: no clipping", minimum=0)
    environments: int = base.field(32, "environments side by side", minimum=1)
    rollout: int = base.field(64, "steps of each environment in a step of the task", minimum=1)
    features: tuple[int, ...] = base.field((128, 128), "hidden units of each layer", minimum=1)

    duelling: bool = base.field(False, "value and advantages apart in the network")
    epochs: int = base.field(4, "uses of each rollout", minimum=1)
    lambda_: float = base.field(0.95, "lambda of the returns", minimum=0, maximum=1)
    reward_scale: float = base.field(0.1, "what rewards are multiplied by to learn")
    explore: float = base.field(
        0.2, "share of the steps in which random actions decline", minimum=0, maximum=1
    )
    epsilon: tuple[float, ...] = base.field(
        (1.0, 0.2), "share of random actions, first and last", minimum=0, maximum=1
    )


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    from dljax.rl import exploration, pqn

    env, parts = agents.environment(config), agents.minibatches(config)
    network = agents.action_values(config, env, norm=True)
    settings = agents.settings(
        pqn.Settings, config, minibatches=parts, exploration=agents.explored(config)
    )
    task = pqn.task(env, network, agents.transformation(config, config.epochs * parts), settings)
    return agents.Agent(env, task, lambda state: exploration.greedy(network, state.params))


def build(config: Config) -> Experiment:
    """What `session.train` trains. Raises ValueError, in one line, for what does not fit."""
    return agents.build("pqn", config, make(config))


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return agents.train(config, build)


def run(config: Config) -> None:
    """What the command line does."""
    if config.play >= 0:
        agents.play(config, make)
    else:
        train(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
