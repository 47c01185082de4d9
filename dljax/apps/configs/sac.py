"""The flags of sac."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of SAC; the defaults are tuned for Pendulum-v1."""

    workdir: str = field("runs/sac", "folder of the run", path=True, resume=False)
    env: str = field("Pendulum-v1", "name of an environment of gymnax")
    total_steps: int = field(20_000, "steps of each agent's environments, all together", minimum=1)
    batch_size: int = field(128, "samples in an update", minimum=1)
    learning_rate: float = field(1e-3, "highest learning rate of the schedule", minimum=0)
    environments: int = field(4, "environments side by side", minimum=1)
    rollout: int = field(2, "steps of each environment in a step of the task", minimum=1)

    capacity: int = field(65_536, "transitions that the memory holds", minimum=1)
    warmup_steps: int = field(1024, "random transitions it is filled with at first", minimum=1)
    updates: int = field(8, "updates in a step of the task", minimum=1)
    tau: float = field(0.01, "share that the target critics take over", minimum=0, maximum=1)
    reward_scale: float = field(0.1, "what rewards are multiplied by to learn")
    entropy: float = field(-1.0, "of the policy, for each dimension of its actions")
