"""Forecasting: a network of `nn/forecasters.py`, a likelihood, and a Task for the shared loop.

A batch holds "past" [B, W, C], "past_known" [B, W, K], "future" [B, H, C] and "future_known"
[B, H, L], float32 scaled by the training part; evaluation batches hold "example_mask" [B] too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.data import feed
from dljax.data.feed import Examples
from dljax.rnn.forecasting import intervals
from dljax.rnn.forecasting.likelihoods import Likelihood, interval_ends
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step


class Shapes(NamedTuple):
    """Steps of the window and the horizon; numbers a step of the series, and of what is known."""

    window: int
    horizon: int
    series: int
    past_known: int = 0
    future_known: int = 0


def no_normalization(past: Array) -> tuple[Array, Array]:
    """Shift 0 and scale 1 [B, 1, C]: the window as it is."""
    shift = jnp.zeros_like(past[:, :1])
    return shift, shift + 1


def by_last_value(past: Array) -> tuple[Array, Array]:
    """Shift by the last value of each window, scale 1 (NLinear, Zeng et al. 2023, section 4)."""
    return past[:, -1:], jnp.ones_like(past[:, :1])


def by_mean_and_deviation(past: Array) -> tuple[Array, Array]:
    """Mean and deviation of each window (RevIN without its affine map, Kim et al. 2022)."""
    return past.mean(1, keepdims=True), jnp.sqrt(past.var(1, keepdims=True) + 1e-5)


Normalization = Callable[[Array], tuple[Array, Array]]


class Blend(NamedTuple):
    """A forecast linear in the window, and the share of the network's that is added to it.

    matrix: [C, W, H]; bias: [C, H]; [1, W, H] and [1, H] where all series share them. spread:
    factor of the distances of the network's quantiles from its value.
    """

    matrix: Array
    bias: Array
    share: float
    spread: float = 1.0

    def __call__(self, value: Array, past: Array) -> Array:
        """The combined forecast [B, H, C] of the network's value and the window [B, W, C]."""
        series = past.shape[-1]
        matrix, bias = (
            jnp.broadcast_to(x, (series, *x.shape[1:])) for x in (self.matrix, self.bias)
        )
        highest = jax.lax.Precision.HIGHEST
        line = jnp.einsum("bwc,cwh->bhc", past, matrix, precision=highest) + bias.T
        return line + self.share * value


class Forecaster(NamedTuple):
    """A network, the meaning of its outputs, and how each window is normalised for it.

    normalize: past [B, W, C] -> shift and scale [B, 1, C]; the network's input is
      (past - shift) / scale.
    blend: what the trained network is combined with; its quantiles move with its value.
    """

    model: nn.Module
    likelihood: Likelihood
    normalize: Normalization = no_normalization
    blend: Blend | None = None

    def __call__(
        self, variables: Any, batch: dict[str, Array], *, train: bool = False, **settings: Any
    ) -> Any:
        """The forecast [B, H, C, P] in the unit of the batch, by `variables`.

        In training the network may use the batch's future (for teacher forcing).
        settings: of Module.apply (rngs, mutable: then (forecast, changed collections)).
        """
        shift, scale = self.normalize(batch["past"])
        teacher = (batch["future"] - shift) / scale if train else None
        out = self.model.apply(
            variables,
            (batch["past"] - shift) / scale,
            batch["past_known"],
            batch["future_known"],
            teacher=teacher,
            train=train,
            **settings,
        )
        raw, *changed = out if "mutable" in settings else (out,)
        raw = raw.astype(jnp.float32)
        forecast = self.likelihood.place(raw, shift, scale)
        if self.blend:
            value = self.likelihood.value(forecast)
            scale = jnp.broadcast_to(scale, value.shape) * self.blend.spread
            combined = self.blend(value, batch["past"])
            around = self.likelihood.value(self.likelihood.place(raw, jnp.zeros_like(value), scale))
            forecast = self.likelihood.place(raw, combined - around, scale)
        return (forecast, *changed) if changed else forecast


