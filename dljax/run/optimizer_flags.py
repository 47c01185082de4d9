"""The flags of the optimiser: shared by all that follow one gradient. Imports no jax."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config, field

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "lion", "muon")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Config):
    """Optimiser, schedule and what surrounds them."""

    optimizer: str = field(
        "adamw",
        "optimiser",
        choices=OPTIMIZERS,
        group="optimizer",
    )
    schedule: str = field(
        "cosine",
        "learning-rate schedule",
        choices=("constant", "linear", "cosine", "one_cycle"),
        group="optimizer",
    )
    warmup: float = field(
        0.1, "share of the steps that warm up", minimum=0, maximum=1, group="optimizer"
    )
    momentum: float | None = field(
        None, "decay of the first moment; none: the optimiser's own", group="optimizer"
    )
    weight_decay: float = field(
        0.05, "weight decay (of kernels alone)", minimum=0, group="optimizer"
    )
    clip_norm: float = field(
        0.0, "largest norm of the gradient; 0: no clipping", minimum=0, group="optimizer"
    )
    accumulate: int = field(1, "gradients averaged into one update", minimum=1, group="optimizer")
    ema: float = field(
        0.0,
        "decay of the averaged parameters used to evaluate; 0: none",
        minimum=0,
        group="optimizer",
    )
