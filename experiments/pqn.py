"""PQN, parallelised Q-learning: many environments, no replay memory, no target network.

    python -m experiments.pqn                                     # CartPole-v1, eight agents
    python -m experiments.pqn --env=Breakout-MinAtar
    python -m experiments.pqn --env=FourRooms-misc --gamma=0.95   # beside the exact values
    python -m experiments.pqn --play=0                            # draws an episode of the best

Returns of 8 seeds, each of 64 test episodes, with the defaults (random play in brackets):
CartPole-v1, 2e5 steps an agent: 500 +- 0 (23). Acrobot-v1, 5e5: -84.2 +- 3.0 (-499).
MountainCar-v0, 1e6: -101.0 +- 1.4 (-200).
Breakout-MinAtar, 5e6: 58.8 +- 16.7 (0.3). SpaceInvaders-MinAtar, 1e6 (--total_steps): 120.9 +- 22.7
(4.2). FourRooms-misc, 5e5, --gamma=0.95: 1 +- 0 (0.4), from a value at the start of 0.276 where
the best policy's is 0.287.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments import agents, base


@dataclass(frozen=True, kw_only=True)
class Config(agents.Config):
    """The flags of PQN; the defaults are tuned for CartPole-v1 and what `tuned` names."""

    tuned: ClassVar = {
        "": {
            "total_steps": 200_000, "environments": 32, "rollout": 64, "epochs": 4,
            "batch_size": 128, "lambda_": 0.95, "reward_scale": 0.1, "explore": 0.2,
            "epsilon": 0.2,
        },
        "MinAtar": {
            "total_steps": 5_000_000, "environments": 128, "rollout": 32, "epochs": 2,
            "batch_size": 256, "reward_scale": 1.0, "explore": 0.1, "epsilon": 0.05,
            "lambda_": 0.7, "network": "mlp",
        },
        "FourRooms-misc": {
            "total_steps": 500_000, "lambda_": 0.0, "epsilon": 0.3, "reward_scale": 1.0,
            "observations": "unit",
        },
        "Acrobot-v1": {
            "total_steps": 500_000, "environments": 128, "rollout": 32, "batch_size": 256,
            "epsilon": 0.05, "lambda_": 0.8, "observations": "unit",
        },
        "MountainCar-v0": {
            "total_steps": 1_000_000, "environments": 128, "rollout": 32, "batch_size": 256,
            "epsilon": 0.05, "lambda_": 0.8, "observations": "unit",
        },
    }  # fmt: skip

    workdir: str = base.field("runs/pqn", "folder of the run", path=True, resume=False)
    batch_size: int | None = base.field(None, "samples in a minibatch; none: as tuned", minimum=1)
    learning_rate: float = base.field(1e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = base.field(10.0, "largest norm of the gradient; 0: no clipping", minimum=0)
    features: tuple[int, ...] = base.field((128, 128), "hidden units of each layer", minimum=1)

    duelling: bool = base.field(False, "value and advantages apart in the network")
    epochs: int | None = base.field(None, "uses of each rollout; none: as tuned", minimum=1)
    lambda_: float | None = base.field(
        None, "lambda of the returns; none: as tuned", minimum=0, maximum=1
    )
    reward_scale: float | None = base.field(
        None, "what rewards are multiplied by to learn; none: as tuned"
    )
    explore: float | None = base.field(
        None, "share of the steps in which random actions decline; none: as tuned",
        minimum=0, maximum=1,
    )  # fmt: skip
    epsilon: float | None = base.field(
        None, "share of random actions then, from 1 at first; none: as tuned", minimum=0, maximum=1
    )


def make(config: Config) -> agents.Agent:
    """Environment, network and Task of a Config."""
    from dljax.rl import exploration, pqn

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
        knows=lambda state: exploration.knowing(network, state.params, config.reward_scale),
    )


if __name__ == "__main__":
    agents.main(make, Config, __doc__)
