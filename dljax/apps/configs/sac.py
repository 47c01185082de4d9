"""The flags of sac."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.agent import AgentConfig
from dljax.run.config import field, override


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of SAC; the defaults are tuned for Pendulum-v1."""

    name: ClassVar[str] = "sac"
    # A common norm would mix the gradients of policy and critics.
    not_served = (*AgentConfig.not_served, "clip_norm")

    env = override("Pendulum-v1")
    total_steps = override(20_000, help="steps of each agent's environments, all together")
    batch_size = override(128, help="samples in an update")
    environments = override(4, help="environments side by side")
    rollout = override(2, help="steps of each environment in a step of the task")

    capacity: int = field(65_536, "transitions that the memory holds", minimum=1)
    warmup_steps: int = field(1024, "random transitions it is filled with at first", minimum=1)
    updates: int = field(8, "updates in a step of the task", minimum=1)
    tau: float = field(0.01, "share that the target critics take over", minimum=0, maximum=1)
    reward_scale: float = field(0.1, "factor of the rewards in learning")
    entropy: float = field(-1.0, "of the policy, for each dimension of its actions")
    noise: str = field(
        "pink",
        "by which it explores; pink: correlated over time, for rewards that are far away",
        choices=("pink", "white"),
    )
