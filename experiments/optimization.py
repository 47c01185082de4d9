"""The flags of the optimiser, and what they make: shared by all that descends one gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments import base

if TYPE_CHECKING:
    import optax


@dataclass(frozen=True, kw_only=True)
class Config(base.Config):
    """Optimiser, schedule and what surrounds them."""

    optimizer: str = base.field(
        "adamw",
        "optimiser",
        choices=("sgd", "momentum", "nesterov", "adam", "adamw", "lion", "muon"),
    )
    schedule: str = base.field(
        "cosine", "learning-rate schedule", choices=("constant", "linear", "cosine", "one_cycle")
    )
    warmup: float = base.field(0.1, "share of the steps that warm up", minimum=0, maximum=1)
    momentum: float | None = base.field(
        None, "decay of the first moment; none: the optimiser's own"
    )
    weight_decay: float = base.field(0.05, "weight decay (of kernels alone)", minimum=0)
    clip_norm: float = base.field(0.0, "largest norm of the gradient; 0: no clipping", minimum=0)
    accumulate: int = base.field(1, "gradients averaged into one update", minimum=1)
    ema: float = base.field(
        0.0, "decay of the averaged parameters used to evaluate; 0: none", minimum=0
    )


def transformation(
    config: Config,
    *,
    decay: optax.GradientTransformation | None = None,
    rates: optax.GradientTransformation | None = None,
) -> optax.GradientTransformation:
    """The optimiser of a Config, its schedule over config.steps; decay, rates: see `optimizer`."""
    from dljax.train import optim

    rate = optim.schedule(
        config.schedule,
        config.learning_rate,
        config.steps,
        warmup=round(config.warmup * config.steps),
    )
    return optim.optimizer(
        config.optimizer,
        rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm or None,
        accumulate=config.accumulate,
        ema=config.ema or None,
        decay=decay,
        rates=rates,
    )
