"""A recurrence whose gates do not see the past, so that all times are computed at once.

minGRU (Feng et al. 2024, "Were RNNs All We Needed?", section 3.1)

    z_t = sigmoid(x_t W_z + b_z)
    h_t = (1 - z_t) h_(t-1) + z_t (x_t W_n + b_n)

is linear in h. Two steps h -> a h + b in a row are one of the same form, (a' a, a' b + b'), so an
associative scan (Blelloch 1990) computes T times in log T rounds instead of T.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.parameters import param
from dljax.nn.recurrent.scan import check_sequences

init = nn.initializers


@jax.custom_vjp
def linear_recurrence(a: Array, b: Array, start: Array) -> Array:
    """h_t = a_t h_(t-1) + b_t for a, b [T, ...] and h before the first time [...] -> [T, ...].

    Its gradient is such a recurrence too, backwards in time, and needs nothing but a and h.
    """
    b = b.at[0].add(a[0] * start)

    def joined(early: tuple[Array, Array], late: tuple[Array, Array]) -> tuple[Array, Array]:
        return late[0] * early[0], late[0] * early[1] + late[1]

    return jax.lax.associative_scan(joined, (a, b))[1]


def _forward(a: Array, b: Array, start: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    h = linear_recurrence(a, b, start)
    return h, (a, h, start)


def _backward(kept: tuple[Array, Array, Array], dh: Array) -> tuple[Array, Array, Array]:
    a, h, start = kept
    later = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
    total = linear_recurrence(later[::-1], dh[::-1], jnp.zeros_like(start))[::-1]
    before = jnp.concatenate([start[None], h[:-1]])
    return total * before, total, a[0] * total[0]


linear_recurrence.defvjp(_forward, _backward)


class MinGRU(nn.Module):
    """minGRU; the carry is h [B, F]. Called as the layers of layers.py, whose masks it knows.

    Parameters float32: `kernel` [I, 2 F] (LeCun normal; z, then the candidate), `bias` [2 F].
    Products are computed in `dtype`, the recurrence in float32.
    """

    features: int
    dtype: Any = None

    def start(self, batch: int) -> Array:
        """The carry before the first time: zeros [batch, features]."""
        return jnp.zeros((batch, self.features), jnp.float32)

    def __call__(
        self, x: Array, carry: Array | None = None, mask: Array | None = None, reverse: bool = False
    ) -> tuple[Array, Array]:
        """Sequences [B, T, I], a carry or None for zeros -> the last carry, outputs [B, T, F].

        mask [B, T] keeps the carry where it is 0 and makes the output there zero.
        Raises ValueError when the shapes do not fit.
        """
        check_sequences(x, mask)
        z, candidate = (jnp.swapaxes(y, 0, 1) for y in self._gates(x))
        if mask is not None:
            z = z * (jnp.swapaxes(mask, 0, 1)[..., None] > 0)
        if reverse:
            z, candidate = z[::-1], candidate[::-1]
        carry = self.start(x.shape[0]) if carry is None else carry.astype(jnp.float32)
        h = linear_recurrence(1 - z, z * candidate, carry)
        last, h = h[-1], h[::-1] if reverse else h
        h = jnp.swapaxes(h, 0, 1)
        h = h if mask is None else jnp.where(mask[..., None] > 0, h, 0)
        return last, h.astype(self.dtype or x.dtype)

    def step(self, carry: Array, x: Array) -> tuple[Array, Array]:
        """One time step: carry and x [B, I] -> the next carry and the output [B, F]."""
        z, candidate = self._gates(x)
        carry = (1 - z) * carry + z * candidate
        return carry, carry.astype(self.dtype or x.dtype)

    @nn.compact
    def _gates(self, x: Array) -> tuple[Array, Array]:
        """z and the candidate, float32 [..., F] each."""
        kernel = param(self, "kernel", init.lecun_normal(), (x.shape[-1], 2 * self.features))
        bias = param(self, "bias", init.zeros_init(), (2 * self.features,))
        dtype = nn.dtypes.canonicalize_dtype(x, kernel, bias, dtype=self.dtype)
        y = (x.astype(dtype) @ kernel.astype(dtype) + bias.astype(dtype)).astype(jnp.float32)
        z, candidate = jnp.split(y, 2, axis=-1)
        return jax.nn.sigmoid(z), candidate
