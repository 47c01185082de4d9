"""Networks that map a window of several series to the parameters of a multi-step forecast.

All are called alike: past [B, W, C], past_known [B, W, K] (covariates and calendar), future_known
[B, H, L] (calendar), `teacher` [B, H, C] (the true future, in training only, for the teacher
forcing of an autoregressive decoder) and `train`, and return [B, H, C, P]: P parameters for each
step and series, whose meaning (a value, quantiles, location and scale) is the task's. K and L may
be 0.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.dense import Dense
from dljax.nn.parameters import param
from dljax.nn.recurrent.layers import GRU, Stack


class Direct(nn.Module):
    """A recurrent encoder; from its last state all H steps at once.

    A linear map of the state gives each step and series its parameters. What is known of a future
    step enters together with the state through one hidden layer that all steps share. A linear
    autoregressive component runs in parallel, a linear map of the window that all series share, as
    in LSTNet (Lai et al. 2018, section 3.6), so that the cells need not learn the linear part.
    """

    horizon: int
    outputs: int = 1
    features: int = 64
    depth: int = 1
    layer: Callable = GRU
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        past: Array,
        past_known: Array,
        future_known: Array,
        *,
        teacher: Array | None = None,
        train: bool = False,
    ) -> Array:
        del teacher
        dense = functools.partial(Dense, dtype=self.dtype)
        x = jnp.concatenate([past, past_known], -1)
        stack = Stack(self.features, self.depth, self.layer, dropout=self.dropout, dtype=self.dtype)
        _, ys = stack(x, train=train)
        state = nn.Dropout(self.dropout, deterministic=not train)(ys[:, -1])
        batch, _, series = past.shape
        out = dense(self.horizon * series * self.outputs, name="steps")(state)
        out = out.reshape(batch, self.horizon, series, self.outputs)
        if future_known.shape[-1]:
            hidden = dense(self.features, name="state")(state)[:, None]
            hidden += dense(self.features, use_bias=False, name="known")(future_known)
            head = dense(series * self.outputs, use_bias=False, name="head")
            out += head(nn.relu(hidden)).reshape(out.shape)
        line = dense(self.horizon * self.outputs, use_bias=False, name="line")
        return out + _line(past, self.horizon, self.outputs, line)


class _Decoder(nn.Module):
    """One step of a decoder, from the previous value and what is known of this step."""

    stack: Callable[..., Stack]
    outputs: int
    feedback: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, carry: Any, inputs: tuple[Array, Array, Array]) -> tuple[Any, Array]:
        (carries, value), (known, true, forced) = carry, inputs
        x = jnp.concatenate([value, known], -1)
        carries, y = self.stack(name="stack").step(carries, x, train=self.train)
        out = Dense(value.shape[-1] * self.outputs, dtype=self.dtype, name="head")(y)
        out = out.reshape(*value.shape, self.outputs)
        predicted = out[..., self.feedback].astype(value.dtype)
        return (carries, jnp.where(forced[:, None], true, predicted)), out


class Seq2Seq(nn.Module):
    """An encoder and an autoregressive decoder (Sutskever et al. 2014, arXiv:1409.3215).

    The decoder starts from the encoder's state and the last value, and then takes its own output
    number `feedback` as the previous value. In training, teacher forcing replaces it by the true
    value with a probability that falls linearly from 1 to 0 over `teacher_forcing_steps` training
    steps, independently for each step and example (scheduled sampling, Bengio et al. 2015, section
    2.4); 0: never. The steps are counted in the collection "schedule".
    """

    horizon: int
    outputs: int = 1
    features: int = 64
    depth: int = 1
    layer: Callable = GRU
    dropout: float = 0.0
    feedback: int = 0
    teacher_forcing_steps: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        past: Array,
        past_known: Array,
        future_known: Array,
        *,
        teacher: Array | None = None,
        train: bool = False,
    ) -> Array:
        count = self.variable("schedule", "steps", lambda: jnp.int32(0))
        forced = jnp.zeros((past.shape[0], self.horizon), bool)
        if train and teacher is not None and self.teacher_forcing_steps:
            chance = 1 - count.value / self.teacher_forcing_steps
            forced = jax.random.uniform(self.make_rng("dropout"), forced.shape) < chance
            count.value += 1
        stack = functools.partial(
            Stack, self.features, self.depth, self.layer, dropout=self.dropout, dtype=self.dtype
        )
        x = jnp.concatenate([past, past_known], -1)
        carries, _ = stack(name="encoder")(x, train=train)
        decoder = nn.scan(
            _Decoder,
            variable_broadcast="params",
            split_rngs={"params": False, "dropout": True},
            in_axes=1,
            out_axes=1,
        )(stack, self.outputs, self.feedback, train, self.dtype, name="decoder")
        if teacher is None:
            teacher = jnp.zeros((past.shape[0], self.horizon, past.shape[-1]), past.dtype)
        return decoder((carries, past[:, -1]), (future_known, teacher, forced))[1]


class SegRNN(nn.Module):
    """A recurrent layer over segments of each series, and parallel decoding of the future ones.

    Lin et al. 2023 (arXiv:2308.11200, sections 3.2 to 3.4), channel-independent: the window is cut
    into segments of `segment` steps, each projected to `features` numbers; the state after the last
    one is repeated for each segment of the horizon and takes one more step, whose input is an
    embedding of the segment's position concatenated with one of the series; dropout and a linear
    map give the segment. The paper subtracts the window's last value first; here the task does.

    The window is padded in front with its first value to whole segments and the last segment of the
    horizon is truncated; what is known of a segment is projected and added to its input.
    """

    horizon: int
    outputs: int = 1
    segment: int = 48
    features: int = 512
    layer: Callable = GRU
    dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        past: Array,
        past_known: Array,
        future_known: Array,
        *,
        teacher: Array | None = None,
        train: bool = False,
    ) -> Array:
        del teacher
        batch, _, series = past.shape
        ahead = -(-self.horizon // self.segment)
        recurrent = self.layer(self.features, dtype=self.dtype, name="recurrent")

        def project(segments: Array, name: str) -> Array:
            return Dense(self.features, dtype=self.dtype, name=name)(segments)

        x = project(_segments(past, self.segment, front=True).swapaxes(1, 2), "segment_in")
        if past_known.shape[-1]:
            x += project(_joined(past_known, self.segment, front=True), "past_known")[:, None]
        x = nn.relu(x).reshape(batch * series, -1, self.features)
        carry, _ = recurrent(x)

        normal = nn.initializers.normal(1.0)
        half = self.features // 2
        position = param(self, "position", normal, (ahead, self.features - half))
        identity = param(self, "series", normal, (series, half))
        both = jnp.concatenate(
            [
                jnp.broadcast_to(position[None], (series, *position.shape)),
                jnp.broadcast_to(identity[:, None], (series, ahead, half)),
            ],
            -1,
        )
        x = both[None]
        if future_known.shape[-1]:
            x += project(_joined(future_known, self.segment, front=False), "future_known")[:, None]
        # [B, C, 1, F] with [B or 1, C, ahead, F]: what all segments share is computed once.
        carry = jax.tree.map(lambda h: h.reshape(batch, series, 1, self.features), carry)
        _, y = recurrent.step(carry, x)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        y = Dense(self.segment * self.outputs, dtype=self.dtype, name="segment_out")(y)
        y = y.reshape(batch, series, ahead * self.segment, self.outputs)
        return y[:, :, : self.horizon].swapaxes(1, 2)


class Linear(nn.Module):
    """One linear map of the window to the horizon that all series share.

    With the last value subtracted by the task this is NLinear; with `smooth` > 1 the moving average
    over that many steps and the remainder have a map each, as in DLinear (Zeng et al. 2023,
    arXiv:2205.13504, section 4). What is known of a future step is added by a linear map.
    """

    horizon: int
    outputs: int = 1
    smooth: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        past: Array,
        past_known: Array,
        future_known: Array,
        *,
        teacher: Array | None = None,
        train: bool = False,
    ) -> Array:
        del past_known, teacher, train
        dense = functools.partial(Dense, self.horizon * self.outputs, dtype=self.dtype)
        ahead = functools.partial(_line, horizon=self.horizon, outputs=self.outputs)
        if self.smooth > 1:
            trend = _moving_average(past, self.smooth)
            out = ahead(trend, dense=dense(name="trend")) + ahead(
                past - trend, dense=dense(name="rest")
            )
        else:
            out = ahead(past, dense=dense(name="window"))
        if future_known.shape[-1]:
            known = Dense(past.shape[-1] * self.outputs, False, dtype=self.dtype, name="known")
            out += known(future_known).reshape(out.shape)
        return out


def _line(past: Array, horizon: int, outputs: int, dense: nn.Module) -> Array:
    """[B, W, C] -> [B, H, C, P] by a layer from the W steps of a series to H P parameters."""
    y = dense(past.swapaxes(1, 2))
    return y.reshape(*y.shape[:2], horizon, outputs).swapaxes(1, 2)


def _segments(x: Array, segment: int, front: bool) -> Array:
    """[B, T, C] -> [B, segments, C, segment], filled up with the first (front) or last value."""
    missing = -x.shape[1] % segment
    x = jnp.pad(x, ((0, 0), (missing, 0) if front else (0, missing), (0, 0)), mode="edge")
    return x.reshape(x.shape[0], -1, segment, x.shape[-1]).swapaxes(2, 3)


def _joined(x: Array, segment: int, front: bool) -> Array:
    """[B, T, K] -> [B, segments, K segment], see `_segments`."""
    cut = _segments(x, segment, front)
    return cut.reshape(*cut.shape[:2], -1)


def _moving_average(x: Array, width: int) -> Array:
    """Centred mean over `width` steps of x [B, T, C], the ends repeated; the same shape."""
    before = (width - 1) // 2
    padded = jnp.pad(x, ((0, 0), (before, width - 1 - before), (0, 0)), mode="edge")
    sums = jax.lax.reduce_window(padded, 0.0, jax.lax.add, (1, width, 1), (1, 1, 1), "valid")
    return sums / width
