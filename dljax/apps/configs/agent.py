"""The flags that all agents of reinforcement learning share."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from dljax.run.config import field, override
from dljax.run.optimizer_flags import OptimizerConfig

A = TypeVar("A", bound="AgentConfig")


@dataclass(frozen=True, kw_only=True)
class AgentConfig(OptimizerConfig):
    """Environment, length of training, rollouts, network and evaluation.

    tuned: the values of flags that are left none, by the name of the environment, of its family
    (what follows the dash: "MinAtar"), or "" for all others.
    """

    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    not_served = ("dtype",)

    num_seeds = override(8, help="agents trained in one program")
    steps = override(0, help="steps of the task; 0: as many as total_steps need", minimum=0)
    optimizer = override("adam", choices=("sgd", "momentum", "nesterov", "adam", "adamw", "lion"))
    schedule = override("linear")
    warmup = override(0.0)
    weight_decay = override(0.0)

    env: str = field(
        "CartPole-v1",
        "name of an environment of gymnax, driving, or MODULE:FUNCTION of your own",
        group="run",
    )
    env_params: tuple[str, ...] = field((), "its parameters, each name=value", group="run")
    total_steps: int | None = field(
        None, "steps of each agent's environments, all together; none: as tuned", minimum=1,
        group="run",
    )  # fmt: skip
    observations: str | None = field(
        None, "as they are, or those that have bounds as -1 to 1; none: as tuned",
        choices=("plain", "unit"),
    )  # fmt: skip
    network: str | None = field(
        None, "for pictures (all else: mlp); none: as tuned", choices=("cnn", "mlp")
    )
    hide_velocities: bool = field(False, "let the agent observe positions alone")
    frame_stack: int = field(1, "newest observations that the agent gets", minimum=1)
    sticky: float = field(
        0.0, "probability that the action before is repeated", minimum=0, maximum=1
    )
    environments: int | None = field(None, "environments side by side; none: as tuned", minimum=1)
    rollout: int | None = field(
        None, "steps of each environment in a step of the task; none: as tuned", minimum=1
    )
    gamma: float = field(0.99, "discount", minimum=0, maximum=1)
    features: tuple[int, ...] = field((64, 64), "hidden units of each layer", minimum=1)
    episodes: int = field(64, "episodes of an evaluation", minimum=1)
    play: int = field(
        -1, "draw the test episode of this number with the best checkpoint", minimum=-1,
        resume=False, group="use",
    )  # fmt: skip

    def subject(self) -> str:
        """The environment's name."""
        return self.env


def resolved(config: A) -> A:
    """The Config with the flags that are none as they are tuned, and the number of steps."""
    tuned: dict[str, Any] = {"observations": "plain", "network": "cnn"}
    for name in ("", config.env.rpartition("-")[2], config.env):
        tuned |= config.tuned.get(name, {})
    config = replace(config, **{k: v for k, v in tuned.items() if getattr(config, k) is None})
    played = config.environments * config.rollout
    return replace(config, steps=config.steps or max(round(config.total_steps / played), 1))


def tuned_table(config_type: type[AgentConfig]) -> str:
    """The table `tuned` for --help."""
    lines = ["\nTuned, where a flag is none:"]
    for name, flags in config_type.tuned.items():
        values = ", ".join(f"{flag}={value}" for flag, value in flags.items())
        line = f"{name or 'any environment'}: {values}"
        lines.append(textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)
