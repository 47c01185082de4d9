"""Fine-tuning: the order of layers, their rates, L2-SP, frozen statistics, warm starts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.cnn.classification import classifier
from dljax.nn.allconv import AllConv
from dljax.nn.normalization import BatchNorm
from dljax.nn.resnet import resnet20
from dljax.train import loop, optim, supervised
from dljax.transfer import finetuning
from tests.helpers import assert_same, devices

SHAPE = (8, 8, 1)


def small(**settings):
    return AllConv(**{"classes": 3, "widths": (2,)} | settings)


@pytest.fixture(scope="module")
def variables():
    made = small().init(jax.random.key(0), jnp.zeros((1, *SHAPE)))
    noise = jax.random.uniform(jax.random.key(1), (2,), minval=0.5, maxval=1.5)
    stats = jax.tree.map(lambda x: x + noise, made["batch_stats"])  # not the blank ones
    return jax.tree.map(np.asarray, {"params": made["params"], "batch_stats": stats})


def test_layers_come_in_the_order_in_which_they_run(variables):
    names = ["/".join(path) for path in finetuning.layers(small(), variables, SHAPE)]
    each = [f"{kind}_{i}" for i in range(5) for kind in ("Conv", "BatchNorm")]
    assert names == [*each, "classifier"]


def test_depths_count_from_the_classifier():
    model = resnet20(classes=3, widths=(2, 2, 2))
    found = finetuning.depths(model, finetuning.shapes(model, SHAPE), SHAPE)
    flat = {name: set(jax.tree.leaves(tree)) for name, tree in found.items()}
    assert flat["classifier"] == {0} and flat["stage3_block3"] == {1}
    assert flat["stage1_block1"] == {9} and flat["stem"] == flat["stem_norm"] == {10}


TREE = {"stem": {"kernel": jnp.ones((2, 2))}, "classifier": {"kernel": jnp.ones((2, 3))}}
DEPTHS = {"stem": {"kernel": 2}, "classifier": {"kernel": 0}}


def factors(tx, steps=1):
    """What the last of so many updates of ones becomes, by layer."""
    state = tx.init(TREE)
    for _ in range(steps):
        updates, state = tx.update(TREE, state, TREE)
    return {name: float(leaf["kernel"][0, 0]) for name, leaf in updates.items()}


def test_layerwise_rates():
    assert factors(finetuning.layerwise_decay(DEPTHS, 0.5)) == {"stem": 0.25, "classifier": 1.0}


def test_gradual_unfreezing():
    tx = finetuning.gradual_unfreezing(
        DEPTHS, 3
    )  # the stem, two layers down, learns from step 6 on
    assert [factors(tx, steps)["stem"] for steps in (1, 6, 7)] == [0, 0, 1]
    assert factors(tx, 1)["classifier"] == 1


def test_the_rates_reach_the_averaged_parameters():
    tx = optim.optimizer("sgd", 0.1, ema=0.5, rates=finetuning.layerwise_decay(DEPTHS, 0.5))
    updates, state = tx.update(TREE, tx.init(TREE), TREE)
    assert_same(optim.ema_params(state, None), optax.apply_updates(TREE, updates))
    np.testing.assert_allclose(updates["stem"]["kernel"], -0.025)


def test_l2_sp_by_hand():
    tx = optim.optimizer("sgd", 0.1, decay=finetuning.l2_sp(0.5, 0.2, finetuning.is_head))
    moved = jax.tree.map(lambda x: x + 2, TREE)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, TREE), tx.init(TREE), moved)
    np.testing.assert_allclose(updates["stem"]["kernel"], -0.1 * 0.5 * (3 - 1), rtol=1e-6)
    np.testing.assert_allclose(updates["classifier"]["kernel"], -0.1 * 0.2 * 3, rtol=1e-6)


def test_frozen_statistics(variables):
    x = jax.random.normal(jax.random.key(2), (4, *SHAPE))
    model = small(norm=finetuning.frozen(BatchNorm))
    logits, changed = model.apply(variables, x, train=True, mutable=["batch_stats"])
    assert_same(changed["batch_stats"], variables["batch_stats"])
    np.testing.assert_allclose(logits, small().apply(variables, x), rtol=1e-5, atol=1e-6)
    free, moved = small().apply(variables, x, train=True, mutable=["batch_stats"])
    assert np.abs(free - logits).max() > 1e-2
    mean = moved["batch_stats"]["BatchNorm_0"]["mean"]
    assert np.abs(mean - variables["batch_stats"]["BatchNorm_0"]["mean"]).max() > 1e-3


def test_a_task_starts_from_the_backbone(variables):
    """All but the head is pretrained, for each seed; the heads differ."""
    model = small(classes=5)
    body = finetuning.backbone(variables, finetuning.shapes(model, SHAPE))
    task = classifier.task(model, optax.sgd(0.1), image_shape=SHAPE, classes=5)
    run = loop.start(task, (3, 4), devices(1), (finetuning.for_seeds(body, 2),))
    params = run.states.params
    for seed in range(2):
        first = jax.tree.map(lambda x, seed=seed: x[seed], params["Conv_0"])
        assert_same(first, variables["params"]["Conv_0"])
    assert_same(
        run.states.model_state, {"batch_stats": finetuning.for_seeds(body, 2)["batch_stats"]}
    )
    heads = params["classifier"]["kernel"]
    assert heads.shape == (2, 1, 1, 2, 5) and not np.array_equal(heads[0], heads[1])


def test_another_network_is_refused(variables):
    for other, message in (
        (small(widths=(3,)), r"mean is \(2,\), not \(3,\).* and 22 more"),
        (small(widths=(2, 2)), "BatchNorm_5/mean is missing.* and 13 more"),
    ):
        with pytest.raises(ValueError, match=message):
            finetuning.backbone(variables, finetuning.shapes(other, SHAPE))
    deeper = small(widths=(2, 2)).init(jax.random.key(0), jnp.zeros((1, *SHAPE)))
    with pytest.raises(ValueError, match="is left over"):
        finetuning.backbone(deeper, variables)
    with pytest.raises(ValueError, match="params/stem does not fit|params/stem of .* does not fit"):
        supervised.merge_params(variables, {"params": {"stem": np.zeros(3)}})
