"""The flags of reinforce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.agent import AgentConfig
from dljax.run.config import field, override


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of REINFORCE; the defaults are tuned for CartPole-v1."""

    name: ClassVar[str] = "reinforce"
    not_served = (*AgentConfig.not_served, "batch_size")  # the whole rollout is the batch

    total_steps = override(1_000_000, help="steps of each agent's environments, all together")
    batch_size = override(0, minimum=0)
    learning_rate = override(5e-3)
    clip_norm = override(0.5)
    environments = override(16, help="episodes in a step of the task")
    rollout = override(500, help="steps of an episode that are played at most")

    shared: bool = field(False, "one torso for policy and value")
    value_weight: float = field(0.5, "weight of the baseline's loss", minimum=0)
    entropy_weight: float = field(0.01, "weight of the entropy", minimum=0)