def task(
    forecaster: Forecaster,
    tx: optax.GradientTransformation,
    shapes: Shapes,
    *,
    level: float = 0.8,
) -> Task:
    """Forecasts of H steps of C series, trained by the likelihood's loss.

    level: the nominal level of the central interval whose coverage and width are measured; its two
      ends must be among the quantiles of the likelihood.
    """
    likelihood = forecaster.likelihood
    ends = interval_ends(likelihood.levels, level) if likelihood.levels else None

    def init(key: Key) -> State:
        w, h, c, k, known = shapes
        sizes = {"past": (w, c), "past_known": (w, k), "future": (h, c), "future_known": (h, known)}
        blank = {name: jnp.zeros((1, *size)) for name, size in sizes.items()}
        inputs = (blank["past"], blank["past_known"], blank["future_known"])
        out, variables = forecaster.model.init_with_output(key, *inputs, train=False)
        chex.assert_shape(out, (1, h, c, likelihood.outputs))
        return create_state(variables, tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        _check(batch, shapes)

        def loss(params):
            forecast, model_state = forecaster(
                {"params": params, **state.model_state},
                batch,
                train=True,
                rngs={"dropout": key},
                mutable=list(state.model_state),
            )
            values = likelihood.loss(forecast, batch["future"]).mean((1, 2))
            return values.mean(), (model_state, (values, forecast))

        state, (values, forecast), gradient_norm = gradient_step(state, tx, loss)
        error = likelihood.value(forecast) - batch["future"]
        sums = {
            "loss": metrics.mean(values),
            "mse": metrics.mean(jnp.square(error).mean((1, 2))),
            "mae": metrics.mean(jnp.abs(error).mean((1, 2))),
            "gradient_norm": gradient_norm,
        }
        return state, sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        _check(batch, shapes)
        forecast, y, mask = (
            forecaster(state.variables(), batch),
            batch["future"],
            batch[feed.MASK],
        )
        error = likelihood.value(forecast) - y
        square, absolute = jnp.square(error), jnp.abs(error)

        def each(values: Array, axis: int) -> metrics.Pair:  # [B, H, C] over windows and `axis`
            sums = jnp.where(mask[:, None] > 0, values.mean(axis), 0).sum(0)
            return sums, mask.sum()

        sums = {
            "loss": metrics.mean(likelihood.loss(forecast, y).mean((1, 2)), mask),
            "mse": metrics.mean(square.mean((1, 2)), mask),
            "mae": metrics.mean(absolute.mean((1, 2)), mask),
            "mse_by_step": each(square, 2),
            "mae_by_step": each(absolute, 2),
            "mse_by_series": each(square, 1),
            "mae_by_series": each(absolute, 1),
        }
        if likelihood.levels:
            quantiles = likelihood.quantiles(forecast)
            losses = intervals.pinball(quantiles, y, likelihood.levels).mean(-1)
            low, high = quantiles[..., ends[0]], quantiles[..., ends[1]]
            inside = (low <= y) & (y <= high)
            sums |= {
                "quantile_loss": metrics.mean(losses.mean((1, 2)), mask),
                "coverage": metrics.mean(inside.mean((1, 2)), mask),
                "width": metrics.mean((high - low).mean((1, 2)), mask),
                "coverage_by_step": each(inside, 2),
            }
        return sums

    return Task(init, step, evaluate)


def mean_forecast(
    forecaster: Forecaster, states: State, batch: dict[str, Array]
) -> tuple[Array, Array]:
    """Values [B, H, C] and quantiles [B, H, C, L], means over the seeds (the states' first axis).

    Quantiles are averaged level by level, so their order stays.
    """
    return jax.tree.map(lambda x: x.mean(0), _of_seeds(forecaster, states, batch))


def _of_seeds(
    forecaster: Forecaster, states: State, batch: dict[str, Array]
) -> tuple[Array, Array]:
    """Values [S, B, H, C] and quantiles [S, B, H, C, L] of each seed."""

    def of_seed(state: State) -> tuple[Array, Array]:
        forecast = forecaster(state.variables(), batch)
        return forecaster.likelihood.value(forecast), forecaster.likelihood.quantiles(forecast)

    return jax.lax.map(of_seed, states)


def predictions(
    forecaster: Forecaster, states: State, examples: Examples
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `mean_forecast` of every example, in order, and the values of each seed.

    Returns values [N, H, C], quantiles [N, H, C, L] and the seeds' values [N, S, H, C].
    """

    @jax.jit
    def of_item(states, arrays, item):
        batch = examples.batch(arrays, item)
        values, quantiles = _of_seeds(forecaster, states, batch)
        return (values.mean(0), quantiles.mean(0), values.swapaxes(0, 1)), batch[feed.MASK]

    parts = []
    arrays = jax.device_put(examples.arrays)
    for item in examples.items():
        found, mask = jax.device_get(of_item(states, arrays, item))
        parts.append([x[mask > 0] for x in found])
    values, quantiles, seeds = (np.concatenate(x) for x in zip(*parts, strict=True))
    return values, quantiles, seeds


def _check(batch: dict[str, Array], shapes: Shapes) -> None:
    w, h, c, k, known = shapes
    sizes = {"past": (w, c), "past_known": (w, k), "future": (h, c), "future_known": (h, known)}
    for name, size in sizes.items():
        chex.assert_shape(batch[name], (None, *size))
