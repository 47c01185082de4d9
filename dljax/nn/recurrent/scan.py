"""The scan over time that all recurrent layers share, and its reference definition.

`recur_reference` is the definition: a cell's step at one time after the other. `recur` computes the
same with a backward pass written by hand: its loop contains only what depends on the next time, one
product with the recurrent weights, and the gradient of those weights is one product over all times
at once. `recur` has reverse-mode gradients of first order (a custom_vjp); for forward mode or
second derivatives use `recur_reference`.

Time is the first axis here, [T, B, ...]. Products are computed in the dtype of the weights, the
carry is kept in float32.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from dljax.nn.recurrent.cells import Carry, Cell


def recur_reference(
    cell: Cell,
    recurrent: Array,
    bias: Array | None,
    carry: Carry,
    a: Array,
    mask: Array | None = None,
    reverse: bool = False,
) -> tuple[Carry, Array]:
    """The definition: the last carry, and the state h [T, B, F] after each time.

    recurrent [F, gates F], bias [gates F] or None; a [T, B, gates F]; mask bool [T, B, 1], where
    False keeps the carry. `reverse` goes from the last time to the first; with a mask that is, for
    each sequence, from its own last one.
    """
    last, carries, _ = _forward(cell, reverse, recurrent, bias, carry, a, mask)
    return last, carries[0]


@partial(jax.custom_vjp, nondiff_argnums=(0, 6))
def _recur(cell, recurrent, bias, carry, a, mask, reverse):
    return recur_reference(cell, recurrent, bias, carry, a, mask, reverse)


def recur(
    cell: Cell,
    recurrent: Array,
    bias: Array | None,
    carry: Carry,
    a: Array,
    mask: Array | None = None,
    reverse: bool = False,
) -> tuple[Carry, Array]:
    """As `recur_reference`, with the fast gradient."""
    return _recur(cell, recurrent, bias, carry, a, mask, reverse)


def project(h: Array, recurrent: Array, bias: Array | None) -> Array:
    """q = h U + b', float32."""
    q = _product(h, recurrent)
    return q if bias is None else q + bias


def _product(x: Array, w: Array) -> Array:
    return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=jnp.float32)


def _keep(mask: Array | None, new: Any, old: Any) -> Any:
    return new if mask is None else jax.tree.map(lambda x, y: jnp.where(mask, x, y), new, old)


def _forward(cell, reverse, recurrent, bias, carry, a, mask):
    def step(carry, now):
        a, mask = now
        new, saved = cell.step(carry, a, project(carry[0], recurrent, bias))
        new = _keep(mask, new, carry)
        return new, (new, saved)

    last, (carries, saved) = lax.scan(step, carry, (a, mask), reverse=reverse)
    return last, carries, saved


def _recur_forward(cell, recurrent, bias, carry, a, mask, reverse):
    last, carries, saved = _forward(cell, reverse, recurrent, bias, carry, a, mask)
    dtype_of_a = jnp.zeros((), a.dtype)
    return (last, carries[0]), (recurrent, bias, carry, carries, saved, mask, dtype_of_a)


def _recur_backward(cell, reverse, residuals, gradients):
    recurrent, bias, first, carries, saved, mask, dtype_of_a = residuals
    d_last, d_hs = gradients
    old = jax.tree.map(partial(_shifted, reverse=reverse), first, carries)
    # The barrier makes XLA transpose it once, not within each product (twice as slow on a CPU).
    transposed = lax.optimization_barrier(recurrent.T)

    def step(d_carry, now):
        d_h, old, new, saved, mask = now
        d_carry = (d_carry[0] + d_h, *d_carry[1:])
        d_new = _keep(mask, d_carry, jax.tree.map(jnp.zeros_like, d_carry))
        direct, dq, da = cell.back(d_new, old, new, saved)
        direct = (direct[0] + _product(dq, transposed), *direct[1:])
        if mask is not None:
            direct = jax.tree.map(lambda d, kept: d + jnp.where(mask, 0, kept), direct, d_carry)
        return direct, (dq, da)

    d_first, (dq, da) = lax.scan(
        step, d_last, (d_hs, old, carries, saved, mask), reverse=not reverse
    )
    # The batch stays an axis of its own: of one that is split over devices, each sums its share.
    h, d = old[0].astype(recurrent.dtype), dq.astype(recurrent.dtype)
    outer = partial(jnp.einsum, "tbi,tbj->ij", preferred_element_type=jnp.float32)
    d_recurrent = outer(h, d)
    # A product sums faster than a sum on a CPU.
    d_bias = None if bias is None else outer(jnp.ones_like(d[..., :1]), d)[0]
    da = (dq if da is None else da).astype(dtype_of_a.dtype)
    return d_recurrent.astype(recurrent.dtype), d_bias, d_first, da, None


_recur.defvjp(_recur_forward, _recur_backward)


def _shifted(first: Array, after: Array, reverse: bool) -> Array:
    """States before each step from those after it."""
    parts = (after[1:], first[None]) if reverse else (first[None], after[:-1])
    return jnp.concatenate(parts)


def check_sequences(x: Array, mask: Array | None) -> None:
    """Raises ValueError unless x is [B, T, I] and the mask, where there is one, [B, T]."""
    if x.ndim != 3:
        raise ValueError(f"a recurrent layer wants sequences [B, T, I], not {x.shape}")
    if mask is not None and mask.shape != x.shape[:2]:
        raise ValueError(f"mask {mask.shape} does not fit sequences {x.shape}")
