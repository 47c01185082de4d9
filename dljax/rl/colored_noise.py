"""Noise that is correlated over time, so that exploration gets somewhere.

A policy that draws each action anew shakes on the spot, and where a reward is far it never meets
one. Pink noise has as much power in each octave of frequencies, slow ones too, and the same
distribution at each step (Eberhard et al. 2023, "Pink Noise Is All You Need: Colored Noise
Exploration in Deep Reinforcement Learning"). Theirs is made for a whole episode by a Fourier
transform; here it is the sum of autoregressive processes, which goes on for ever, pink for periods
of up to about a hundred steps. With slower ones too, some agents learned Pendulum less well.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

# Share of new noise in a step, of each process.
RATES = {"white": (1.0,), "pink": (1.0, 1 / 4, 1 / 16)}


def noise(rates: tuple[float, ...], last: Array, white: Array) -> tuple[Array, Array]:
    """The processes' values after T steps, and the noise [T, ..., D] of these steps.

    Each value is standard normal. last: the processes' values [..., K, D] before, of K rates.
    white: standard normal noise [T, ..., K, D]. K equal parts of the variance belong to processes
    x' = (1 - r) x + sqrt(1 - (1 - r)^2) e of the rates r, whose spectra add up to about 1 / f.
    """
    keep = 1 - jnp.array(rates)[:, None]
    fresh = jnp.sqrt(1 - keep**2)

    def one(x: Array, e: Array) -> tuple[Array, Array]:
        x = keep * x + fresh * e
        return x, x.sum(-2) / jnp.sqrt(len(rates))

    return jax.lax.scan(one, last, white)
