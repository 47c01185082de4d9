"""Low-rank adapters (LoRA: Hu et al. 2021, arXiv:2106.09685) for dense layers and convolutions.

The pretrained kernel W stays; beside it a product of two thin matrices is trained, W + (alpha / r)
A B (section 4.1), A [I, r] random and B [r, O] zero, so that training starts at the pretrained
network. A convolution kernel [KH, KW, I, O] counts as the matrix [KH KW I, O], which for a 1x1
convolution is its kernel. Depthwise kernels, which are thin themselves, get none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from dljax.transfer.finetuning import is_head

PyTree = Any
Path = tuple[str, ...]


def is_adapted(path: Path, leaf: Any, rank: int) -> bool:
    """Whether a parameter gets an adapter: a kernel of more rows and columns than `rank`."""
    if path[-1] != "kernel" or is_head(path) or leaf.ndim not in (2, 4):
        return False
    rows, columns = _matrix(leaf.shape)
    depthwise = leaf.ndim == 4 and leaf.shape[2] == 1
    return not depthwise and min(rows, columns) > rank


def adapters(key: jax.Array, params: PyTree, rank: int) -> PyTree:
    """{'a': [rows, rank], 'b': [rank, columns]} at the path of each adapted kernel.

    Raises ValueError where no kernel is large enough.
    """
    result, flat = {}, flatten_dict(dict(params))
    for index, (path, leaf) in enumerate(sorted(flat.items())):
        if is_adapted(path, leaf, rank):
            rows, columns = _matrix(leaf.shape)
            draw = jax.random.normal(jax.random.fold_in(key, index), (rows, rank))
            result[(*path[:-1], "a")] = draw / math.sqrt(rows)
            result[(*path[:-1], "b")] = jnp.zeros((rank, columns))
    if not result:
        raise ValueError(
            f"no kernel is large enough for adapters of rank {rank}: set a smaller --rank"
        )
    return unflatten_dict(result)


def merge(params: PyTree, adapters: PyTree, scale: float) -> PyTree:
    """The parameters of a plain network: each adapted kernel plus scale times its a b."""
    flat, thin = flatten_dict(dict(params)), flatten_dict(dict(adapters))
    for (*owner, part), a in thin.items():
        if part == "a":
            path = (*owner, "kernel")
            product = a @ thin[(*owner, "b")]
            flat[path] = flat[path] + scale * product.reshape(flat[path].shape)
    return unflatten_dict(flat)


class Adapted(NamedTuple):
    """A network whose adapters and head alone are trained; used as a Flax module is.

    Its variables: "params" with the adapters and, under "whole", what is trained as it is; "fixed"
    with the other parameters; and the network's own collections.
    alpha: over the rank it multiplies the product. whole: path -> whether a parameter is trained.
    """

    model: nn.Module
    rank: int = 4
    alpha: float = 4.0
    whole: Callable[[Path], bool] = is_head

    def init_with_output(self, key: jax.Array, x: jax.Array, train: bool = False) -> Any:
        """(outputs, variables), as a Flax module's."""
        outputs, variables = self.model.init_with_output(key, x, train=train)
        thin = adapters(jax.random.fold_in(key, 1), variables["params"], self.rank)
        return outputs, self.split(variables, thin)

    def split(self, variables: PyTree, adapters: PyTree) -> PyTree:
        """The variables of a plain network and its adapters as those of the adapted one."""
        rest = {name: tree for name, tree in variables.items() if name != "params"}
        flat = flatten_dict(dict(variables["params"]))
        whole = unflatten_dict({path: x for path, x in flat.items() if self.whole(path)})
        fixed = unflatten_dict({path: x for path, x in flat.items() if not self.whole(path)})
        params = {"adapters": adapters} if adapters else {}
        params |= {"whole": whole} if whole else {}
        return {"params": params, "fixed": fixed, **rest}

    def merged(self, variables: PyTree) -> PyTree:
        """The variables of the plain network that gives the same outputs."""
        rest = {n: tree for n, tree in variables.items() if n not in ("params", "fixed")}
        params = variables["params"]
        plain = flatten_dict(dict(variables["fixed"])) | flatten_dict(dict(params["whole"]))
        scale = self.alpha / self.rank
        return {"params": merge(unflatten_dict(plain), params["adapters"], scale), **rest}

    def apply(
        self,
        variables: PyTree,
        x: jax.Array,
        train: bool = False,
        mutable: Any = False,
        **more: Any,
    ) -> Any:
        """Outputs, and the changed collections where some are mutable, as a Flax module's."""
        plain = self.merged(variables)
        if not mutable:
            return self.model.apply(plain, x, train=train, **more)
        own = [name for name in mutable if name != "fixed"]
        outputs, changed = self.model.apply(plain, x, train=train, mutable=own, **more)
        return outputs, {**changed, "fixed": variables["fixed"]}


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1]
