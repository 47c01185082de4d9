"""The probes: their data by definition, their tasks, and the inspection of a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.recurrent.layers import GRU, LSTM, RNN, Stack
from dljax.rnn.probes import inspection, problems
from dljax.train import metrics, optim
from tests import helpers


def test_the_adding_problem():
    keys = jax.random.split(jax.random.key(0), 4000)
    x, target = jax.jit(jax.vmap(lambda key: problems.adding(key, 9)))(keys)
    values, markers = x[..., 0], x[..., 1]
    np.testing.assert_array_equal(markers[:, :4].sum(1), 1)
    np.testing.assert_array_equal(markers[:, 4:].sum(1), 1)
    assert (markers.sum(0) > 0).all(), "every time is marked now and then"
    np.testing.assert_allclose(target, (values * markers).sum(1), rtol=1e-6)
    assert ((values >= 0) & (values < 1)).all()
    assert np.mean((target - 1) ** 2) == pytest.approx(1 / 6, rel=0.05)
    with pytest.raises(ValueError, match="length of at least 2, not 1"):
        problems.adding_task(None, None, length=1, batch_size=1)


def test_images_are_read_in_order():
    image = np.arange(2 * 3 * 4 * 1).reshape(2, 3, 4, 1).astype(np.uint8)
    rows, _ = problems.rows({"image": jnp.asarray(image)})
    pixels, _ = problems.pixels({"image": jnp.asarray(image)})
    np.testing.assert_allclose(rows * 255, image[..., 0], rtol=1e-6)
    np.testing.assert_allclose(pixels * 255, image.reshape(2, 12, 1), rtol=1e-6)


def test_a_gru_learns_to_add_short_sequences():
    model = problems.Reader(Stack(24), 1)
    tx = optim.optimizer("adamw", 1e-2, clip_norm=1.0)
    task = problems.adding_task(model, tx, length=6, batch_size=64)
    placement, seeds = helpers.devices(1, vmap=True), helpers.SEEDS
    run, _ = helpers.run_steps(task, helpers.feed.empty(), placement, seeds, [300])
    batch = {"index": jnp.arange(500), "example_mask": jnp.ones(500)}
    evaluate = jax.jit(jax.vmap(task.evaluate, (0, None, None)))
    loss = metrics.ratios(evaluate(run.states, batch, jax.random.key(0)))["loss"]
    assert helpers.most(loss < 0.02), loss  # a sixth is what needs no memory


@pytest.mark.parametrize("layer", [RNN, LSTM, GRU])
def test_gradient_norms_against_a_difference(layer):
    """Of the sum of sin h at the end, with h_2 perturbed along each axis and the rest run on."""
    stack, x = Stack(3, 2, layer), jax.random.normal(jax.random.key(0), (1, 4, 2))
    step = 1e-2

    @jax.jit
    def compared(key):
        variables = stack.init(key, x)
        norms = inspection.gradient_norms(stack, variables, x, lambda h: jnp.sin(h).sum(-1))
        carries, _ = stack.apply(variables, x[:, :2])
        (h, *rest), structure = jax.tree.flatten(carries[-1])

        def loss(perturbation):
            perturbed = jax.tree.unflatten(structure, [h + perturbation, *rest])
            last, _ = stack.apply(variables, x[:, 2:], (carries[0], perturbed))
            return jnp.sin(jax.tree.leaves(last[-1])[0]).sum()

        return norms, jax.vmap(lambda e: loss(step * e) - loss(-step * e))(jnp.eye(3))

    norms, differences = compared(jax.random.key(1))
    assert norms.shape == (4,)
    assert norms[1] == pytest.approx(np.linalg.norm(differences / (2 * step)), rel=1e-2)


def test_gates_explain_the_state():
    x = jax.random.normal(jax.random.key(0), (2, 5, 3))

    @jax.jit
    def seen(key):
        layers = GRU(4), LSTM(4)
        return [inspection.gates(layer, layer.init(key, x), x) for layer in layers]

    gru, lstm = jax.device_get(seen(jax.random.key(1)))
    before = np.pad(gru["h"], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    np.testing.assert_allclose(gru["h"], (1 - gru["u"]) * gru["n"] + gru["u"] * before, atol=1e-6)
    cell = 0
    for t in range(5):
        cell = lstm["f"][:, t] * cell + lstm["i"][:, t] * lstm["g"][:, t]
    np.testing.assert_allclose(lstm["h"][:, -1], lstm["o"][:, -1] * np.tanh(cell), atol=1e-6)
