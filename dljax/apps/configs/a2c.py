"""The flags of a2c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.agent import AgentConfig
from dljax.run.config import field, override


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of A2C; the defaults are tuned for CartPole-v1."""

    name: ClassVar[str] = "a2c"
    not_served = (*AgentConfig.not_served, "batch_size")  # the whole rollout is the batch

    total_steps = override(300_000, help="steps of each agent's environments, all together")
    batch_size = override(0, minimum=0)
    learning_rate = override(2e-3)
    clip_norm = override(0.5)
    environments = override(16, help="environments side by side")
    rollout = override(8, help="steps of each environment in a step of the task")

    shared: bool = field(False, "one torso for policy and value")
    core: str = field(
        "none",
        "a recurrent layer between a shared torso and the heads",
        choices=("none", "gru", "lstm"),
    )
    lambda_: float = field(0.95, "lambda of the advantages", minimum=0, maximum=1)
    value_weight: float = field(0.5, "weight of the value's loss", minimum=0)
    entropy_weight: float = field(0.01, "weight of the entropy", minimum=0)
    normalize_advantages: bool = field(False, "in each rollout")
    normalize_observations: bool = field(False, "by running mean and variance")
    scale_rewards: bool = field(True, "by the running deviation of the return")
