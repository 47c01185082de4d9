"""Fine-tuning: learning rate, unfreezing and regularisation of each layer.

Pure functions of the tree of parameters, and optax transformations made from them: layer-wise
learning-rate decay (`layerwise_decay`), unfreezing from the last layer to the first
(`gradual_unfreezing`), decay to the pretrained weights (`l2_sp`), BatchNorm with the pretrained
statistics (`frozen`). `optim.optimizer` takes them as its `rates` and `decay`; `backbone` are the
variables that a new task starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from dljax.nn.penultimate import HEAD

PyTree = Any
Path = tuple[str, ...]


def shapes(model: nn.Module, image_shape: tuple[int, ...]) -> PyTree:
    """Shapes of a network's variables for images [H, W, C]."""
    blank = jnp.zeros((1, *image_shape))
    return jax.eval_shape(lambda key: model.init_with_output(key, blank)[1], jax.random.key(0))


def layers(model: nn.Module, variables: PyTree, image_shape: tuple[int, ...]) -> list[Path]:
    """Paths of the modules that own parameters, in the order in which they run.

    The tree of parameters can't tell, for its keys are sorted. image_shape: [H, W, C].
    """
    owners = {path[:-1] for path in flatten_dict(dict(variables["params"]))}
    found: list[Path] = []

    def note(function: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        path = tuple(context.module.path)
        if path in owners and path not in found:
            found.append(path)
        return function(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(
            lambda v: model.apply(v, jnp.zeros((1, *image_shape)), train=False), dict(variables)
        )
    return found


def depths(model: nn.Module, variables: PyTree, image_shape: tuple[int, ...]) -> PyTree:
    """How many layers run after each parameter's own: 0 for the classifier, most for the stem.

    A layer is a module right below the network (a block counts as one); one without a kernel, as a
    BatchNorm, belongs to the layer before it. Returns the tree of params with an int a leaf.
    """
    params = flatten_dict(dict(variables["params"]))
    number: dict[str, int] = {}
    for path in layers(model, variables, image_shape):
        if path[0] not in number:
            has_kernel = any(k[0] == path[0] and jnp.ndim(x) > 1 for k, x in params.items())
            number[path[0]] = max(number.values(), default=-1) + (has_kernel or not number)
    last = max(number.values())
    return unflatten_dict({path: last - number[path[0]] for path in params})


def layerwise_decay(depths: PyTree, decay: float) -> optax.GradientTransformation:
    """Multiplies the update of a layer by decay ** depth: the last layers have the highest rate.

    Discriminative fine-tuning (Howard and Ruder 2018, arXiv:1801.06146, section 3.2, where decay is
    1 / 2.6). depths: what `depths` returns.
    """
    every = set(jax.tree.leaves(depths))
    return optax.multi_transform({depth: optax.scale(decay**depth) for depth in every}, depths)


def gradual_unfreezing(depths: PyTree, steps: int) -> optax.GradientTransformation:
    """Trains a layer from step `depth * steps` on: the last layer first.

    Gradual unfreezing (Howard and Ruder 2018, section 3.3). Gradients are computed for all
    layers, and the moments of the optimiser accumulate while a layer is frozen.
    """

    def opening(depth: int) -> optax.GradientTransformation:
        return optax.scale_by_schedule(lambda step: (step >= depth * steps).astype(jnp.float32))

    return optax.multi_transform({d: opening(d) for d in set(jax.tree.leaves(depths))}, depths)


class Start(NamedTuple):
    """The parameters before the first step."""

    params: PyTree


def l2_sp(
    strength: float, strength_new: float, is_new: Callable[[Path], bool]
) -> optax.GradientTransformation:
    """Adds strength (w - w_0) to the update of pretrained parameters, w_0 their initial values.

    L2-SP (Li et al. 2018, arXiv:1802.01483, equation 3); new parameters of two or more axes
    decay to zero by strength_new. is_new: path -> whether a parameter has no pretrained value.
    """

    def init(params: PyTree) -> Start:
        return Start(jax.tree.map(jnp.copy, params))

    def update(updates: PyTree, state: Start, params: PyTree) -> tuple[PyTree, Start]:
        def pull(path, update, now, start):
            if is_new(_names(path)):
                return update + strength_new * now if now.ndim > 1 else update
            return update + strength * (now - start)

        return jax.tree.map_with_path(pull, updates, params, state.params), state

    return optax.GradientTransformation(init, update)


def is_head(path: Path) -> bool:
    """Whether a parameter belongs to the layer that a new task replaces."""
    return HEAD in path


def frozen(norm: Callable) -> Callable:
    """`norm`, a BatchNorm, with its running statistics in training too.

    Few images estimate the statistics badly; scale and bias are trained as before.
    """

    def layer(**settings: Any) -> nn.Module:
        return norm(**settings | {"use_running_average": True})

    return layer


def backbone(variables: PyTree, like: PyTree) -> PyTree:
    """The part of pretrained variables that a network for another task starts from.

    like: the shapes of that network's variables. All but the head is kept.
    Raises ValueError, in one line, where the two differ elsewhere.
    """
    have, want = flatten_dict(dict(variables)), flatten_dict(dict(like))
    body = [path for path in want if not is_head(path)]
    wrong = [f"{'/'.join(path)} is missing" for path in body if path not in have]
    wrong += [f"{'/'.join(path)} is left over" for path in have if path not in want]
    wrong += [
        f"{'/'.join(path)} is {have[path].shape}, not {want[path].shape}"
        for path in body
        if path in have and have[path].shape != want[path].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"the pretrained network is another one: {'; '.join(wrong[:3])}{more}")
    return unflatten_dict({path: have[path] for path in body})


def for_seeds(tree: Mapping[str, Any], seeds: int) -> PyTree:
    """A tree of arrays with a leading axis of so many seeds, the same for each."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (seeds, *jnp.shape(x))), dict(tree))


def _names(path: tuple) -> Path:
    return tuple(str(getattr(entry, "key", entry)) for entry in path)
