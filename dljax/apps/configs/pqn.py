"""The flags of pqn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.agent import AgentConfig
from dljax.run.config import field, override


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of PQN; the defaults are tuned for CartPole-v1 and what `tuned` names."""

    name: ClassVar[str] = "pqn"
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

    batch_size: int | None = field(
        None, "samples in a minibatch; none: as tuned", minimum=1, group="optimizer"
    )
    clip_norm = override(10.0)
    features = override((128, 128))

    duelling: bool = field(False, "value and advantages apart in the network")
    epochs: int | None = field(None, "uses of each rollout; none: as tuned", minimum=1)
    lambda_: float | None = field(
        None, "lambda of the returns; none: as tuned", minimum=0, maximum=1
    )
    reward_scale: float | None = field(None, "factor of the rewards in learning; none: as tuned")
    explore: float | None = field(
        None, "share of the steps in which random actions decline; none: as tuned",
        minimum=0, maximum=1,
    )  # fmt: skip
    epsilon: float | None = field(
        None, "share of random actions then, from 1 at first; none: as tuned", minimum=0, maximum=1
    )
