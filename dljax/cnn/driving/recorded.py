"""Learning from recorded drives: a picture of the road to the angle that was steered there.

Angles are in degrees, with the log's sign, and learnt as a number or as bins (`target`).

A batch holds "image" uint8 [B, H, W, 3], "angle" float32 [B] and, to train, "weight" float32 [B].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dljax.cnn.driving.open_loop import STRAIGHT, bins_of, number_of_bins
from dljax.cnn.driving.target import Target, angles, losses
from dljax.data.image_scaling import in_floats
from dljax.train import metrics, supervised
from dljax.train.loop import Key, Sums, Task
from dljax.train.supervised import State

Augment = Callable[[Key, Array, Array], tuple[Array, Array]]


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    target: Target,
    image_shape: tuple[int, ...],
    augmentation: Augment | None = None,
) -> Task:
    """The Task of a network (variables, pictures [B, H, W, 3] in 0..1, train=bool) -> outputs.

    augmentation: (key, picture [H, W, 3], angle) -> both, changed.
    """

    def init(key: Key) -> State:
        return supervised.create_state(model.init(key, jnp.zeros((1, *image_shape))), tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = (jax.random.fold_in(key, i) for i in range(2))
        pictures, angle = in_floats(batch["image"]), batch["angle"]
        if augmentation:
            keys = jax.random.split(augment_key, len(angle))
            pictures, angle = jax.vmap(augmentation)(keys, pictures, angle)

        def loss(params: Any) -> tuple[Array, tuple[Any, Any]]:
            rngs = {"dropout": dropout_key}
            outputs = model.apply({"params": params}, pictures, train=True, rngs=rngs)
            values = batch["weight"] * losses(target, outputs, angle)
            return values.mean(), (state.model_state, (outputs, values))

        state, (outputs, values), norm = supervised.gradient_step(state, tx, loss)
        error = jnp.abs(angles(target, outputs) - angle)
        return state, {
            "loss": metrics.mean(values),
            "mae_degrees": metrics.mean(error),
            "gradient_norm": norm,
        }

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        outputs = model.apply(state.variables(), in_floats(batch["image"]))
        angle, mask = batch["angle"], batch["example_mask"]
        error = angles(target, outputs) - angle
        member = jax.nn.one_hot(bins_of(angle), number_of_bins()) * mask[:, None]
        return {
            "loss": metrics.mean(losses(target, outputs, angle), mask),
            "mse": metrics.mean(error**2, mask),
            "mae_degrees": metrics.mean(jnp.abs(error), mask),
            "turning_mae_degrees": metrics.mean(jnp.abs(error), mask * (jnp.abs(angle) > STRAIGHT)),
            "bins": ((member * jnp.abs(error)[:, None]).sum(0), member.sum(0)),
        }

    return Task(init, step, evaluate)


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds]: the sums' means, rmse_degrees, and the mean over the bins of angles."""
    values = metrics.scalars(sums)
    if "mse" in values:
        values["rmse_degrees"] = np.sqrt(values.pop("mse"))
        each = metrics.ratios(sums)["bins"]
        known = ~np.isnan(each)
        values["balanced_mae_degrees"] = np.where(known, each, 0).sum(-1) / known.sum(-1)
    return values


def answer(model: nn.Module, target: Target, states: State, pictures: Array) -> Array:
    """The angle in degrees [S, B] that each seed's network steers at uint8 pictures [B, H, W, 3].

    states: with the leading axis of the seeds.
    """

    def of_seed(state: State) -> Array:
        return angles(target, model.apply(state.variables(), in_floats(pictures)))

    return jax.lax.map(of_seed, states)
