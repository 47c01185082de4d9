"""One network, one loss, one optimiser: the State and the step that supervised tasks share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.traverse_util import flatten_dict, unflatten_dict

from dljax.train import metrics, optim

OTHER_MODES = ("training", "is_training", "deterministic", "eval_mode")


class State(struct.PyTreeNode):
    """What training changes. model_state: collections that are not trained (batch_stats)."""

    params: Any
    model_state: Any
    opt_state: Any

    def variables(self) -> dict[str, Any]:
        """What a Flax module is evaluated with: the averaged parameters if there are any."""
        return {"params": optim.ema_params(self.opt_state, self.params), **self.model_state}

    def without_optimiser(self) -> State:
        """The State that answers alike and can't be trained on: a third of the numbers, or less."""
        return State(self.variables()["params"], self.model_state, ())


def train_argument(model: Any, train: bool) -> dict[str, bool]:
    """{"train": train} for what a model is applied with; {} for a module that has no such argument.

    It has one where its __call__ names it. Raises ValueError, in one line, for a module that names
    it otherwise.
    """
    if not isinstance(model, nn.Module):  # what wraps one
        return {"train": train}
    names = inspect.signature(type(model).__call__).parameters
    other = [name for name in OTHER_MODES if name in names]
    if other and "train" not in names:
        raise ValueError(
            f"{type(model).__name__}.__call__ takes {other[0]}=, which is never set here: call the "
            "argument train (true in a training step)"
        )
    return {"train": train} if "train" in names else {}


def create_state(variables: Any, tx: optax.GradientTransformation) -> State:
    """The State before the first step, from the variables that a Flax module was initialised to."""
    model_state = dict(variables)
    params = model_state.pop("params")
    return State(params, model_state, tx.init(params))


def merge_params(variables: Any, start: Any) -> Any:
    """Variables with the leaves of `start`, a part of the same tree, in place of their own.

    Raises ValueError, in one line, for a leaf that they lack or that has another shape there.
    """
    own, given = flatten_dict(dict(variables)), flatten_dict(dict(start))
    for path, leaf in given.items():
        if path not in own or own[path].shape != leaf.shape:
            there = own[path].shape if path in own else "not there"
            raise ValueError(f"{'/'.join(path)} of {leaf.shape} does not fit: it is {there}")
    return unflatten_dict({path: given.get(path, leaf) for path, leaf in own.items()})


def gradient_step(
    state: State,
    tx: optax.GradientTransformation,
    loss: Callable[[Any], tuple[jax.Array, tuple[Any, Any]]],
) -> tuple[State, Any, metrics.Pair]:
    """One update by the gradient of loss: params -> (scalar, (model_state, auxiliary)).

    Returns the new State, the auxiliary value, and the norm of the gradient as a pair for Sums.
    """
    gradient, (model_state, auxiliary) = jax.grad(loss, has_aux=True)(state.params)
    params, opt_state = optim.update(tx, gradient, state.opt_state, state.params)
    norm = (optax.global_norm(gradient), jnp.float32(1))
    return State(params, model_state, opt_state), auxiliary, norm
