"""The fast convolution against its definition, Flax and PyTorch: values and gradients."""

import functools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn import native
from dljax.nn.convolution import Conv, conv, conv_reference
from tests.helpers import native_library

# Compiles five times as quickly as with optimisation, which small arrays do not need.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

CASES = {  # each is one compilation of several combinations
    "kernels": [dict(kernel=k) for k in [(1, 1), (2, 3), (3, 3), (5, 4)]],
    "strides": [dict(strides=s, kernel=k) for s in [2, (3, 1)] for k in [(1, 1), (3, 2)]],
    "whole strides": [
        dict(strides=s, kernel=k, padding=p) for s, k, p in [(2, (4, 4), 1), ((2, 3), (2, 6), 0)]
    ],
    "paddings": [dict(padding=p) for p in ["VALID", 1, 4, ((2, 0), (1, 3)), ((-1, 0), (0, 0))]],
    "dilation": [dict(dilation=d, strides=s) for d in [2, (1, 3)] for s in [1, 2]],
    "groups": [dict(groups=2, strides=s, kernel=k) for s in [1, 2] for k in [(1, 1), (3, 3)]],
    "one input channel": [
        dict(inputs=1, strides=s, dilation=d, padding=1) for s, d in [(1, 1), (2, 1), (1, 2)]
    ],
    "few output channels": [
        dict(outputs=3, kernel=(3, 2), padding="VALID"),
        dict(outputs=6, padding="VALID", dilation=2, strides=(2, 1)),
        dict(outputs=6, padding=((1, 2), (0, 1))),
    ],
    "many channels": [  # more than two vectors, and a part of one; rows of an odd number of tiles
        dict(inputs=5, outputs=37, strides=s, batch=3) for s in [1, (2, 3)]
    ],
    "depthwise": [
        dict(groups=4, strides=s, dilation=d, outputs=o)
        for s, d, o in [(1, 1, 4), (2, 1, 4), (1, 2, 8)]
    ],
}


def sample(kernel=(3, 3), groups=1, inputs=4, outputs=6, seed=0, batch=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, 8, 9, inputs))
    w = rng.normal(size=(*kernel, inputs // groups, outputs))
    return jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32)


def values_and_gradients(f, x, w):
    """f(x, w) and the gradients of sum(f sin), whose weights differ everywhere."""
    y, transpose = jax.vjp(f, x, w)
    return y, *transpose(jnp.sin(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))


def close(got, want, tolerance=1e-4):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want
    )


@pytest.fixture(params=["xla", "native"])
def form(request):
    """What is traced meanwhile has XLA's convolutions, or those in C++."""
    with native.library(native_library() if request.param == "native" else None):
        yield request.param


def all_of(f, name):
    """Values and gradients of f in all cases of that name."""
    samples = []
    for case in CASES[name]:
        shape = {k: v for k, v in case.items() if k not in ("strides", "dilation", "padding")}
        options = {k: v for k, v in case.items() if k not in shape or k == "groups"}
        samples.append((options, *sample(**shape)))

    def run(arrays):
        return [
            values_and_gradients(lambda x, w, o=options: f(x, w, **o), *pair)
            for (options, _, _), pair in zip(samples, arrays, strict=True)
        ]

    return jit(run)([(x, w) for _, x, w in samples])


@functools.cache
def defined(name):
    return all_of(conv_reference, name)


@pytest.mark.parametrize("name", CASES)
def test_equals_its_definition(name, form):
    close(all_of(conv, name), defined(name))


def test_native_ones_are_used():
    """Forward, in gradients and theirs, of any kernel; not of depthwise ones, nor outside."""
    x, w = sample()

    def calls(f, *args):
        return str(jax.make_jaxpr(f)(*args)).count("ffi_call[")

    def gradient(x, w):
        return jax.grad(lambda x, w: conv(x, w, strides=2).sum(), (0, 1))(x, w)

    def penalty(x, w):
        return jax.grad(lambda w: (gradient(x, w)[0] ** 2).sum())(w)

    with native.library("dljax_any"):
        assert calls(conv, x, w) == 1
        assert calls(gradient, x, w) >= 2
        assert calls(penalty, x, w) > calls(gradient, x, w)
        assert calls(conv, x, w[:1, :1]) == 1
        assert calls(partial(conv, strides=3), x, w) == 1  # its kernel is a whole stride
        assert calls(partial(conv, groups=4), x, w[:, :, :1, :4]) == 0
    assert calls(conv, x, w) == 0


def test_hand_computed():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    w = jnp.array([[1.0, 0.0], [0.0, 10.0]]).reshape(2, 2, 1, 1)
    got = conv(x, w, padding="VALID")[0, :, :, 0]
    np.testing.assert_allclose(got, [[40, 51], [73, 84]])


