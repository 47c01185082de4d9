"""Learning from recorded drives: a picture of the road to the angle that was steered there.

Angles are in degrees, with the log's sign. As a number (regression): the squared error in units of
the training angles' root mean square, so that a loss of 1 is that of always straight on. As bins of
angles (classification): cross-entropy with a soft target that decays with the squared distance of a
bin from the angle (Diaz and Marathe 2019, "Soft Labels for Ordinal Regression", CVPR), and the
expected angle as the answer.

A batch holds "image" uint8 [B, H, W, 3], "angle" float32 [B] and, to train, "weight" float32 [B].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dljax.cnn.driving.open_loop import STRAIGHT, bins_of, number_of_bins
from dljax.data.image_scaling import in_floats
from dljax.train import metrics, supervised
from dljax.train.loop import Key, Sums, Task
from dljax.train.supervised import State

Augment = Callable[[Key, Array, Array], tuple[Array, Array]]


class Target(NamedTuple):
    """scale: degrees of one unit of the network's answer. centres: degrees, of the bins; (): none.

    With bins the network gives a logit for each.
    """

    scale: float
    centres: tuple[float, ...] = ()


def target_of(angles: np.ndarray, bins: int) -> Target:
    """The Target of training angles [N]: bins evenly spaced over them, the middle one 0."""
    scale = max(float(np.sqrt((angles.astype(np.float64) ** 2).mean())), 1e-3)
    limit = max(float(np.abs(angles).max()), 1e-3)
    return Target(scale, tuple(np.linspace(-limit, limit, bins).tolist()) if bins else ())


def degrees(target: Target, outputs: Array) -> Array:
    """The angle [B] that outputs of the network mean, [B] or logits [B, bins]."""
    if not target.centres:
        return target.scale * outputs
    return jax.nn.softmax(outputs) @ jnp.array(target.centres)


def losses(target: Target, outputs: Array, angle: Array) -> Array:
    """The loss [B] of outputs at the angles that were steered, [B]."""
    if not target.centres:
        return ((target.scale * outputs - angle) / target.scale) ** 2
    return metrics.softmax_loss(outputs, soft_bins(target, angle))


def soft_bins(target: Target, angle: Array) -> Array:
    """The distribution over bins [B, bins] that angles [B] are learnt as."""
    centres = jnp.array(target.centres)
    spacing = centres[1] - centres[0]
    return jax.nn.softmax(-0.5 * ((angle[:, None] - centres) / spacing) ** 2)


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
        error = jnp.abs(degrees(target, outputs) - angle)
        return state, {
            "loss": metrics.mean(values),
            "mae_degrees": metrics.mean(error),
            "gradient_norm": norm,
        }

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        outputs = model.apply(state.variables(), in_floats(batch["image"]))
        angle, mask = batch["angle"], batch["example_mask"]
        error = degrees(target, outputs) - angle
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
        return degrees(target, model.apply(state.variables(), in_floats(pictures)))

    return jax.lax.map(of_seed, states)
