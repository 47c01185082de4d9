"""Networks whose errors measure how unexpected a row is, one for each series, trained online.

`forecaster` predicts the next row (Malhotra et al. 2015); `autoencoder` reconstructs a window that
ends in the row (Malhotra et al. 2016, arXiv:1607.00148). The parameters of all series have a
leading axis and train in parallel. `thresholding.py` turns the errors into detections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dljax.data import feed
from dljax.nn.recurrent.layers import GRU, Stack
from dljax.rnn.anomaly.prequential import DATES, FEATURES, LIMIT
from dljax.train import metrics, supervised
from dljax.train.loop import Array, Key, Sums, Task


class State(struct.PyTreeNode):
    """nets: a supervised.State with a leading axis [S] on every leaf. errors: float32 [S, T]."""

    nets: supervised.State
    errors: Array

    @property
    def params(self) -> Any:
        """Parameters [S, ...]: what the summary counts."""
        return self.nets.params


class Forecaster(nn.Module):
    """The next row, from a recurrent layer over the rows before it and linearly from the last."""

    features: int = 32
    depth: int = 1
    layer: Callable[..., nn.Module] = GRU

    @nn.compact
    def __call__(self, inputs: Array, targets: Array) -> Array:
        """inputs [B, W, F] -> forecasts of the targets [B, W], each from inputs up to its row."""
        last = inputs[..., 0]
        inputs = jnp.clip(inputs, -LIMIT, LIMIT)
        _, ys = Stack(self.features, self.depth, self.layer)(inputs)
        zeros = nn.initializers.zeros
        change = nn.Dense(1, kernel_init=zeros, name="head")(ys)
        change += nn.Dense(1, kernel_init=zeros, name="linear")(inputs)
        return last + change[..., 0]


class Autoencoder(nn.Module):
    """Reconstructs a window, relative to its mean, from a code of `code` numbers."""

    features: int = 32
    depth: int = 1
    layer: Callable[..., nn.Module] = GRU
    code: int = 8

    @nn.compact
    def __call__(self, inputs: Array, targets: Array) -> Array:
        """inputs [B, W, F], targets [B, W] -> the reconstructed targets of each window [B, W]."""
        values = jnp.clip(targets, -LIMIT, LIMIT)
        mean = values.mean(-1, keepdims=True)
        relative = jnp.stack([values - mean, jnp.tanh(mean) * jnp.ones_like(values)], -1)
        _, ys = Stack(self.features, self.depth, self.layer, name="encoder")(relative)
        code = nn.Dense(self.code, name="code")(ys[:, -1])
        dates = inputs[..., -DATES:]
        repeated = jnp.concatenate(
            [dates, jnp.broadcast_to(code[:, None], (*dates.shape[:2], self.code))], -1
        )
        # It reconstructs from the last row to the first (Malhotra et al. 2016, section 3).
        _, ys = Stack(self.features, self.depth, self.layer, name="decoder")(repeated[:, ::-1])
        zeros = nn.initializers.zeros
        return mean + nn.Dense(1, kernel_init=zeros, name="head")(ys)[:, ::-1, 0]


class Detector(NamedTuple):
    """A network and how it estimates new rows.

    model: (inputs [B, W, F], targets [B, W]) -> estimates of the targets [B, W], trained to be
      close to them.
    estimates: (apply, inputs [C + L, F], targets [C + L], L) -> of the last L targets [L], each
      from rows up to its own and no later one.
    """

    model: nn.Module
    estimates: Callable[[Callable, Array, Array, int], Array]


def _all_at_once(apply: Callable, inputs: Array, targets: Array, count: int) -> Array:
    return apply(inputs[None], targets[None])[0, -count:]


def _window_by_window(apply: Callable, inputs: Array, targets: Array, count: int) -> Array:
    length = len(targets) - count
    rows = jnp.arange(1, count + 1)[:, None] + jnp.arange(length)
    return apply(inputs[rows], targets[rows])[:, -1]


def forecaster(
    features: int = 32, depth: int = 1, layer: Callable[..., nn.Module] = GRU
) -> Detector:
    """Each row is forecast from the rows before it."""
    return Detector(Forecaster(features, depth, layer), _all_at_once)


def autoencoder(
    features: int = 32, depth: int = 1, layer: Callable[..., nn.Module] = GRU
) -> Detector:
    """Each row is reconstructed as the last one of a window."""
    return Detector(Autoencoder(features, depth, layer), _window_by_window)


def task(detector: Detector, tx: optax.GradientTransformation, series: int, rows: int) -> Task:
    """Learns from the batches of `prequential.feed` and stores the errors of the rows that follow.

    Each of the `series` has its own network, optimiser state and gradient norm.
    """
    model = detector.model

    def init(key: Key) -> State:
        blank = jnp.zeros((1, 2, FEATURES)), jnp.zeros((1, 2))

        def one(key):
            return supervised.create_state(dict(model.init(key, *blank)), tx)

        nets = jax.vmap(one)(jax.random.split(key, series))
        return State(nets, jnp.zeros((series, rows), jnp.float32))

    def learn(net: supervised.State, batch: dict[str, Array]):
        def loss(params):
            estimate = model.apply({"params": params}, batch["inputs"], batch["targets"])
            error = jnp.clip(batch["targets"] - estimate, -LIMIT, LIMIT)
            total, count = metrics.mean(optax.huber_loss(error), batch["mask"])
            value = total / jnp.maximum(count, 1)
            return value, ({}, value)

        net, value, norm = supervised.gradient_step(net, tx, loss)
        count = batch["next_rows"].shape[0]

        def apply(*args):
            return model.apply(net.variables(), *args)

        estimate = detector.estimates(apply, batch["next_inputs"], batch["next_targets"], count)
        return net, value, norm, batch["next_targets"][-count:] - estimate

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        del key
        nets, values, (norms, ones), errors = jax.vmap(learn)(state.nets, batch)
        write = jax.vmap(lambda old, rows, new: old.at[rows].set(new, mode="drop"))
        errors = write(state.errors, batch["next_rows"], errors)
        sums = {"loss": metrics.mean(values), "gradient_norm": (norms.sum(), ones.sum())}
        return State(nets, errors), sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        """The errors [S, T] with the count of each series [S], and their mean Huber loss."""
        del key
        numbers, mask = batch["series"], batch[feed.MASK]
        errors = state.errors[numbers]
        gathered = jnp.zeros_like(state.errors).at[numbers].add(errors * mask[:, None])
        size = optax.huber_loss(jnp.clip(errors, -LIMIT, LIMIT)).mean(-1)  # padding has error 0
        return {
            "loss": metrics.mean(size, mask),
            "errors": (gathered, jnp.zeros(series).at[numbers].add(mask)),
        }

    return Task(init, step, evaluate)
