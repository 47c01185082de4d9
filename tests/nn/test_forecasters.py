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
    return [jnp.asarray(rng.normal(size=(batch, *s)), jnp.float32) for s in shapes.values()]


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_what_is_used(name, known):
    """Each output depends on every step of the window, and on what is known if the net sees it."""
    model, (past, past_known, future_known) = MODELS[name], inputs(known)
    out, variables = model.init_with_output(jax.random.key(0), past, past_known, future_known)
    assert out.shape == (4, H, C, P) and out.dtype == jnp.float32

    def first(*x):
        return model.apply(variables, *x)[0].sum()

    gradients = jax.grad(first, (0, 1, 2))(past, past_known, future_known)
    assert (jnp.abs(gradients[0][0]).sum(-1) > 0).all()
    assert all((x[1:] == 0).all() for x in gradients)  # no window looks into another
    if known:
        assert (jnp.abs(gradients[2][0]).sum(-1) > 0).all()


@pytest.mark.parametrize("name", ["segrnn", "linear", "dlinear"])
def test_series_do_not_look_at_each_other(name):
    model, (past, past_known, future_known) = MODELS[name], inputs()
    out, variables = model.init_with_output(jax.random.key(0), past, past_known, future_known)
    other = model.apply(variables, past.at[..., 1].add(1), past_known, future_known)
    np.testing.assert_array_equal(other[:, :, [0, 2]], out[:, :, [0, 2]])
    assert (other[:, :, 1] != out[:, :, 1]).any()


def test_linear_is_a_matrix():
    past, past_known, future_known = inputs(0)
    model = Linear(H)
    out, variables = model.init_with_output(jax.random.key(0), past, past_known, future_known)
    kernel = variables["params"]["window"]["kernel"]
    np.testing.assert_allclose(
        out[..., 0], jnp.einsum("bwc,wh->bhc", past, kernel), rtol=1e-4, atol=1e-6
    )


def test_moving_average_is_centred():
    x = jnp.asarray([1.0, 2.0, 6.0, 3.0])[None, :, None]
    # ends repeated: 1 1 2 6 3 3
    np.testing.assert_allclose(_moving_average(x, 3)[0, :, 0], [4 / 3, 3, 11 / 3, 4], rtol=1e-6)


def test_segments_are_those_of_the_paper():
    """With whole segments the net is: project, GRU, one more step from embeddings, project."""
    model, (past, *known) = SegRNN(8, segment=5, features=6, dropout=0.0), inputs(0)
    out, variables = model.init_with_output(jax.random.key(0), past, *known)
    p = variables["params"]
    cell = {"params": p["recurrent"]}
    for c in range(C):
        segments = past[:, :, c].reshape(4, 2, 5)
        x = jax.nn.relu(segments @ p["segment_in"]["kernel"] + p["segment_in"]["bias"])
        h, _ = GRU(6).apply(cell, x)
        for m in range(2):
            e = jnp.concatenate([p["position"][m], p["series"][c]])
            _, y = GRU(6).apply(cell, h, jnp.tile(e, (4, 1)), method="step")
            y = y @ p["segment_out"]["kernel"] + p["segment_out"]["bias"]
            count = min(5, 8 - 5 * m)
            np.testing.assert_allclose(
                out[:, 5 * m : 5 * m + count, c, 0], y[:, :count], rtol=1e-4, atol=1e-6
            )


def test_a_decoder_that_is_told_looks_at_the_truth_and_less_and_less():
    model, x = Seq2Seq(H, 1, features=6, teacher_forcing_steps=2), inputs()
    variables = model.init(jax.random.key(0), *x)
    teacher = jnp.asarray(np.random.default_rng(1).normal(size=(4, H, C)), jnp.float32)

    def outputs(count, teacher, train=True):
        variables["schedule"] = {"steps": jnp.int32(count)}
        rngs = {"dropout": jax.random.key(count)}
        out, after = model.apply(
            variables, *x, teacher=teacher, train=train, rngs=rngs, mutable=["schedule"]
        )
        assert after["schedule"]["steps"] == count + train
        return out

    alone = model.apply(variables, *x)
    told = outputs(0, teacher)
    np.testing.assert_allclose(told[:, 0], alone[:, 0], rtol=1e-6)  # before it was told anything
    later = outputs(0, teacher.at[:, 2:].add(1.0))  # with certainty told, at the beginning
    np.testing.assert_array_equal(later[:, :3], told[:, :3])
    assert (later[:, 3] != told[:, 3]).all()
    half = (outputs(1, teacher)[:, 1] != alone[:, 1]).any(-1)[:, 0]
    assert 0 < half.sum() < 4
    np.testing.assert_allclose(outputs(2, teacher), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs(0, teacher, train=False), alone, rtol=1e-5, atol=1e-6)
