"""The flags of dqn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.apps.configs.agent import AgentConfig
from dljax.run.config import field, override


@dataclass(frozen=True, kw_only=True)
class Config(AgentConfig):
    """The flags of DQN; the defaults are tuned for CartPole-v1."""

    name: ClassVar[str] = "dqn"

    total_steps = override(200_000, help="steps of each agent's environments, all together")
    batch_size = override(128, help="windows in an update")
    clip_norm = override(10.0)
    environments = override(8, help="environments side by side")
    rollout = override(4, help="steps of each environment in a step of the task")
    features = override((128, 128))

    capacity: int = field(32_768, "transitions that the memory holds", minimum=1)
    warmup_steps: int = field(2048, "random transitions it is filled with at first", minimum=1)
    updates: int = field(4, "updates in a step of the task", minimum=1)
    target_every: int = field(50, "updates between copies to the target network", minimum=1)
    double: bool = field(True, "the online network chooses the action that the target one values")
    duelling: bool = field(False, "value and advantages apart in the network")
    quantiles: int = field(
        1, "quantiles of the return that are learned; 1: its value alone", minimum=1
    )
    n: int = field(3, "rewards in a return", minimum=1)
    alpha: float = field(0.0, "priorities to this power; 0: uniform", minimum=0, maximum=1)
    beta: float = field(0.4, "power of the importance weights", minimum=0, maximum=1)
    explore: float = field(
        0.1, "share of the steps in which random actions decline", minimum=0, maximum=1
    )
    epsilon: float = field(
        0.05, "share of random actions then, from 1 at first", minimum=0, maximum=1
    )
