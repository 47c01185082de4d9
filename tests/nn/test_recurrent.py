"""Recurrent layers against torch's, against their definition, and against themselves in parts."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.recurrent import cells
from dljax.nn.recurrent.layers import GRU, LSTM, RNN, Stack, from_torch
from dljax.nn.recurrent.scan import recur, recur_reference

LAYERS = [RNN, LSTM, GRU]
B, T, INPUTS, F = 3, 7, 4, 5
X = jax.random.normal(jax.random.key(0), (B, T, INPUTS))
LENGTHS = (7, 4, 4)
MASK = jnp.arange(T) < jnp.array(LENGTHS)[:, None]
layers = pytest.mark.parametrize("layer", LAYERS)


def close(got, want, tolerance=1e-5):
    """Largest difference of each array below that share of its largest entry."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-6), np.abs(a - b).max()


def begun(module, seed=1):
    """Parameters with nothing left at zero, and a carry likewise."""
    random = np.random.default_rng(seed)
    variables = jax.eval_shape(module.init, jax.random.key(0), X)
    return jax.tree.map(
        lambda x: 0.5 * random.normal(size=x.shape).astype(np.float32),
        (variables, jax.eval_shape(partial(module.start, B))),
    )


def weighed(tree):
    """A scalar in which every entry counts differently."""
    leaves = jax.tree.leaves(tree)
    return sum((x * jnp.sin(jnp.arange(x.size) + 1.0).reshape(x.shape)).sum() for x in leaves)


# Against torch ------------------------------------------------------------------------------------


def torch_run(net, x, carry):
    """Outputs, last states and the gradients of `weighed` of both: of x, the carry, the weights."""
    import torch

    x = torch.tensor(x, requires_grad=True)
    carry = [torch.tensor(c, requires_grad=True) for c in carry]
    ys, last = net(x, tuple(carry) if len(carry) > 1 else carry[0])
    last = last if isinstance(last, tuple) else (last,)
    loss = 0
    for y in (*last, ys):
        loss = loss + (y * torch.sin(torch.arange(y.numel()) + 1.0).reshape(y.shape)).sum()
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in net.named_parameters()}
    carry = [c.grad.numpy() for c in carry]
    return [y.detach().numpy() for y in (*last, ys)], x.grad.numpy(), carry, gradients


@pytest.mark.parametrize(("depth", "ways"), [(1, 1), (2, 2)])
@layers
def test_equals_torch(layer, depth, ways):
    torch = pytest.importorskip("torch", reason="compares with torch.nn, which is not installed")
    torch.manual_seed(0)
    net = getattr(torch.nn, layer.__name__)(
        INPUTS, F, depth, batch_first=True, bidirectional=ways == 2
    )
    states = layer.cell.states
    x = np.asarray(X)
    carry = np.random.default_rng(0).normal(size=(states, depth * ways, B, F)).astype(np.float32)
    stack = Stack(F, depth, layer, bidirectional=ways == 2)

    def ours(params, x, carry):
        of_layers = [tuple(c) if states > 1 else c[0] for c in jnp.swapaxes(carry, 0, 1)]
        if ways == 2:
            of_layers = list(zip(of_layers[::2], of_layers[1::2], strict=True))
        last, ys = stack.apply({"params": params}, x, tuple(of_layers))
        leaves = jax.tree.leaves(last)
        return [*(jnp.stack(leaves[i::states]) for i in range(states)), ys]

    params = from_torch({name: p.detach().numpy() for name, p in net.named_parameters()})

    def loss(*args):
        outputs = ours(*args)
        return weighed(outputs), outputs

    gradients, outputs = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(params, x, carry)
    their_outputs, their_dx, their_dcarry, their_dparams = torch_run(net, x, carry)
    close(outputs, their_outputs)
    close(gradients[1], their_dx)
    close(list(gradients[2]), their_dcarry)
    for name, found in _as_torch(gradients[0], layer).items():
        close(found, their_dparams[name])


def _as_torch(gradient, layer):
    """A gradient of ours under torch's names; the biases' gradients are equal but for GRU's n."""
    found = {}
    for name, g in gradient.items():
        way, number = name.split("_")
        suffix = f"l{number}" + ("_reverse" if way == "backward" else "")
        found[f"weight_ih_{suffix}"], found[f"weight_hh_{suffix}"] = g["kernel"].T, g["recurrent"].T
        found[f"bias_ih_{suffix}"] = found[f"bias_hh_{suffix}"] = g["bias"]
        if layer is GRU:
            found[f"bias_hh_{suffix}"] = g["bias"].at[2 * F :].set(g["recurrent_bias"])
    return found


