"""The optimiser that a Config's flags name."""

from __future__ import annotations

import optax

from dljax.run.optimizer_flags import OptimizerConfig
from dljax.train import optim


def transformation(
    config: OptimizerConfig,
    *,
    decay: optax.GradientTransformation | None = None,
    rates: optax.GradientTransformation | None = None,
) -> optax.GradientTransformation:
    """The optimiser of a Config, its schedule over config.steps; decay, rates: see `optimizer`."""
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
