"""The flags of reinforce."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of REINFORCE; the defaults are tuned for CartPole-v1."""

    workdir: str = field("runs/reinforce", "folder of the run", path=True, resume=False)
    total_steps: int = field(
        1_000_000, "steps of each agent's environments, all together", minimum=1
    )
    batch_size: int = field(0, "none: the whole rollout is the batch", choices=(0,))
    learning_rate: float = field(5e-3, "highest learning rate of the schedule", minimum=0)
    clip_norm: float = field(0.5, "largest norm of the gradient; 0: no clipping", minimum=0)
    environments: int = field(16, "episodes in a step of the task", minimum=1)
    rollout: int = field(500, "steps of an episode that are played at most", minimum=1)

    shared: bool = field(False, "one torso for policy and value")
    value_weight: float = field(0.5, "weight of the baseline's loss", minimum=0)
    entropy_weight: float = field(0.01, "weight of the entropy", minimum=0)
