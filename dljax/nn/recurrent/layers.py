"""Recurrent layers: Elman's RNN, LSTM and GRU, and stacks of them.

Equations and papers are in `cells.py`, the scan over time in `scan.py`. A layer multiplies
its whole input by the kernel at once, outside the scan.

Masks [B, T] (1 real, 0 padding) are for sequences of unequal length: padding keeps the carry, so
the carry that a layer returns is the one after each sequence's own last step, and outputs there are
zero. A reversed layer begins at each sequence's own end.

Truncated backpropagation through time: pass the carry that one call returns to the next call, on
the next part of the series. Where both are in one loss, `jax.lax.stop_gradient(carry)` cuts the
gradient.

Gradients are reverse-mode and of first order; `scan.recur_reference`, the definition, has all
others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.parameters import param
from dljax.nn.recurrent import cells
from dljax.nn.recurrent.scan import check_sequences, project, recur

init = nn.initializers


class Weights(NamedTuple):
    """A layer's parameters in its dtype: a = x kernel + bias, q = h recurrent + recurrent_bias."""

    kernel: Array
    bias: Array
    recurrent: Array
    recurrent_bias: Array | None


class Layer(nn.Module):
    """One recurrent layer in one direction; RNN, LSTM and GRU below choose the cell.

    Parameters float32: `kernel` [I, gates F] (LeCun normal), `recurrent` [F, gates F] (each gate
    orthogonal, Saxe et al. 2014), `bias` [gates F]. Products are computed in `dtype`; the carry
    stays float32.
    """

    features: int
    dtype: Any = None
    cell: ClassVar[cells.Cell]

    def start(self, batch: int) -> Any:
        """The carry before the first time: zeros, [batch, F] or a pair of them."""
        return self._carry((jnp.zeros((batch, self.features), jnp.float32),) * self.cell.states)

    def __call__(
        self, x: Array, carry: Any = None, mask: Array | None = None, reverse: bool = False
    ) -> tuple[Any, Array]:
        """Sequences [B, T, I], a carry or None for zeros -> the last carry, outputs [B, T, F].

        mask [B, T] keeps the carry where it is 0 and makes the output there zero.
        Raises ValueError when the shapes do not fit.
        """
        check_sequences(x, mask)
        weights = self.weights(x.shape[-1])
        a = _affine(jnp.swapaxes(x, 0, 1), weights.kernel, weights.bias)
        carry = self._states(self.start(x.shape[0]) if carry is None else carry)
        mask = None if mask is None else jnp.swapaxes(mask, 0, 1)[..., None] > 0
        carry, ys = recur(
            self.cell, weights.recurrent, weights.recurrent_bias, carry, a, mask, reverse
        )
        ys = ys if mask is None else jnp.where(mask, ys, 0)
        return self._carry(carry), jnp.swapaxes(ys, 0, 1).astype(a.dtype)

    def step(self, carry: Any, x: Array) -> tuple[Any, Array]:
        """One time step: carry and x [B, I] -> the next carry and the output [B, F]."""
        weights = self.weights(x.shape[-1])
        a = _affine(x, weights.kernel, weights.bias)
        carry = self._states(carry)
        q = project(carry[0], weights.recurrent, weights.recurrent_bias)
        carry, _ = self.cell.step(carry, a, q)
        return self._carry(carry), carry[0].astype(a.dtype)

    @nn.compact
    def weights(self, inputs: int) -> Weights:
        """The parameters, for inputs of that width."""
        gates, features = self.cell.gates, self.features
        kernel = param(self, "kernel", init.lecun_normal(), (inputs, gates * features))
        recurrent = param(self, "recurrent", _orthogonal_gates, (features, gates * features))
        bias = param(self, "bias", self.bias_init, (gates * features,))
        dtype = nn.dtypes.canonicalize_dtype(kernel, recurrent, bias, dtype=self.dtype)
        kernel, bias, recurrent = (x.astype(dtype) for x in (kernel, bias, recurrent))
        return Weights(kernel, bias, recurrent, self._recurrent_bias())

    def _recurrent_bias(self) -> Array | None:
        return None

    def bias_init(self, key: Array, shape: tuple[int, ...]) -> Array:
        del key
        return jnp.zeros(shape)

    def _carry(self, states: tuple[Array, ...]) -> Any:
        return states if len(states) > 1 else states[0]

    def _states(self, carry: Any) -> tuple[Array, ...]:
        states = carry if self.cell.states > 1 else (carry,)
        return tuple(state.astype(jnp.float32) for state in states)


