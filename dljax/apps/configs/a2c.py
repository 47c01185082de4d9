"""The flags of a2c."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of A2C; the defaults are tuned for CartPole-v1."""

    workdir: str = field("runs/a2c", "folder of the run", path=True, resume=False)
    total_steps: int = field(300_000, "steps of each agent's environments, all together", minimum=1)
    batch_size: int = field(0, "none: the whole rollout is the batch", choices=(0,))
    learning_rate: float = field(2e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = field(0.5, "largest norm of the gradient; 0: no clipping", minimum=0)
    environments: int = field(16, "environments side by side", minimum=1)
    rollout: int = field(8, "steps of each environment in a step of the task", minimum=1)

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