def test_inside_scan_vmap_checkpoint_and_twice_differentiated(form):
    x, w = sample()
    ws = jnp.stack([w, 2 * w])
    xs = jnp.stack([x, x + 1])

    def both(f):
        def loss(x, w):
            return (f(x, w, strides=2) ** 2).mean()

        gradient = jax.grad(jax.checkpoint(loss), (0, 1))

        def descend(w, x):
            return w - 0.1 * gradient(x, w)[1], loss(x, w)

        def penalty(w):  # as in WGAN-GP
            return (gradient(x, w)[0] ** 2).sum()

        return jit(
            lambda: (
                jax.lax.scan(descend, w, xs),
                jax.vmap(gradient)(xs, ws),
                jax.vmap(gradient, (None, 0))(x, ws),
                jax.lax.map(lambda w: gradient(x, w), ws),
                jax.grad(penalty)(w),
            )
        )()

    close(both(conv), both(conv_reference), 2e-4)


def test_bfloat16():
    x, w = (a.astype(jnp.bfloat16) for a in sample())
    for got, want in zip(
        values_and_gradients(conv, x, w),
        values_and_gradients(conv_reference, x.astype(jnp.float32), w.astype(jnp.float32)),
        strict=True,
    ):
        assert got.dtype == jnp.bfloat16
        scale = np.abs(want).max()
        np.testing.assert_allclose(got.astype(jnp.float32), want, atol=0.02 * scale, rtol=0.02)


def test_on_other_platforms_it_is_the_convolution_of_lax():
    x, w = sample()
    gradient = jax.jit(jax.grad(lambda x, w: conv(x, w, strides=2).sum(), (0, 1)))
    texts = {
        platform: gradient.trace(x, w).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    transposed = "[f, 0, 1, b]x[i, 0, 1, o]"  # the dimensions of autodiff's weight gradient
    assert transposed in texts["cuda"] and transposed in texts["tpu"]
    assert transposed not in texts["cpu"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(groups=3), "does not fit a kernel"),
        (dict(padding="same"), "padding must be"),
        (dict(padding=((1, 1),)), "padding must be"),
        (dict(strides=0), "strides must be"),
        (dict(dilation=9, padding="VALID"), "does not fit into"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        conv(*sample(), **options)


def test_refuses_other_ranks():
    x, w = sample()
    with pytest.raises(ValueError, match="conv wants"):
        conv(x[0], w)


@pytest.mark.parametrize(
    "fields",
    [
        dict(features=6, kernel_size=(3, 3)),
        dict(features=6, kernel_size=(3, 2), strides=(2, 1), padding=1, use_bias=False),
        dict(features=6, kernel_size=(3, 3), kernel_dilation=2, feature_group_count=2),
        dict(features=4, kernel_size=(3, 3), feature_group_count=4, padding="VALID"),
    ],
)
def test_module_equals_flax(fields):
    x, _ = sample()
    theirs = nn.Conv(**fields, bias_init=nn.initializers.normal())
    ours = Conv(**fields, bias_init=nn.initializers.normal())
    variables = jit(theirs.init)(jax.random.key(0), x)
    close(jit(ours.init)(jax.random.key(0), x), variables, 1e-6)

    def run(module):
        return jit(lambda x, v: values_and_gradients(lambda x, v: module.apply(v, x), x, v))(
            x, variables
        )

    close(run(ours), run(theirs))
    close(ours.apply(variables, x[0]), theirs.apply(variables, x[0]))  # without a batch axis


def test_equals_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    # strides, padding, dilation, groups
    cases = [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 1, 2, 2)]
    samples = [sample(groups=case[-1]) for case in cases]

    def ours(samples):
        return [
            values_and_gradients(
                lambda x, w, o=case: conv(
                    x, w, strides=o[0], padding=o[1], dilation=o[2], groups=o[3]
                ),
                *pair,
            )
            for case, pair in zip(cases, samples, strict=True)
        ]

    for case, (x, w), got in zip(cases, samples, jit(ours)(samples), strict=True):
        tx = torch.tensor(np.array(x)).permute(0, 3, 1, 2).requires_grad_()
        tw = torch.tensor(np.array(w)).permute(3, 2, 0, 1).requires_grad_()
        ty = torch.nn.functional.conv2d(tx, tw, None, *case)
        n, o, height, width = ty.shape
        weights = torch.sin(torch.arange(ty.numel(), dtype=torch.float32))
        weights = weights.reshape(n, height, width, o).permute(0, 3, 1, 2)
        dx, dw = torch.autograd.grad(ty, (tx, tw), weights)
        want = (ty.permute(0, 2, 3, 1), dx.permute(0, 2, 3, 1), dw.permute(2, 3, 1, 0))
        close(got, tuple(a.detach().numpy() for a in want))
