"""REINFORCE with a baseline: the simplest policy gradient, whole episodes at a time.

    python -m experiments.reinforce              # CartPole-v1, eight agents
    python -m experiments.reinforce --play=0     # draws an episode of the best

The first one, of 1e6 steps an agent: a return of 497 +- 5 over 8 seeds, each of 64 test episodes;
random play 23; 11 s of training on two cores. The steps that are counted are those of the rollout,
also where an episode ends before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments import agents, base


@dataclass(frozen=True, kw_only=True)
class Config(agents.Config):
    """The flags of REINFORCE; the defaults are tuned for CartPole-v1."""

    workdir: str = base.field("runs/reinforce", "folder of the run", path=True, resume=False)
    total_steps: int = base.field(
        1_000_000, "steps of each agent's environments, all together", minimum=1
    )
    batch_size: int = base.field(0, "none: the whole rollout is the batch", choices=(0,))
    learning_rate: float = base.field(5e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = base.field(0.5, "largest norm of the gradient; 0: no clipping", minimum=0)
    environments: int = base.field(16, "episodes in a step of the task", minimum=1)
    rollout: int = base.field(500, "steps of an episode that are played at most", minimum=1)

    shared: bool = base.field(False, "one torso for policy and value")
    value_weight: float = base.field(0.5, "weight of the baseline's loss", minimum=0)
    entropy_weight: float = base.field(0.01, "weight of the entropy", minimum=0)


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    from functools import partial

    from dljax.rl import networks, reinforce

    env = agents.environment(config)
    network = networks.ActorCritic(env.action, agents.torso(config, env), shared=config.shared)
    settings = agents.settings(reinforce.Settings, config)
    task = reinforce.task(env, network, agents.transformation(config, 1), settings)
    return agents.Agent("reinforce", env, task, partial(reinforce.acting, network, best=True))


if __name__ == "__main__":
    agents.main(make, Config, __doc__)
