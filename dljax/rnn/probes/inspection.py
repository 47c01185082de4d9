"""Inspection of a recurrent network: gradient norms over time and activations of its gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dljax.nn.recurrent.layers import Layer, Stack
from dljax.nn.recurrent.scan import project
from dljax.train.loop import Array


def gradient_norms(stack: Stack, variables: Any, x: Array, loss: Callable[[Array], Array]) -> Array:
    """|d loss / d h_t| [T], h_t the state of the top layer, as a mean over sequences.

    x [B, T, I]. loss: the last h [B, F] -> one loss for each sequence [B]. The derivative is total:
    h_t affects the loss through all later times.
    """
    batch, length = x.shape[:2]

    def losses(perturbations: Array) -> Array:  # zeros [T, B, F], added to the states
        def step(carries, now):
            x_t, perturbation = now
            carries, _ = stack.apply(variables, carries, x_t, method="step")
            (h, *rest), structure = jax.tree.flatten(carries[-1])
            last = jax.tree.unflatten(structure, [h + perturbation, *rest])
            return (*carries[:-1], last), None

        carries, _ = jax.lax.scan(step, stack.start(batch), (jnp.swapaxes(x, 0, 1), perturbations))
        return loss(jax.tree.leaves(carries[-1])[0]).sum()

    gradient = jax.grad(losses)(jnp.zeros((length, batch, stack.features)))
    return jnp.linalg.norm(gradient, axis=-1).mean(axis=1)


def gates(layer: Layer, variables: Any, x: Array) -> dict[str, Array]:
    """The activations [B, T, F] of each gate of a layer that reads x [B, T, I], and its state h."""
    _, h = layer.apply(variables, x)
    weights = layer.apply(variables, x.shape[-1], method="weights")
    before = jnp.pad(h, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    q = project(before, weights.recurrent, weights.recurrent_bias)
    return {**layer.cell.activations(x @ weights.kernel + weights.bias, q), "h": h}
