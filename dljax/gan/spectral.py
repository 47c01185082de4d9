"""Spectral normalisation of parameters (Miyato et al. 2018, arXiv:1802.05957, algorithm 1).

A pure function of a tree of parameters: every kernel [..., I, O], as the matrix [... I, O], is
divided by its largest singular value, estimated by one step of power iteration from the left
vectors of the step before. Modules need no change.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

PyTree = Any


def init(params: PyTree, key: Array) -> dict[str, Array]:
    """A unit vector [O] for each kernel (leaf of two or more axes), by the kernel's path."""
    kernels = _kernels(params)
    keys = jax.random.split(key, max(len(kernels), 1))
    return {
        path: _unit(jax.random.normal(k, kernel.shape[-1:]))
        for k, (path, kernel) in zip(keys, kernels.items(), strict=False)
    }


def normalize(params: PyTree, vectors: dict[str, Array]) -> tuple[PyTree, dict[str, Array]]:
    """The parameters with kernels of spectral norm about 1, and the vectors after one iteration.

    The gradient goes through the norm, u and v being constants (the paper's equation 9).
    """
    sigmas, after = {}, {}
    for path, kernel in _kernels(params).items():
        matrix = kernel.reshape(-1, kernel.shape[-1])
        still = lax.stop_gradient(matrix)
        u = _unit(still @ vectors[path])
        after[path] = _unit(u @ still)
        sigmas[path] = u @ matrix @ after[path]

    def divide(path, leaf):
        sigma = sigmas.get(jax.tree_util.keystr(path))
        return leaf if sigma is None else leaf / sigma

    return jax.tree_util.tree_map_with_path(divide, params), after


def _kernels(params: PyTree) -> dict[str, Array]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves if leaf.ndim >= 2}


def _unit(x: Array) -> Array:
    return x * lax.rsqrt(jnp.square(x).sum() + 1e-12)
