"""Advantage actor-critic: the gradient of a policy and a value, one step along it a rollout.

    python -m experiments.a2c                    # CartPole-v1, eight agents
    python -m experiments.a2c --play=0           # draws an episode of the best

The first one, of 3e5 steps an agent: a return of 500 +- 0 over 8 seeds, each of 64 test episodes
(491 +- 7 where actions are drawn); random play 23; 5 s of training on two cores.

It is PPO with one epoch of one minibatch (Huang et al. 2022, "A2C is a special case of PPO"): where
the policy has not moved yet its ratio is 1, and the gradient of the clipped objective is that of
log pi(a | s) A (Mnih et al. 2016, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments import agents, base


@dataclass(frozen=True, kw_only=True)
class Config(agents.Config):
    """The flags of A2C; the defaults are tuned for CartPole-v1."""

    workdir: str = base.field("runs/a2c", "folder of the run", path=True, resume=False)
    total_steps: int = base.field(
        300_000, "steps of each agent's environments, all together", minimum=1
    )
    batch_size: int = base.field(0, "none: the whole rollout is the batch", choices=(0,))
    learning_rate: float = base.field(2e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = base.field(0.5, "largest norm of the gradient; 0: no clipping", minimum=0)
    environments: int = base.field(16, "environments side by side", minimum=1)
    rollout: int = base.field(8, "steps of each environment in a step of the task", minimum=1)

    shared: bool = base.field(False, "one torso for policy and value")
    core: str = base.field(
        "none",
        "a recurrent layer between a shared torso and the heads",
        choices=("none", "gru", "lstm"),
    )
    lambda_: float = base.field(0.95, "lambda of the advantages", minimum=0, maximum=1)
    value_weight: float = base.field(0.5, "weight of the value's loss", minimum=0)
    entropy_weight: float = base.field(0.01, "weight of the entropy", minimum=0)
    normalize_advantages: bool = base.field(False, "in each rollout")
    normalize_observations: bool = base.field(False, "by running mean and variance")
    scale_rewards: bool = base.field(True, "by the running deviation of the return")


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    from functools import partial

    from dljax.rl import ppo

    env = agents.environment(config)
    network = agents.actor_critic(config, env)
    settings = agents.settings(ppo.Settings, config, epochs=1, minibatches=1, value_clip=0.0)
    task = ppo.task(env, network, agents.transformation(config, 1), settings)
    greedy = partial(ppo.acting, network, settings, best=True)
    return agents.Agent("a2c", env, task, greedy, network.begin)


if __name__ == "__main__":
    agents.main(make, Config, __doc__)
