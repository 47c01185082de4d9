"""Output distributions of forecasters: a point, quantiles, or a parametric distribution.

A Likelihood turns the raw outputs [..., P] of a network into a forecast in the unit of the data,
and gives the training loss, a point forecast and quantiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from dljax.rnn.forecasting import intervals

Array = jax.Array


class Likelihood(NamedTuple):
    """The meaning of the P outputs for each step and series.

    outputs: P. levels: of the quantiles that it gives, increasing; () for a point forecast.
    place: (raw [..., P], shift [...], scale [...]) -> forecast [..., P] in their unit.
    loss: (forecast [..., P], y [...]) -> [...]. value: forecast -> the point forecast, [...].
    quantiles: forecast -> [..., len(levels)], never crossing.
    feedback: the raw output that is the value (the input of an autoregressive decoder).
    """

    outputs: int
    levels: tuple[float, ...]
    place: Callable[[Array, Array, Array], Array]
    loss: Callable[[Array, Array], Array]
    value: Callable[[Array], Array]
    quantiles: Callable[[Array], Array]
    feedback: int = 0


def point(loss: str = "mse") -> Likelihood:
    """One value, trained by 'mse', 'mae' or 'huber' (quadratic below an error of 1)."""
    errors = {
        "mse": jnp.square,
        "mae": jnp.abs,
        "huber": lambda e: jnp.where(jnp.abs(e) < 1, e**2 / 2, jnp.abs(e) - 0.5),
    }
    if loss not in errors:
        raise ValueError(f"unknown point loss {loss!r}; choose one of {', '.join(errors)}")
    return Likelihood(
        1,
        (),
        lambda raw, shift, scale: shift[..., None] + scale[..., None] * raw,
        lambda forecast, y: errors[loss](forecast[..., 0] - y),
        lambda forecast: forecast[..., 0],
        lambda forecast: forecast[..., :0],
    )


def quantiles(levels: Sequence[float]) -> Likelihood:
    """Quantiles at increasing `levels`, trained by the pinball loss, sorted so as never to cross.

    Koenker and Bassett 1978; the loss is the mean over the levels. The value is the quantile whose
    level is nearest to 0.5. Raises ValueError unless the levels increase within (0, 1).
    """
    levels = _checked(levels)
    middle = int(np.argmin(np.abs(np.array(levels) - 0.5)))
    return Likelihood(
        len(levels),
        levels,
        lambda raw, shift, scale: shift[..., None] + scale[..., None] * jnp.sort(raw, -1),
        lambda forecast, y: intervals.pinball(forecast, y, levels).mean(-1),
        lambda forecast: forecast[..., middle],
        lambda forecast: forecast,
        middle,
    )


def gaussian(levels: Sequence[float]) -> Likelihood:
    """Mean and standard deviation (softplus), trained by the negative log-likelihood in nats."""
    levels = _checked(levels)
    z = jax.scipy.stats.norm.ppf(jnp.array(levels))

    def loss(forecast: Array, y: Array) -> Array:
        return intervals.gaussian_nll(forecast[..., 0], forecast[..., 1], y)

    return Likelihood(
        2,
        levels,
        lambda raw, shift, scale: jnp.stack(_location_and_scale(raw, shift, scale), -1),
        loss,
        lambda forecast: forecast[..., 0],
        lambda forecast: forecast[..., :1] + forecast[..., 1:2] * z,
    )


def student(levels: Sequence[float]) -> Likelihood:
    """Location, scale and degrees of freedom (2 and more) of Student's t, trained in nats."""
    levels = _checked(levels)
    # Quantiles of the standard t by 1 / nu in 0 .. 1/2, smooth enough to interpolate (to 1e-4).
    inverse = np.linspace(0, 0.5, 257)
    nu = 1 / np.maximum(inverse, 1e-9)
    table = jnp.asarray([stdtrit(nu, level) for level in levels], jnp.float32)

    def place(raw: Array, shift: Array, scale: Array) -> Array:
        return jnp.stack(
            [*_location_and_scale(raw, shift, scale), 2 + jax.nn.softplus(raw[..., 2])], -1
        )

    def loss(forecast: Array, y: Array) -> Array:
        location, scale, nu = (forecast[..., i] for i in range(3))
        return intervals.student_nll(location, scale, nu, y)

    def quantiles(forecast: Array) -> Array:
        position = (len(inverse) - 1) * 2 / forecast[..., 2]
        below = jnp.clip(position.astype(jnp.int32), 0, len(inverse) - 2)
        share = position - below
        t = (1 - share) * table[:, below] + share * table[:, below + 1]
        return forecast[..., :1] + forecast[..., 1:2] * jnp.moveaxis(t, 0, -1)

    return Likelihood(3, levels, place, loss, lambda forecast: forecast[..., 0], quantiles)


def interval_ends(levels: Sequence[float], level: float) -> tuple[int, int]:
    """The indices in `levels` of the ends of the central interval of that nominal level.

    Raises ValueError if one of them is missing.
    """
    wanted = ((1 - level) / 2, (1 + level) / 2)
    found = [int(np.argmin(np.abs(np.array(levels) - end))) for end in wanted]
    if any(abs(levels[i] - end) > 1e-6 for i, end in zip(found, wanted, strict=True)):
        raise ValueError(f"an interval of {level} needs the quantiles {wanted[0]:g}, {wanted[1]:g}")
    return found[0], found[1]


def _location_and_scale(raw: Array, shift: Array, scale: Array) -> tuple[Array, Array]:
    smallest = 1e-3  # in units of the window: an interval of zero width has an infinite loss
    return shift + scale * raw[..., 0], scale * (jax.nn.softplus(raw[..., 1]) + smallest)


def _checked(levels: Sequence[float]) -> tuple[float, ...]:
    levels = tuple(levels)
    rising = all(a < b for a, b in itertools.pairwise(levels))
    if not levels or not rising or not 0 < levels[0] <= levels[-1] < 1:
        raise ValueError(
            f"quantiles must increase between 0 and 1, not {', '.join(map(str, levels))}"
        )
    return levels
