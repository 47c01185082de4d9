"""Adapters: start at the pretrained network, train alone, and merge into a plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.nn.allconv import AllConv
from dljax.train import supervised
from dljax.transfer import lora
from dljax.transfer.finetuning import shapes
from tests.helpers import assert_same

X = jax.random.normal(jax.random.key(7), (4, 8, 8, 1))


def test_merge_by_hand():
    params = {"dense": {"kernel": jnp.zeros((2, 2)), "bias": jnp.ones(2)}}
    thin = {"dense": {"a": jnp.array([[1.0], [2.0]]), "b": jnp.array([[3.0, 4.0]])}}
    merged = lora.merge(params, thin, 0.5)
    np.testing.assert_array_equal(merged["dense"]["kernel"], [[1.5, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(merged["dense"]["bias"], [1, 1])


def test_which_kernels_are_adapted():
    def adapted(path, *shape):
        return lora.is_adapted((*path.split("/"), "kernel"), np.zeros(shape), rank=4)

    assert adapted("dense", 8, 8) and adapted("conv", 1, 1, 8, 8) and adapted("conv", 3, 3, 8, 8)
    assert not adapted("depthwise", 3, 3, 1, 8) and not adapted("classifier", 8, 8)
    assert not adapted("thin", 4, 8) and not lora.is_adapted(("norm", "scale"), np.zeros(8), 4)
    with pytest.raises(ValueError, match="no kernel is large enough for adapters of rank 4"):
        lora.adapters(jax.random.key(0), {"thin": {"kernel": np.zeros((4, 8))}}, 4)


def test_adapters_train_alone_and_merge():
    """At first the network is the pretrained one; a step changes adapters and head alone."""
    plain = AllConv(classes=3, widths=(4,))
    adapted = lora.Adapted(plain, rank=2, alpha=4.0)
    logits, variables = jax.jit(adapted.init_with_output)(jax.random.key(0), X)
    apply = jax.jit(adapted.apply)
    np.testing.assert_allclose(logits, apply(variables, X), rtol=1e-5, atol=1e-6)
    state = supervised.create_state(variables, tx := optax.sgd(0.5))

    def loss(params):
        seen = {"params": params, **state.model_state}
        logits, changed = adapted.apply(seen, X, train=True, mutable=list(state.model_state))
        return (logits**2).mean(), (changed, None)

    after = jax.jit(lambda state: supervised.gradient_step(state, tx, loss)[0])(state)
    assert_same(after.model_state["fixed"], variables["fixed"])
    assert set(after.params) == {"adapters", "whole"}
    for path, leaf in jax.tree.leaves_with_path(after.params):
        kind, before = path[-1].key, variables["params"]
        for entry in path:
            before = before[entry.key]
        # A has no gradient while B is zero.
        assert (np.abs(leaf - before).max() > 0) == (kind != "a"), path
    merged = adapted.merged(after.variables())
    assert jax.tree.structure(merged) == jax.tree.structure(shapes(plain, X.shape[1:]))
    np.testing.assert_allclose(
        jax.jit(plain.apply)(merged, X), apply(after.variables(), X), rtol=1e-5, atol=1e-6
    )
