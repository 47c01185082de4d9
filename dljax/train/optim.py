"""Optimisers and learning-rate schedules: optax, put together the same way for every name.

    gradient -> clip -> (L2) -> direction -> (decoupled decay) -> -learning rate -> (average)

`optimizer` is that chain; the names of a flag choose the direction. All of it is pure and works
under vmap and scan. `ema_params` reads the averaged parameters out of the optimiser's state.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from dljax.train.muon import scale_by_muon

PyTree = Any
Path = tuple[str, ...]


# Schedules ----------------------------------------------------------------------------------------


def _cosine(fraction: Array) -> Array:
    return (1 - jnp.cos(math.pi * fraction)) / 2


def _linear(fraction: Array) -> Array:
    return fraction


class _Shape(NamedTuple):
    """How a schedule rises to its peak and falls from it: maps of [0, 1] onto [0, 1]."""

    rise: Callable[[Array], Array]
    fall: Callable[[Array], Array]
    start: float = 0.0  # first learning rate, as a share of the peak
    warmup: float = 0.0  # length of the rise where none is given, as a share of the steps


SCHEDULES = {
    "constant": _Shape(_linear, jnp.zeros_like),
    "linear": _Shape(_linear, _linear),
    "cosine": _Shape(_linear, _cosine),
    "one_cycle": _Shape(_cosine, _cosine, start=1 / 25, warmup=0.3),
}


def schedule(
    name: str, peak: float, steps: int, *, warmup: int = 0, final: float = 0.0
) -> optax.Schedule:
    """The learning rate as a function of the step: up to `peak` at `warmup`, `final` at `steps`.

    Names: 'constant' (stays at the peak), 'linear' (a triangle when warmed up) and 'cosine'
    (Loshchilov and Hutter 2017, equation 5, one period) rise linearly from 0 during `warmup` steps;
    'one_cycle' (Smith and Topin 2019, in the cosine shape that PyTorch and fastai use) rises from
    peak / 25 during `warmup` steps, or 30 % of all if that is 0. `final` is a learning rate, not a
    share of the peak; it stays after `steps`.
    Raises ValueError for an unknown name or unless 0 <= warmup <= steps and 1 <= steps.
    """
    shape = _look_up(SCHEDULES, name, "schedule")
    if steps < 1 or not 0 <= warmup <= steps:
        raise ValueError(
            f"a schedule needs 0 <= warmup <= steps and steps >= 1, got {warmup=} and {steps=}"
        )
    top = warmup or round(shape.warmup * steps)

    def learning_rate(step: Array) -> Array:
        step = jnp.asarray(step, jnp.float32)
        up = shape.rise(jnp.clip(step / max(top, 1), 0, 1))
        down = shape.fall(jnp.clip((step - top) / max(steps - top, 1), 0, 1))
        rising = peak * (shape.start + (1 - shape.start) * up)
        return jnp.where(step < top, rising, (1 - down) * peak + down * final)

    return learning_rate


# Optimisers ---------------------------------------------------------------------------------------


class _Method(NamedTuple):
    """A direction made from `momentum`, and whether weight decay is added to the gradient."""

    direction: Callable[[float, Callable[[Path], bool]], optax.GradientTransformation]
    l2: bool


OPTIMIZERS = {
    "sgd": _Method(lambda momentum, is_output: optax.identity(), l2=True),
    "momentum": _Method(lambda momentum, is_output: optax.trace(momentum), l2=True),
    "nesterov": _Method(lambda momentum, is_output: optax.trace(momentum, nesterov=True), l2=True),
    "adam": _Method(lambda momentum, is_output: optax.scale_by_adam(b1=momentum), l2=True),
    "adamw": _Method(lambda momentum, is_output: optax.scale_by_adam(b1=momentum), l2=False),
    "lion": _Method(lambda momentum, is_output: optax.scale_by_lion(b1=momentum), l2=False),
    "muon": _Method(lambda momentum, is_output: _scale_by_muon(momentum, is_output), l2=False),
}


def is_output_layer(path: Path) -> bool:
    """Whether the parameter at this path belongs to a module named classifier, head or output."""
    return not {"classifier", "head", "output"}.isdisjoint(path)


def optimizer(
    name: str,
    learning_rate: float | optax.Schedule,
    *,
    momentum: float | None = None,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    is_output: Callable[[Path], bool] = is_output_layer,
    decay: optax.GradientTransformation | None = None,
    rates: optax.GradientTransformation | None = None,
) -> optax.GradientTransformation:
    """An optax transformation; `update` needs the parameters.

    name: 'sgd', 'momentum', 'nesterov', 'adam', 'adamw', 'lion' (Chen et al. 2023) or 'muon'
      (Jordan 2024: the momentum of each matrix is orthogonalised; a convolution kernel
      [kh, kw, i, o] counts as the matrix [kh kw i, o]; vectors, and what `is_output` picks by its
      path, are left to Adam. Updates are scaled to Adam's size, 0.2 per entry (Liu et al. 2025,
      equation 4), so that one learning rate, one that suits AdamW, serves both).
    learning_rate: a number, or a schedule over the calls of `update`.
    momentum: decay of the first moment; 0.9 by default, 0.95 for muon.
    weight_decay: decays the leaves of two or more axes; biases and norms are left alone. For the
      SGD family and 'adam' it is L2, added to the gradient before the momentum, as in PyTorch and
      in CIFAR recipes; for 'adamw', 'lion' and 'muon' it is decoupled and times the learning rate.
    clip_norm: largest global norm of the gradient, before weight decay.
    accumulate: the mean of this many successive gradients makes one step; the calls between change
      nothing. The schedule still counts calls.
    ema: decay of an average of the parameters, kept in the state; see `ema_params`.
    decay: in place of weight decay, another pull on the parameters (transfer/finetuning.py).
    rates: follows the learning rate: factors for some of the parameters, likewise.
    Momentum and weight decay may be arrays, as the learning rate may.
    Raises ValueError for an unknown name and for values out of range.
    """
    method = _look_up(OPTIMIZERS, name, "optimizer")
    if momentum is None:
        momentum = 0.95 if name == "muon" else 0.9
    _check_range("momentum", momentum, lambda x: 0 <= x < 1, "in [0, 1)")
    _check_range("weight_decay", weight_decay, lambda x: x >= 0, "not negative")
    _check_range("clip_norm", clip_norm, lambda x: x is None or x > 0, "positive")
    _check_range("accumulate", accumulate, lambda x: x >= 1, "at least 1")
    _check_range("ema", ema, lambda x: x is None or 0 <= x < 1, "in [0, 1)")

    rate = learning_rate
    if callable(rate) and accumulate > 1:
        rate = lambda count: learning_rate(count * accumulate)  # noqa: E731
    decays = isinstance(weight_decay, Array) or weight_decay
    if decay is None and decays:
        decay = optax.add_decayed_weights(weight_decay, decay_mask)
    links = [
        optax.clip_by_global_norm(clip_norm) if clip_norm else None,
        decay if method.l2 else None,
        method.direction(momentum, is_output),
        None if method.l2 else decay,
        optax.scale_by_learning_rate(rate),
        rates,
        average_params(ema) if ema is not None else None,
    ]
    tx = optax.chain(*(link for link in links if link is not None))
    return optax.MultiSteps(tx, accumulate).gradient_transformation() if accumulate > 1 else tx


def update(
    tx: optax.GradientTransformation, gradient: PyTree, opt_state: PyTree, params: PyTree
) -> tuple[PyTree, PyTree]:
    """(params, opt_state) after one step along the gradient.

    Raises ValueError, in one line, for an optimiser that asks for more than the gradient.
    """
    try:
        updates, opt_state = tx.update(gradient, opt_state, params)
    except TypeError as error:
        if "required keyword-only argument" not in str(error):
            raise
        wanted = ", ".join(re.findall(r"'(\w+)'", str(error)))
        raise ValueError(
            f"this optimiser's update asks for {wanted} besides the gradient, as a line search "
            "does: a step here computes one gradient of one batch; take an optimiser that needs no "
            "more, such as optax.adam(1e-3) or optax.lbfgs(1e-2, linesearch=None)"
        ) from error
    return optax.apply_updates(params, updates), opt_state


def decay_mask(params: PyTree) -> PyTree:
    """True for the leaves that weight decay shrinks: those of two or more axes."""
    return jax.tree.map(lambda leaf: jnp.ndim(leaf) >= 2, params)


def _scale_by_muon(
    momentum: float, is_output: Callable[[Path], bool]
) -> optax.GradientTransformation:
    def labels(params: PyTree) -> PyTree:
        def label(path, leaf):
            names = tuple(str(getattr(entry, "key", entry)) for entry in path)
            return "muon" if leaf.ndim >= 2 and not is_output(names) else "adam"

        return jax.tree_util.tree_map_with_path(label, params)

    def adam_sized(updates: PyTree, params: PyTree | None) -> PyTree:
        def scale(leaf):
            rows, columns = math.prod(leaf.shape[:-1]), leaf.shape[-1]
            return 0.2 * math.sqrt(max(rows, columns)) * leaf

        return jax.tree.map(scale, updates)

    matrices = optax.chain(scale_by_muon(momentum), optax.stateless(adam_sized))
    return optax.partition({"muon": matrices, "adam": optax.scale_by_adam()}, labels)


# Averages of the parameters -----------------------------------------------------------------------


class EmaState(NamedTuple):
    """The averages, debiased at all times, and the number of steps that they are made of."""

    count: Array
    average: PyTree


def average_params(decay: float) -> optax.GradientTransformation:
    """Keeps an exponential moving average of the parameters; the last link of a chain.

    After t steps the average is (1 - d) sum_i d^(t - i) p_i / (1 - d^t), p_i the parameters after
    step i: debiased as Adam's moments are (Kingma and Ba 2015, section 3), so the first average is
    p_1 and nothing of the initial parameters is left in it. Before the first step it is p_0.
    """

    def init(params: PyTree) -> EmaState:
        return EmaState(jnp.zeros([], jnp.int32), jax.tree.map(jnp.copy, params))

    def update(updates: PyTree, state: EmaState, params: PyTree) -> tuple[PyTree, EmaState]:
        count = optax.safe_increment(state.count)
        weight = -jnp.expm1(count * math.log(decay)) if decay else 1.0  # 1 - d^t
        share = (1 - decay) / weight
        average = jax.tree.map(
            lambda mean, new: mean + (share * (new - mean)).astype(mean.dtype),
            state.average,
            optax.apply_updates(params, updates),
        )
        return updates, EmaState(count, average)

    return optax.GradientTransformation(init, update)


def ema_params(opt_state: PyTree, params: PyTree) -> PyTree:
    """The averaged parameters that an optimiser's state holds; `params` if it holds none."""
    leaves = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, EmaState))
    averages = [leaf.average for leaf in leaves if isinstance(leaf, EmaState)]
    return averages[0] if averages else params


def _look_up(table: dict[str, Any], name: str, kind: str) -> Any:
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; choose one of {', '.join(table)}")
    return table[name]


def _is_traced(value: Any) -> bool:
    """Whether a hyper-parameter is a sweep's, known in the program alone and checked before it."""
    return isinstance(value, Array)


def _check_range(name: str, value: Any, holds: Callable[[Any], bool], what: str) -> None:
    if not _is_traced(value) and not holds(value):
        raise ValueError(f"{name} must be {what}, got {value}")
