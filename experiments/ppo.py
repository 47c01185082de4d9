"""Proximal policy optimisation: agents that learn a policy and a value.

    python -m experiments.ppo                                      # CartPole-v1, eight agents
    python -m experiments.ppo --play=0                             # draws an episode of the best
    python -m experiments.ppo --env=CartPole-v1 --hide_velocities --recurrent --environments=16

The first one, of 1e5 steps an agent: a return of 500 +- 0 over 8 seeds, each of 64 test episodes;
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
    """The flags of PPO; the defaults are tuned for CartPole-v1."""

    workdir: str = base.field("runs/ppo", "folder of the run", path=True, resume=False)
    total_steps: int = base.field(
        100_000, "steps of each agent's environments, all together", minimum=1
    )
    batch_size: int = base.field(128, "samples in a minibatch", minimum=1)
    learning_rate: float = base.field(1e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = base.field(0.5, "largest norm of the gradient; 0: no clipping", minimum=0)

    shared: bool = base.field(False, "one torso for policy and value")
    recurrent: bool = base.field(False, "a GRU between a shared torso and the heads")
    epochs: int = base.field(4, "uses of each rollout", minimum=1)
    lambda_: float = base.field(0.95, "lambda of the advantages", minimum=0, maximum=1)
    clip: float = base.field(0.2, "how far the ratio of probabilities may go", minimum=0)
    value_clip: float = base.field(0.0, "how far the value may go; 0: no limit", minimum=0)
    value_weight: float = base.field(0.5, "weight of the value's loss", minimum=0)
    entropy_weight: float = base.field(0.01, "weight of the entropy", minimum=0)
    normalize_advantages: bool = base.field(True, "in each minibatch")
    target_kl: float = base.field(
        0.0, "leave the rollout where the policy has gone 1.5 times so far; 0: never", minimum=0
    )
    normalize_observations: bool = base.field(False, "by running mean and variance")
    scale_rewards: bool = base.field(True, "by the running deviation of the return")


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    from functools import partial

    from dljax.rl import networks, ppo

    env, parts = agents.environment(config), agents.minibatches(config)
    network = networks.ActorCritic(
        env.action,
        agents.torso(config, env),
        shared=config.shared or config.recurrent,
        core=networks.Core(config.features[-1]) if config.recurrent else None,
    )
    settings = agents.settings(ppo.Settings, config, minibatches=parts)
    tx = agents.transformation(config, config.epochs * parts)
    task = ppo.task(env, network, tx, settings)
    return agents.Agent(env, task, partial(ppo.acting, network, settings, best=True), network.begin)


def build(config: Config) -> Experiment:
    """What `session.train` trains. Raises ValueError, in one line, for what does not fit."""
    return agents.build("ppo", config, make(config))


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