def test_from_torch_without_biases_and_without_layers():
    params = from_torch(
        {"weight_ih_l0": np.ones((3 * F, INPUTS)), "weight_hh_l0": np.ones((3 * F, F))}
    )
    wanted, _ = begun(Stack(F))
    assert jax.tree.map(jnp.shape, {"params": params}) == jax.tree.map(jnp.shape, wanted)
    assert not params["forward_0"]["bias"].any()
    with pytest.raises(ValueError, match="no recurrent layer"):
        from_torch({"weight": np.ones(3)})


# Against the definition ---------------------------------------------------------------------------


@pytest.mark.parametrize(("mask", "reverse"), [(None, False), (MASK, True)])
@layers
def test_gradients_equal_the_definition(layer, mask, reverse):
    module = layer(F)
    variables, carry = begun(module)
    weights = module.apply(variables, INPUTS, method="weights")
    a = jax.random.normal(jax.random.key(2), (T, B, layer.cell.gates * F))
    carry = carry if layer.cell.states > 1 else (carry,)
    mask = None if mask is None else mask.T[..., None]

    def loss(f, recurrent, bias, carry, a):
        return weighed(f(layer.cell, recurrent, bias, carry, a, mask, reverse))

    args = (weights.recurrent, weights.recurrent_bias, carry, a)

    @jax.jit
    def compared(*args):
        fast, again = partial(loss, recur), jax.checkpoint(partial(loss, recur))
        plain = partial(loss, recur_reference)
        return [jax.value_and_grad(f, range(4))(*args) for f in (fast, again, plain)]

    fast, again, wanted = compared(*args)
    close(fast, wanted)
    close(again, wanted)


def test_one_step_by_hand():
    """One unit, all weights 1, biases 0, from h = c = 0.5 and x = 1: the gates' sums are 1.5."""
    half, s = jnp.full((1, 1), 0.5), 1 / (1 + np.exp(-1.5))

    def step(cell, *carry):
        a, q = jnp.ones((1, cell.gates)), jnp.full((1, cell.gates), 0.5)
        return [x.item() for x in cell.step(carry, a, q)[0]]

    assert step(cells.ELMAN, half) == pytest.approx([np.tanh(1.5)])
    c = s * 0.5 + s * np.tanh(1.5)
    assert step(cells.LSTM, half, half) == pytest.approx([s * np.tanh(c), c])
    assert step(cells.GRU, half) == pytest.approx([(1 - s) * np.tanh(1 + s * 0.5) + s * 0.5])


# In parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@layers
def test_a_mask_is_as_good_as_cutting_the_sequences(layer, bidirectional):
    stack = Stack(F, 2, layer, bidirectional)
    variables, carries = begun(stack)
    run = jax.jit(stack.apply)
    last, ys = run(variables, X, carries, MASK)
    spoilt, same = run(variables, jnp.where(MASK[..., None], X, 1e3), carries, MASK)
    close((last, ys), (spoilt, same), 0)
    whole, cut = run(variables, X, carries), run(variables, X[:, :4], carries)
    for i, length in enumerate(LENGTHS):
        wanted, y = jax.tree.map(lambda x, i=i: x[i], whole if length == T else cut)
        close(jax.tree.map(lambda x, i=i: x[i], last), wanted)
        close(ys[i, :length], y)
        assert not ys[i, length:].any()


@layers
def test_reverse_is_the_reversed_sequence(layer):
    module = layer(F)
    variables, carry = begun(module)
    last, ys = jax.jit(partial(module.apply, reverse=True))(variables, X, carry)
    other, turned = jax.jit(module.apply)(variables, X[:, ::-1], carry)
    close((last, ys), (other, turned[:, ::-1]))


@layers
def test_steps_equal_the_call(layer):
    stack = Stack(F, 2, layer, residual=True)
    variables, carries = begun(stack)
    last, ys = jax.jit(stack.apply)(variables, X, carries)

    @jax.jit
    def steps(variables, carries, xs):
        def step(carries, x):
            return stack.apply(variables, carries, x, method="step")

        return jax.lax.scan(step, carries, xs)

    stepped, columns = steps(variables, carries, jnp.swapaxes(X, 0, 1))
    close((stepped, jnp.swapaxes(columns, 0, 1)), (last, ys))


