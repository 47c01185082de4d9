"""Proximal policy optimisation: agents that learn a policy and a value.

    python -m experiments.ppo                    # CartPole-v1, eight agents
    python -m experiments.ppo --env=Acrobot-v1
    python -m experiments.ppo --env=Pendulum-v1 --episodes=256
    python -m experiments.ppo --play=0           # draws an episode of the best

Mean return +- deviation over 8 seeds, each of 64 test episodes (Pendulum 256), the greedy policy;
seconds of training on two cores:

    CartPole-v1    500 +- 0          1e5 steps an agent     5 s    random play 23
    Acrobot-v1     -78.8 +- 1.5      5e5                   21 s    random play -499
    Pendulum-v1    -152.2 +- 5.0     5e5                   33 s    random play -1229

Where the present does not tell all, a recurrent core is needed. Ten steps of MemoryChain, where the
first observation says which last action is right (chance: 0):

    python -m experiments.ppo --env=MemoryChain-bsuite --env_params=memory_length=10 \\
        --total_steps=100000 --core=gru

1 +- 0 with --core=gru, 1 +- 0 with lstm, 0.00 +- 0.23 with none. CartPole-v1 without velocities:

    python -m experiments.ppo --hide_velocities --environments=16 --rollout=32 \\
        --total_steps=300000 --core=gru

500 +- 0 with gru, 43.8 +- 0.4 with none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments import agents, base


@dataclass(frozen=True, kw_only=True)
class Config(agents.Config):
    """The flags of PPO."""

    tuned: ClassVar = {
        "": {
            "total_steps": 500_000, "environments": 16, "rollout": 128, "batch_size": 256,
            "epochs": 4, "gamma": 0.99, "entropy_weight": 0.0,
        },
        "CartPole-v1": {
            "total_steps": 100_000, "environments": 4, "batch_size": 128, "entropy_weight": 0.01,
        },
        "Pendulum-v1": {"gamma": 0.98, "epochs": 8},
    }  # fmt: skip

    workdir: str = base.field("runs/ppo", "folder of the run", path=True, resume=False)
    batch_size: int | None = base.field(None, "samples in a minibatch; none: as tuned", minimum=1)
    learning_rate: float = base.field(1e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = base.field(0.5, "largest norm of the gradient; 0: no clipping", minimum=0)
    gamma: float | None = base.field(None, "discount; none: as tuned", minimum=0, maximum=1)

    shared: bool = base.field(False, "one torso for policy and value")
    core: str = base.field(
        "none",
        "a recurrent layer between a shared torso and the heads",
        choices=("none", "gru", "lstm"),
    )
    epochs: int | None = base.field(None, "uses of each rollout; none: as tuned", minimum=1)
    lambda_: float = base.field(0.95, "lambda of the advantages", minimum=0, maximum=1)
    clip: float = base.field(0.2, "how far the ratio of probabilities may go", minimum=0)
    value_clip: float = base.field(0.0, "how far the value may go; 0: no limit", minimum=0)
    value_weight: float = base.field(0.5, "weight of the value's loss", minimum=0)
    entropy_weight: float | None = base.field(
        None, "weight of the entropy; none: as tuned", minimum=0
    )
    normalize_advantages: bool = base.field(True, "in each minibatch")
    target_kl: float = base.field(
        0.0, "leave the rollout where the policy has gone 1.5 times so far; 0: never", minimum=0
    )
    normalize_observations: bool = base.field(True, "by running mean and variance (never pictures)")
    scale_rewards: bool = base.field(True, "by the running deviation of the return")


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    from functools import partial

    from dljax.rl import ppo

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


if __name__ == "__main__":
    agents.main(make, Config, __doc__)