class RNN(Layer):
    """Elman's network; the carry is h [B, F]."""

    cell: ClassVar[cells.Cell] = cells.ELMAN


class LSTM(Layer):
    """LSTM; the carry is (h, c), gates i, f, g, o.

    The bias of the forget gate is initialised to 1, so that the cell remembers by default
    (Jozefowicz et al. 2015).
    """

    cell: ClassVar[cells.Cell] = cells.LSTM

    def bias_init(self, key: Array, shape: tuple[int, ...]) -> Array:
        return jnp.zeros(shape).reshape(4, -1).at[1].set(1).reshape(shape)


class GRU(Layer):
    """GRU; the carry is h, gates r, u, n; `recurrent_bias` [F] is the bias that r multiplies."""

    cell: ClassVar[cells.Cell] = cells.GRU

    def _recurrent_bias(self) -> Array:
        bias = param(self, "recurrent_bias", init.zeros_init(), (self.features,))
        return jnp.pad(bias, (2 * self.features, 0))  # r and u have theirs in `bias`


class Stack(nn.Module):
    """Stacked layers, each over the outputs of the one below.

    layer: RNN, LSTM or GRU, called with features and dtype. bidirectional: each layer runs in both
    directions and its outputs are concatenated (Schuster & Paliwal 1997). dropout: the rate between
    layers; with `variational`, one mask for all times (Gal & Ghahramani 2016). residual: from the
    second on, a layer adds its input to its output (Wu et al. 2016, section 3.1). norm: from the
    second on, a layer reads its inputs normalised (Ba et al. 2016).
    """

    features: int
    depth: int = 1
    layer: Callable[..., Layer] = GRU
    bidirectional: bool = False
    dropout: float = 0.0
    variational: bool = False
    residual: bool = False
    norm: bool = False
    dtype: Any = None

    def setup(self):
        def layers():
            return [self.layer(self.features, dtype=self.dtype) for _ in range(self.depth)]

        self.forward = layers()
        self.backward = layers() if self.bidirectional else []
        norms = self.depth - 1 if self.norm else 0
        self.norms = [nn.LayerNorm(dtype=self.dtype) for _ in range(norms)]
        self.drop = nn.Dropout(self.dropout, broadcast_dims=(1,) if self.variational else ())

    def start(self, batch: int) -> tuple[Any, ...]:
        """The carries before the first time: zeros, one for each layer."""
        carry = self.layer(self.features, parent=None).start(batch)
        return ((carry, carry) if self.bidirectional else carry,) * self.depth

    def __call__(
        self, x: Array, carries: Any = None, mask: Array | None = None, train: bool = False
    ) -> tuple[tuple[Any, ...], Array]:
        """Sequences [B, T, I] -> last carries, outputs [B, T, F] ([B, T, 2F] if bidirectional).

        carries: one for each layer, a pair (forward, backward) if bidirectional; None for zeros.
        `train` needs the rng "dropout" if there is any. mask [B, T]: see above.
        """
        carries = self.start(x.shape[0]) if carries is None else carries
        last = []
        for i, carry in enumerate(carries):
            inputs = self._inputs(i, x, train)
            if self.bidirectional:
                ahead, x_ahead = self.forward[i](inputs, carry[0], mask)
                behind, x_behind = self.backward[i](inputs, carry[1], mask, reverse=True)
                carry, y = (ahead, behind), jnp.concatenate([x_ahead, x_behind], axis=-1)
            else:
                carry, y = self.forward[i](inputs, carry, mask)
            x = x + y if self.residual and i else y
            last.append(carry)
        return tuple(last), x

    def step(self, carries: Any, x: Array, train: bool = False) -> tuple[tuple[Any, ...], Array]:
        """One time step: carries and x [B, I] -> the next carries and the output [B, F].

        Raises ValueError if bidirectional, or for variational dropout in training, which have none.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional stack has no single step: it needs the future")
        if self.variational and train and self.dropout:
            raise ValueError("variational dropout keeps its mask for a whole sequence: call that")
        last = []
        for i, carry in enumerate(carries):
            inputs = self._inputs(i, x, train)
            carry, y = self.forward[i].step(carry, inputs)
            x = x + y if self.residual and i else y
            last.append(carry)
        return tuple(last), x

    def _inputs(self, i: int, x: Array, train: bool) -> Array:
        """What layer i reads of the outputs of the layer below."""
        if i == 0:
            return x
        return self.drop(self.norms[i - 1](x) if self.norm else x, deterministic=not train)


def from_torch(state: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a Stack from the state dict of torch.nn.RNN (tanh), LSTM or GRU, as arrays.

    {"forward_0": ..., "backward_0": ..., "forward_1": ...}, each the parameters of one RNN, LSTM or
    GRU, as the state dict has.
    """
    params, depth = {}, 0
    while f"weight_ih_l{depth}" in state:
        params[f"forward_{depth}"] = _layer_from_torch(state, f"l{depth}")
        if f"weight_ih_l{depth}_reverse" in state:
            params[f"backward_{depth}"] = _layer_from_torch(state, f"l{depth}_reverse")
        depth += 1
    if not params:
        raise ValueError("no recurrent layer of torch: there is no weight_ih_l0 in the state dict")
    return params