@layers
def test_stretches_with_the_carry_between_them(layer):
    """They give the outputs of the whole; the gradient stops where the carry is cut."""
    stack = Stack(F, 2, layer)
    variables, carries = begun(stack)

    def whole(early, late):
        last, ys = stack.apply(early, X, carries)
        return weighed(ys[:, -1]), (last, ys)

    def stretches(early, late):  # as truncated backpropagation through time
        middle, first = stack.apply(early, X[:, :4], carries)
        last, second = stack.apply(late, X[:, 4:], jax.lax.stop_gradient(middle))
        return weighed(second[:, -1]), (last, jnp.concatenate([first, second], axis=1))

    _, outputs = jax.jit(whole)(variables, variables)
    gradients, found = jax.jit(jax.grad(stretches, (0, 1), has_aux=True))(variables, variables)
    close(found, outputs)
    assert not any(x.any() for x in jax.tree.leaves(gradients[0]))
    assert all(x.any() for x in jax.tree.leaves(gradients[1]))


# Under transformations ----------------------------------------------------------------------------


@layers
def test_under_vmap_and_inside_a_loop(layer):
    module = layer(F)
    seeds = [begun(module, seed)[0] for seed in (1, 2)]

    def descend(variables):
        def step(_, v):
            return jax.tree.map(
                lambda p, g: p - 0.1 * g, v, jax.grad(lambda v: weighed(module.apply(v, X)))(v)
            )

        return jax.lax.fori_loop(0, 2, step, variables)

    alone = [jax.jit(descend)(v) for v in seeds]
    together = jax.jit(jax.vmap(descend))(jax.tree.map(lambda *v: jnp.stack(v), *seeds))
    for i, one in enumerate(alone):
        close(jax.tree.map(lambda x, i=i: x[i], together), one)


@layers
def test_bfloat16_computes_about_the_same(layer):
    module = layer(F, dtype=jnp.bfloat16)
    variables, carry = begun(module)
    last, ys = jax.jit(module.apply)(variables, X, carry, MASK)
    assert ys.dtype == jnp.bfloat16
    assert {x.dtype for x in jax.tree.leaves(last)} == {jnp.dtype("float32")}
    close((last, ys), jax.jit(layer(F).apply)(variables, X, carry, MASK), 0.03)

    def gradient(module):
        return jax.jit(jax.grad(lambda v: weighed(module.apply(v, X, carry)).astype(jnp.float32)))

    close(gradient(module)(variables), gradient(layer(F))(variables), 0.05)


# Stacks -------------------------------------------------------------------------------------------


def test_initialisation():
    params = jax.jit(LSTM(F).init)(jax.random.key(0), X)["params"]
    for gate in jnp.split(params["recurrent"], 4, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(F), atol=1e-6)
    np.testing.assert_array_equal(params["bias"].reshape(4, F).mean(1), [0, 1, 0, 0])


def test_residual_adds_the_input_from_the_second_layer_on():
    variables, _ = begun(Stack(F, 2))

    @jax.jit
    def outputs(variables):
        first, second = ({"params": variables["params"][f"forward_{i}"]} for i in (0, 1))
        _, below = GRU(F).apply(first, X)
        _, above = GRU(F).apply(second, below)
        stacks = Stack(F, 2), Stack(F, 2, residual=True)
        return [stack.apply(variables, X)[1] for stack in stacks], [above, below + above]

    close(*outputs(variables))


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_between_layers(variational):
    """The layer above is one that hands on its input, so that the mask is seen."""
    stack = Stack(INPUTS, 2, Passing, dropout=0.5, variational=variational)
    ones = jnp.ones((B, T, INPUTS))
    variables = stack.init(jax.random.key(0), ones)
    _, ys = stack.apply(variables, ones, train=True, rngs={"dropout": jax.random.key(1)})
    assert set(np.unique(ys)) == {0.0, 2.0}
    assert bool((ys == ys[:, :1]).all()) == variational
    np.testing.assert_array_equal(stack.apply(variables, ones)[1], ones)


class Passing(nn.Module):
    features: int
    dtype: type | None = None

    def start(self, batch):
        return ()

    def __call__(self, x, carry=None, mask=None, reverse=False):
        return carry, x


def test_what_has_no_answer_is_refused():
    with pytest.raises(ValueError, match="sequences"):
        GRU(F).init(jax.random.key(0), X[0])
    with pytest.raises(ValueError, match="mask"):
        GRU(F).init(jax.random.key(0), X, mask=MASK.T)
    for stack in (Stack(F, bidirectional=True), Stack(F, dropout=0.5, variational=True)):
        variables, carries = begun(stack)
        with pytest.raises(ValueError, match="bidirectional|variational"):
            stack.apply(variables, carries, X[:, 0], train=True, method="step")
