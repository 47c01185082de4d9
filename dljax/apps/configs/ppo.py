"""The flags of ppo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.agent import AgentConfig
from dljax.run.config import field, override


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of PPO."""

    name: ClassVar[str] = "ppo"
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

    batch_size: int | None = field(
        None, "samples in a minibatch; none: as tuned", minimum=1, group="optimizer"
    )
    clip_norm = override(0.5)
    gamma: float | None = field(None, "discount; none: as tuned", minimum=0, maximum=1)

    shared: bool = field(False, "one torso for policy and value")
    core: str = field(
        "none",
        "a recurrent layer between a shared torso and the heads",
        choices=("none", "gru", "lstm"),
    )
    epochs: int | None = field(None, "uses of each rollout; none: as tuned", minimum=1)
    lambda_: float = field(0.95, "lambda of the advantages", minimum=0, maximum=1)
    clip: float = field(0.2, "largest change of the ratio of probabilities", minimum=0)
    value_clip: float = field(0.0, "largest change of the value; 0: no limit", minimum=0)
    value_weight: float = field(0.5, "weight of the value's loss", minimum=0)
    entropy_weight: float | None = field(None, "weight of the entropy; none: as tuned", minimum=0)
    normalize_advantages: bool = field(True, "in each minibatch")
    target_kl: float = field(
        0.0, "stop the updates of a rollout at 1.5 times this divergence; 0: never", minimum=0
    )
    normalize_observations: bool = field(True, "by running mean and variance (never pictures)")
    scale_rewards: bool = field(True, "by the running deviation of the return")