def _layer_from_torch(state: Mapping[str, Any], suffix: str) -> dict[str, Array]:
    kernel, recurrent = (jnp.asarray(state[f"weight_{x}_{suffix}"]).T for x in ("ih", "hh"))
    zeros = jnp.zeros(kernel.shape[1], kernel.dtype)
    b_i, b_h = (jnp.asarray(state.get(f"bias_{x}_{suffix}", zeros)) for x in ("ih", "hh"))
    params = {"kernel": kernel, "recurrent": recurrent}
    if recurrent.shape[1] != 3 * recurrent.shape[0]:
        return params | {"bias": b_i + b_h}
    n = 2 * recurrent.shape[0]  # GRU: the reset gate separates the two biases of n
    return params | {"bias": b_i + b_h.at[n:].set(0), "recurrent_bias": b_h[n:]}


def _affine(x: Array, kernel: Array, bias: Array) -> Array:
    """x kernel + bias for x [..., I]: one matrix product, and so are its gradients.

    The bias is a row of the matrix: on a CPU a sum over all times takes longer than a product. A
    CPU also wants the times and the batch as one axis (a step of an LSTM takes four fifths), by
    which a batch that is split over several CPU devices is gathered to each of them.
    """
    x = x.astype(kernel.dtype)
    x = jnp.concatenate([x, jnp.ones_like(x[..., :1])], axis=-1)
    w = jnp.concatenate([kernel, bias[None]])

    def flat(x: Array, w: Array) -> Array:
        return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], -1)

    return jax.lax.platform_dependent(x, w, cpu=flat, default=jnp.matmul)


def _orthogonal_gates(key: Array, shape: tuple[int, int]) -> Array:
    features, width = shape
    keys = jax.random.split(key, width // features)
    gates = jax.vmap(lambda key: init.orthogonal()(key, (features, features)))(keys)
    return jnp.concatenate(list(gates), axis=1)
