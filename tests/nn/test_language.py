"""Language models in parts equal themselves at once; layers equal their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.language import RecurrentLM
from dljax.nn.recurrent.layers import GRU, LSTM, Stack
from dljax.nn.recurrent.linear import MinGRU, linear_recurrence
from dljax.nn.transformer import TransformerLM, attend, rotated

V, B, T = 7, 3, 24
TOKENS = jax.random.randint(jax.random.key(0), (B, T), 0, V)
MODELS = {
    "lstm": RecurrentLM(V, Stack(8, 2, LSTM, norm=True, residual=True), norm=True),
    "gru, tied": RecurrentLM(V, Stack(8, 1, GRU), tied=True),
    "mingru": RecurrentLM(V, Stack(8, 2, MinGRU, residual=True), norm=True),
    "transformer": TransformerLM(V, 8, 2, 2, memory=5),
}


def trained(model):
    """Variables of a size at which everything counts."""
    shapes = jax.eval_shape(model.init, jax.random.key(1), TOKENS)
    random = np.random.default_rng(1)
    return jax.tree.map(lambda x: 0.5 * random.normal(size=x.shape).astype(np.float32), shapes)


@pytest.mark.parametrize("name", MODELS)
def test_parts_equal_the_whole(name):
    """Step by step, and in parts of several lengths, with the carries passed on."""
    model = MODELS[name]
    variables, apply = trained(model), jax.jit(model.apply)
    carries, whole = apply(variables, TOKENS)
    assert whole.shape == (B, T, V) and np.abs(whole).max() > 0.1
    for lengths in ([1] * T, [7, 1, 16]):
        state, parts, first = model.start(B), [], 0
        for n in lengths:
            state, logits = apply(variables, TOKENS[:, first : first + n], state)
            parts.append(logits)
            first += n
        np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=0, atol=1e-5)
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(carries), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_no_token_sees_a_later_one(name):
    model = MODELS[name]
    variables = trained(model)
    changed = TOKENS.at[:, 10].set((TOKENS[:, 10] + 1) % V)
    _, a = model.apply(variables, TOKENS)
    _, b = model.apply(variables, changed)
    np.testing.assert_array_equal(a[:, :10], b[:, :10])
    assert np.abs(a[:, 10:] - b[:, 10:]).max(-1).min() > 0 or name == "transformer"
    if name == "transformer":  # two blocks with a memory of 5 reach 10 tokens
        assert np.abs(a[:, 20] - b[:, 20]).min() > 0
        np.testing.assert_array_equal(a[:, 21:], b[:, 21:])


def test_tied_weights_are_one():
    assert "head" not in trained(MODELS["gru, tied"])["params"]
    params = trained(MODELS["lstm"])["params"]
    assert params["head"]["kernel"].shape == (8, V)
    assert params["stack"]["forward_0"]["kernel"].shape == (V, 32)  # an embedding of each token


def test_dropout_is_one_mask_for_all_times():
    model = RecurrentLM(V, Stack(64, 1, GRU, variational=True), dropout=0.5)
    variables = model.init(jax.random.key(0), TOKENS)
    head = {"kernel": jnp.eye(64)[:, :V] * 0 + 1.0, "bias": jnp.zeros(V)}
    variables = {"params": {**variables["params"], "head": head}}

    def logits(rng):
        return model.apply(variables, TOKENS[:, :2] * 0, train=True, rngs={"dropout": rng})[1]

    one, again, other = (logits(jax.random.key(i)) for i in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


def test_linear_recurrence_by_hand():
    a, b = jnp.array([0.5, 2.0, 0.0]), jnp.array([1.0, 1.0, 3.0])
    np.testing.assert_allclose(linear_recurrence(a, b, jnp.float32(4)), [3.0, 7.0, 3.0])


def test_linear_recurrence_has_the_gradient_of_its_steps():
    keys = jax.random.split(jax.random.key(0), 4)
    a, b, weight = (jax.random.normal(key, (7, 2, 3)) for key in keys[:3])
    start = jax.random.normal(keys[3], (2, 3))

    def one_by_one(a, b, h):
        hs = []
        for i in range(7):
            h = a[i] * h + b[i]
            hs.append(h)
        return jnp.stack(hs)

    def gradient(recurrence):
        return jax.grad(lambda *x: (weight * recurrence(*x)).sum(), (0, 1, 2))(a, b, start)

    for found, want in zip(gradient(linear_recurrence), gradient(one_by_one), strict=True):
        np.testing.assert_allclose(found, want, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_mingru_with_masks(reverse):
    """Padding keeps the carry and gives zeros; a reversed layer begins at the last real time."""
    layer, x = MinGRU(5), jax.random.normal(jax.random.key(0), (2, 6, 3))
    mask = jnp.arange(6) < jnp.array([6, 4])[:, None]
    variables = layer.init(jax.random.key(1), x)
    last, y = layer.apply(variables, x, None, mask, reverse)
    for row, length in enumerate((6, 4)):
        alone, times = layer.start(1), range(length)
        for t in reversed(times) if reverse else times:
            alone, h = layer.apply(variables, alone, x[row : row + 1, t], method="step")
            np.testing.assert_allclose(y[row, t], h[0], atol=1e-6)
        np.testing.assert_allclose(last[row], alone[0], atol=1e-6)
    assert (np.asarray(y[1, 4:]) == 0).all()
    with pytest.raises(ValueError, match=r"mask \(2, 5\) does not fit"):
        layer.apply(variables, x, None, mask[:, :5])
    with pytest.raises(ValueError, match="wants sequences"):
        layer.apply(variables, x[0])


def test_attention_by_its_definition():
    """Each query alone: the keys within reach, those of the empty memory left out."""
    memory, length, heads, size = 3, 4, 2, 4
    random = np.random.default_rng(0)
    q = random.normal(size=(1, length, heads, size)).astype(np.float32)
    k, v = random.normal(size=(2, 1, memory + length, heads, size)).astype(np.float32)
    found = attend(q, k, v, jnp.array([2]), memory)
    for t in range(length):
        for h in range(heads):
            reach = [i for i in range(t, t + memory + 1) if i >= 1]  # one key of three is missing
            scores = []
            for i in reach:
                a = rotated(q[:, t : t + 1], jnp.array([t + memory - i]))[0, 0, h]  # by distance
                scores.append(float(a @ k[0, i, h]) / size**0.5)
            p = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(found[0, t, h], p @ v[0, reach, h], atol=1e-5)


def test_widths_that_do_not_fit():
    with pytest.raises(ValueError, match="no multiple of 2"):
        TransformerLM(V, 10, 1, 4, memory=5).init(jax.random.key(0), TOKENS)
