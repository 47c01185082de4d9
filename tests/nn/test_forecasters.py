"""Forecasters: shapes, what each output depends on, the papers' definitions, teacher forcing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.forecasters import Direct, Linear, SegRNN, Seq2Seq, _moving_average
from dljax.nn.recurrent.layers import GRU, LSTM

W, H, C, P = 10, 7, 3, 2
MODELS = {
    "direct": Direct(H, P, features=6, depth=2, dropout=0.1),
    "seq2seq": Seq2Seq(H, P, features=6, layer=LSTM, dropout=0.1, teacher_forcing_steps=4),
    "segrnn": SegRNN(H, P, segment=4, features=6),
    "linear": Linear(H, P),
    "dlinear": Linear(H, P, smooth=3),
}


def inputs(known=2, batch=4, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"past": (W, C), "past_known": (W, known), "future_known": (H, known)}
    return [rng.normal(size=(batch, *s)).astype(np.float32) for s in shapes.values()]


def variables_of(model, *x):
    """Random ones; what is counted is 0."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *x)
    return jax.tree.map(lambda s: (0.5 * rng.normal(size=s.shape)).astype(s.dtype), shapes)


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_what_is_used(name, known):
    """Each output depends on every step of the window, and on what is known if the net sees it."""
    model, x = MODELS[name], inputs(known)

    def first(*x):
        out = model.apply(variables_of(model, *x), *x)
        return out[0].sum(), out

    gradients, out = jax.jit(jax.grad(first, (0, 1, 2), has_aux=True))(*x)
    assert out.shape == (4, H, C, P) and out.dtype == jnp.float32
    assert (jnp.abs(gradients[0][0]).sum(-1) > 0).all()
    assert all((x[1:] == 0).all() for x in gradients)  # no window looks into another
    if known:
        assert (jnp.abs(gradients[2][0]).sum(-1) > 0).all()


@pytest.mark.parametrize("name", ["segrnn", "linear", "dlinear"])
def test_series_do_not_look_at_each_other(name):
    model, (past, past_known, future_known) = MODELS[name], inputs()
    variables = variables_of(model, past, past_known, future_known)
    apply = jax.jit(model.apply)
    out = apply(variables, past, past_known, future_known)
    other = apply(variables, past + np.eye(C, dtype=np.float32)[1], past_known, future_known)
    np.testing.assert_array_equal(other[:, :, [0, 2]], out[:, :, [0, 2]])
    assert (other[:, :, 1] != out[:, :, 1]).any()


def test_linear_is_a_matrix():
    past, past_known, future_known = inputs(0)
    model = Linear(H)
    variables = variables_of(model, past, past_known, future_known)
    out = jax.jit(model.apply)(variables, past, past_known, future_known)
    kernel, bias = (variables["params"]["window"][name] for name in ("kernel", "bias"))
    expected = np.einsum("bwc,wh->bhc", past, kernel) + bias[:, None]
    np.testing.assert_allclose(out[..., 0], expected, rtol=1e-4, atol=1e-5)


def test_moving_average_is_centred():
    x = jnp.asarray([1.0, 2.0, 6.0, 3.0])[None, :, None]
    # ends repeated: 1 1 2 6 3 3
    np.testing.assert_allclose(_moving_average(x, 3)[0, :, 0], [4 / 3, 3, 11 / 3, 4], rtol=1e-6)


def test_segments_are_those_of_the_paper():
    """With whole segments the net is: project, GRU, one more step from embeddings, project."""
    model, (past, *known) = SegRNN(8, segment=5, features=6, dropout=0.0), inputs(0)
    variables = variables_of(model, past, *known)
    p = variables["params"]
    cell = {"params": p["recurrent"]}
    out, encode = jax.jit(model.apply)(variables, past, *known), jax.jit(GRU(6).apply)
    step = jax.jit(partial(GRU(6).apply, method="step"))
    for c in range(C):
        segments = past[:, :, c].reshape(4, 2, 5)
        x = np.maximum(segments @ p["segment_in"]["kernel"] + p["segment_in"]["bias"], 0)
        h, _ = encode(cell, x)
        for m in range(2):
            e = np.concatenate([p["position"][m], p["series"][c]])
            _, y = step(cell, h, np.tile(e, (4, 1)))
            y = y @ p["segment_out"]["kernel"] + p["segment_out"]["bias"]
            count = min(5, 8 - 5 * m)
            np.testing.assert_allclose(
                out[:, 5 * m : 5 * m + count, c, 0], y[:, :count], rtol=1e-4, atol=1e-5
            )


def test_teacher_forcing_is_phased_out():
    model, x = Seq2Seq(H, 1, features=6, teacher_forcing_steps=2), inputs()
    variables = variables_of(model, *x)
    teacher = jnp.asarray(np.random.default_rng(1).normal(size=(4, H, C)), jnp.float32)

    @partial(jax.jit, static_argnums=2)
    def apply(count, teacher, train):
        rngs = {"dropout": jax.random.key(count)}
        counted = variables | {"schedule": {"steps": count}}
        return model.apply(
            counted, *x, teacher=teacher, train=train, rngs=rngs, mutable=["schedule"]
        )

    def outputs(count, teacher, train=True):
        out, after = apply(np.int32(count), teacher, train)
        assert after["schedule"]["steps"] == count + train
        return out

    alone = jax.jit(model.apply)(variables, *x)
    forced = outputs(0, teacher)
    np.testing.assert_allclose(forced[:, 0], alone[:, 0], rtol=1e-5)  # the first needs no teacher
    later = outputs(0, teacher.at[:, 2:].add(1.0))  # the first training step: always forced
    np.testing.assert_array_equal(later[:, :3], forced[:, :3])
    assert (later[:, 3] != forced[:, 3]).all()
    half = (outputs(1, teacher)[:, 1] != alone[:, 1]).any(-1)[:, 0]
    assert 0 < half.sum() < 4
    np.testing.assert_allclose(outputs(2, teacher), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs(0, teacher, train=False), alone, rtol=1e-5, atol=1e-6)
