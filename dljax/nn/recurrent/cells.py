"""One time step of each recurrent cell and its derivative: pure functions, gates as in the papers.

A cell takes its input as a = x W + b, which does not depend on the past and is computed for all
times at once, and its past as q = h U + b', computed at each step. Both are [B, gates F], the gates
concatenated in torch's order. `step` defines the cell; `back` is its derivative, written by hand,
which the scan of `scan.py` uses.

Elman's network (Elman 1990, "Finding structure in time")

    h_t = tanh(a + q)

LSTM (Hochreiter & Schmidhuber 1997; forget gate of Gers, Schmidhuber & Cummins 2000)

    i, f, o = sigmoid(a + q)        input, forget and output gate, of a third each
    g       = tanh(a + q)           what may be written
    c_t     = f c_{t-1} + i g       the cell: a sum, so its gradient is f and does not vanish
    h_t     = o tanh(c_t)

GRU (Cho et al. 2014, with the reset gate after the product, as in cuDNN and torch)

    r, u    = sigmoid(a + q)        reset and update gate
    n       = tanh(a_n + r q_n)     the candidate; Cho et al. put r before the product, r h_{t-1}
    h_t     = (1 - u) n + u h_{t-1}
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Carry = tuple[Array, ...]  # (h,) or (h, c), each float32 [B, F]


class Cell(NamedTuple):
    """What `scan.recur` scans.

    gates: width of a and q in units F.  states: arrays in the carry; the first is h, the output.
    step: (carry, a, q) -> (carry, saved); saved is a pytree that `back` needs.
    back: (gradient of the new carry, old carry, new carry, saved) -> (gradient of the old carry
        except through q, gradient of q, gradient of a or None if it equals that of q).
    activations: (a, q) -> the activations of the gates by name.
    """

    gates: int
    states: int
    step: Callable[[Carry, Array, Array], tuple[Carry, Any]]
    back: Callable[[Carry, Carry, Carry, Any], tuple[Carry, Array, Array | None]]
    activations: Callable[[Array, Array], dict[str, Array]]


def _elman(carry, a, q):
    return (jnp.tanh(a + q),), ()


def _elman_back(d_carry, old, new, saved):
    (dh,), (h,) = d_carry, new
    return (jnp.zeros_like(dh),), dh * (1 - h * h), None


def _lstm_gates(a, q):
    i, f, g, o = jnp.split(a + q, 4, axis=-1)
    return {
        "i": jax.nn.sigmoid(i), "f": jax.nn.sigmoid(f), "g": jnp.tanh(g), "o": jax.nn.sigmoid(o)
    }  # fmt: skip


def _lstm(carry, a, q):
    _, c = carry
    i, f, g, o = _lstm_gates(a, q).values()
    c = f * c + i * g
    return (o * jnp.tanh(c), c), (i, f, g, o)


def _lstm_back(d_carry, old, new, saved):
    (dh, dc), (_, c_old), (_, c), (i, f, g, o) = d_carry, old, new, saved
    squashed = jnp.tanh(c)
    dc = dc + dh * o * (1 - squashed * squashed)
    di, df = dc * g * i * (1 - i), dc * c_old * f * (1 - f)
    dg, do = dc * i * (1 - g * g), dh * squashed * o * (1 - o)
    return (jnp.zeros_like(dh), dc * f), _concatenated(di, df, dg, do), None


def _gru_gates(a, q):
    (a_r, a_u, a_n), (q_r, q_u, q_n) = jnp.split(a, 3, axis=-1), jnp.split(q, 3, axis=-1)
    r, u = jax.nn.sigmoid(a_r + q_r), jax.nn.sigmoid(a_u + q_u)
    return {"r": r, "u": u, "n": jnp.tanh(a_n + r * q_n)}


def _gru(carry, a, q):
    (h,), (r, u, n) = carry, _gru_gates(a, q).values()
    return (n + u * (h - n),), (r, u, n, jnp.split(q, 3, axis=-1)[2])


def _gru_back(d_carry, old, new, saved):
    (dh,), (h,), (r, u, n, q_n) = d_carry, old, saved
    dn = dh * (1 - u) * (1 - n * n)
    dr, du = dn * q_n * r * (1 - r), dh * (h - n) * u * (1 - u)
    through_q = _concatenated(dr, du, dn * r)
    return (dh * u,), through_q, _concatenated(dr, du, dn)


def _concatenated(*gates):
    """Gates [B, F] as one [B, gates F].

    Each is computed separately: XLA's CPU compiler would fuse them into the concatenation, a loop
    that it does not vectorise.
    """
    return jnp.concatenate(jax.lax.optimization_barrier(gates), axis=-1)


ELMAN = Cell(1, 1, _elman, _elman_back, lambda a, q: {})
LSTM = Cell(4, 2, _lstm, _lstm_back, _lstm_gates)
GRU = Cell(3, 1, _gru, _gru_back, _gru_gates)
