"""Steering learnt from recordings: losses, augmentation, scores and VisualBackProp by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import signal
from sklearn import metrics as sklearn_metrics

from dljax.cnn.driving import augmentation, networks, open_loop, recorded, visual_backprop
from dljax.cnn.driving import target as targets
from dljax.cnn.driving.target import Target


def test_targets_and_losses_by_hand():
    angles = np.array([3.0, -4.0, 0, 0, 0])
    target = targets.target_of(angles, 0)
    assert target == Target(pytest.approx(np.sqrt(5)), ())
    outputs = jnp.array([0.0, 2.0])
    np.testing.assert_allclose(targets.angles(target, outputs), [0, 2 * np.sqrt(5)], rtol=1e-6)
    wanted = jnp.array([3.0, -4.0])
    expected = [9 / 5, (2 * np.sqrt(5) + 4) ** 2 / 5]
    np.testing.assert_allclose(targets.losses(target, outputs, wanted), expected, rtol=1e-6)
    straight = targets.losses(target, jnp.zeros(5), jnp.asarray(angles))
    np.testing.assert_allclose(straight.mean(), 1, rtol=1e-6)


def test_bins_by_hand():
    target = targets.target_of(np.array([4.0, -1.0]), 5)
    assert target.centres == (-4, -2, 0, 2, 4)
    distance = np.array([-4, -2, 0, 2, 4]) - 1
    soft = np.exp(-0.5 * (distance / 2.0) ** 2)
    soft /= soft.sum()
    np.testing.assert_allclose(targets.soft_bins(target, jnp.ones(1))[0], soft, rtol=1e-5)
    logits = jnp.array([[0, 0, 0, np.log(3), 0]])
    np.testing.assert_allclose(targets.angles(target, logits), [(3 * 2 - 2) / 7], rtol=1e-5)
    p = np.array([1, 1, 1, 3, 1]) / 7
    loss = targets.losses(target, logits, jnp.ones(1))
    np.testing.assert_allclose(loss, [-(soft * np.log(p)).sum()], rtol=1e-5)


def test_an_evaluation_is_of_real_examples_and_their_bins():
    model = networks.SteeringNet(((2, 3, 2),), (4,))
    target = Target(2.0)
    task = recorded.task(model, optax.sgd(0.1), target, (8, 8, 3))
    state = jax.jit(task.init)(jax.random.key(0))
    pictures = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3)).astype(np.uint8)
    angle = np.array([0.0, 6.0, -12.0, 9.0], np.float32)
    batch = {"image": pictures, "angle": angle, "example_mask": np.array([1.0, 1, 1, 0])}
    found = recorded.summarise(
        {k: (np.asarray(a)[None], np.asarray(b)[None])
         for k, (a, b) in jax.jit(task.evaluate)(state, batch, jax.random.key(1)).items()}
    )  # fmt: skip
    states = jax.tree.map(lambda x: x[None], state)
    answer = np.asarray(recorded.answer(model, target, states, pictures))[0, :3]
    error = np.abs(answer - angle[:3])
    assert found["mae_degrees"][0] == pytest.approx(error.mean(), rel=1e-5)
    assert found["rmse_degrees"][0] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    assert found["turning_mae_degrees"][0] == pytest.approx(error[1:].mean(), rel=1e-5)
    assert found["balanced_mae_degrees"][0] == pytest.approx(error.mean(), rel=1e-5)
    assert found["loss"][0] == pytest.approx((error**2).mean() / 4, rel=1e-5)


def test_a_step_follows_the_weights():
    model = networks.SteeringNet(((2, 3, 2),), (4,))
    task = recorded.task(model, optax.sgd(0.1), Target(1.0), (8, 8, 3))
    state, step = jax.jit(task.init)(jax.random.key(0)), jax.jit(task.step)
    pictures = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)
    batch = {"image": pictures, "angle": np.array([5.0, -5.0], np.float32)}
    first, _ = step(state, batch | {"weight": np.array([2.0, 0])}, jax.random.key(1))
    alone = {name: x[:1] for name, x in batch.items()} | {"weight": np.ones(1)}
    second, _ = step(state, alone, jax.random.key(1))
    equal = jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-6), first.params, second.params)
    assert all(jax.tree.leaves(equal))


def test_mirror_images_steer_the_other_way():
    picture = jnp.arange(2 * 3 * 3.0).reshape(2, 3, 3) / 18
    seen = set()
    for i in range(20):
        found, angle = augmentation.mirror()(jax.random.key(i), picture, jnp.float32(4))
        turned = float(angle) < 0
        np.testing.assert_array_equal(found, picture[:, ::-1] if turned else picture)
        assert float(angle) == (-4 if turned else 4)
        seen.add(turned)
    assert seen == {True, False}


def test_a_picture_moved_right_steers_right():
    """As from a camera farther left: the road lies farther right."""
    picture = jnp.zeros((1, 10, 3)).at[0, 5].set(1.0).at[0, 0].set(0.3)
    places = set()
    for i in range(40):
        found, angle = augmentation.shift(0.2, 30.0)(jax.random.key(i), picture, jnp.float32(1))
        place = int(jnp.argmax(found[0, :, 0]))
        assert float(angle) == pytest.approx(1 + 30 * (place - 5) / 10)
        places.add(place)
        if place > 5:
            assert float(found[0, 0, 0]) == pytest.approx(0.3)  # the border is repeated
    assert places == {3, 4, 5, 6, 7}


def test_a_shadow_lies_on_one_side_of_a_line():
    picture = jnp.ones((6, 8, 3))
    found, angle = augmentation.shadow(0.4)(jax.random.key(1), picture, jnp.float32(2))
    rows = np.asarray(found)[..., 0]
    assert float(angle) == 2 and 0.4 <= rows.min() < 1 and set(np.unique(rows)) <= {rows.min(), 1}
    assert (np.diff(rows, axis=1) >= 0).all()  # dark on the left, light on the right
    both = augmentation.chain(augmentation.alone(lambda key, x: x / 2), augmentation.mirror())
    found, _ = both(jax.random.key(0), picture, jnp.float32(2))
    np.testing.assert_allclose(found, 0.5)


def test_scores_by_hand_and_against_scikit_learn():
    rng = np.random.default_rng(0)
    angle = rng.choice([0.0, 0, 0, -7, 12], 400) * rng.uniform(0.5, 1, 400)
    predicted = 0.5 * angle + rng.normal(size=400)
    found = open_loop.scores(predicted, angle)
    mae = sklearn_metrics.mean_absolute_error(angle, predicted)
    mse = sklearn_metrics.mean_squared_error(angle, predicted)
    assert found.mae.value == pytest.approx(mae) and found.mae.low < mae < found.mae.high
    assert found.rmse.value == pytest.approx(np.sqrt(mse))
    assert found.skill.value == pytest.approx(1 - mse / (angle**2).mean())
    assert found.skill.low > 0 and found.correlation > 0.9
    turning = np.abs(angle) > 0.5
    assert found.turning_mae.value == pytest.approx(np.abs(predicted - angle)[turning].mean())
    two = open_loop.scores(np.array([1.0, 1, 1, 1]), np.array([0.0, 0, 0, 20]))
    assert two.balanced_mae == pytest.approx((1 + 19) / 2)
    assert np.isnan(two.correlation)
    assert two.bias.value == pytest.approx(-4) and two.unbiased_skill == pytest.approx(0)
    assert two.skill.value == pytest.approx(1 - (3 + 361) / 400)
    assert set(open_loop.headline(two)) >= {"mae_degrees", "skill"}
    nowhere = open_loop.scores(np.ones(4), np.zeros(4))
    assert nowhere.mae == (1, 1, 1) and np.isnan(nowhere.turning_mae).all()
    gain = open_loop.against(np.zeros(4), np.full(4, 2.0), np.zeros(4))
    assert gain == (1, 1, 1)


def test_simple_methods_by_hand():
    train = np.array([0.0, 0, 0, 4])
    angle, drive = np.array([1.0, 2, 3, 5, 7]), np.array([0, 0, 0, 1, 1])
    found = open_loop.simple_methods(train, angle, drive)
    assert {name: x.tolist() for name, x in found.items()} == {
        "always straight": [0] * 5,
        "the mean": [1] * 5,
        "the median": [0] * 5,
        "the last angle": [0, 1, 2, 0, 5],
    }


def test_a_mask_spreads_by_a_transposed_convolution():
    rows = visual_backprop.spread(jnp.array([[[2.0, 3.0]]]), 1, 1, (1, 2))
    np.testing.assert_array_equal(rows, [[[2, 3]]])
    by_hand = visual_backprop.spread(jnp.array([[[2.0, 3.0], [0, 0]]]), 3, 2, (6, 5))
    line = [2, 2, 5, 3, 3]
    np.testing.assert_array_equal(by_hand[0], [line, line, line, [0] * 5, [0] * 5, [0] * 5])
    x = np.random.default_rng(0).random((4, 5))
    holes = np.zeros((10, 13))
    holes[::3, ::3] = x
    expected = signal.convolve2d(holes, np.ones((5, 5)), "full")
    found = visual_backprop.spread(jnp.asarray(x[None], jnp.float32), 5, 3, expected.shape)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_masks_by_hand():
    """Averages 4 x 4 and 2 x 2, of layers that see a pixel and then blocks of two by two."""
    first = jnp.arange(16.0).reshape(1, 4, 4, 1) + jnp.array([-1.0, 1.0])  # the average is 0..15
    second = jnp.array([[[[1.0], [0]], [[0], [2]]]])
    found = visual_backprop.masks([first, second], ((2, 1, 1), (1, 2, 2)), (4, 4))
    spread = np.kron([[1, 0], [0, 2]], np.ones((2, 2)))
    expected = np.arange(16).reshape(4, 4) * spread
    np.testing.assert_allclose(found[0], expected / 30, rtol=1e-6)


def test_a_network_looks_where_something_is():
    """Positive weights, dark everywhere but in a patch: nothing else passes the ReLUs."""
    layers = ((2, 3, 2), (3, 3, 1))
    model = networks.SteeringNet(layers, (4,))
    pictures = jnp.zeros((2, 16, 20, 3)).at[0, 4:7, 8:11].set(1.0)
    variables = jax.tree.map(jnp.abs, model.init(jax.random.key(0), pictures))
    maps = visual_backprop.feature_maps(model, variables, pictures)
    assert [x.shape for x in maps] == [(2, 7, 9, 2), (2, 5, 7, 3)]
    found = np.asarray(visual_backprop.masks(maps, layers, (16, 20)))
    assert found[0].max() == 1 and found[0].min() == 0 and not found[1].any()
    row, column = np.unravel_index(found[0].argmax(), found[0].shape)
    assert 4 <= row < 7 and 8 <= column < 11
    seen = np.argwhere(found[0] > 0)  # the first layer's windows that touch the patch
    assert (seen.min(0) >= (2, 6)).all() and (seen.max(0) <= (8, 12)).all()
