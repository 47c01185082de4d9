"""Networks: parameter counts of the literature, injected layers, dtypes, gradients."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn import resnet
from dljax.nn.allconv import AllConv
from dljax.nn.fastnet import FastNet, whitening_kernel
from dljax.nn.lenet import LeNet
from dljax.nn.mobilenet import MobileNet
from dljax.nn.normalization import GroupNorm
from dljax.nn.unet import UNet, UpConv

# Compiles five times as quickly as with optimisation, which small arrays do not need.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SMALL = partial(resnet.ResNet, stage_sizes=(1, 1), widths=(4, 8))
NETWORKS = {  # network, image size
    "lenet": (LeNet(10), (28, 28, 1)),
    "lenet on 8x8": (LeNet(10, padding="SAME"), (8, 8, 1)),
    "allconv": (AllConv(10, widths=(4, 8), dropout=0.5), (16, 16, 3)),
    "fastnet": (FastNet(10, widths=(8, 8)), (16, 16, 3)),
    "mobilenet": (MobileNet(10, blocks=((8, 1), (16, 2)), stem=8), (16, 16, 3)),
    "unet": (UNet(10, widths=(4, 8, 16)), (16, 8, 3)),
    "resnet": (SMALL(10), (8, 8, 3)),
    "resnet, pre-activation": (SMALL(10, preactivation=True), (8, 8, 3)),
    "resnet, bottleneck, large images": (
        SMALL(10, block=resnet.Bottleneck, small_images=False),
        (32, 32, 3),
    ),
}


def count(model, size):
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, *size)))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("model", "size", "parameters"),
    [
        (LeNet(10), (28, 28, 1), 61_706),  # LeNet-5 with all of its maps connected
        (resnet.resnet18(10), (32, 32, 3), 11_173_962),
        (resnet.resnet50(1000), (224, 224, 3), 25_557_032),  # torchvision's resnet50
        (MobileNet(1000), (224, 224, 3), 4_231_976),  # Keras's MobileNet, 1.0 at 224
        (resnet.resnet18(1000, small_images=False), (224, 224, 3), 11_689_512),  # its resnet18
    ],
)
def test_parameter_counts(model, size, parameters):
    assert count(model, size) == parameters


def test_depths_of_the_cifar_networks():
    for depth in (20, 32, 56):
        model = getattr(resnet, f"resnet{depth}")(10)
        assert 2 + 2 * sum(model.stage_sizes) == depth


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_and_gradients(name):
    model, size = NETWORKS[name]
    x = jax.random.normal(jax.random.key(0), (2, *size))

    @jit
    def run(key):
        variables = model.init(key, x)

        def loss(params):
            logits, _ = model.apply(
                variables | {"params": params},
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            return jax.nn.logsumexp(logits, -1).sum() - logits[..., 0].sum(), logits

        return jax.grad(loss, has_aux=True)(variables["params"])

    gradients, logits = run(jax.random.key(1))
    assert logits.shape == ((2, *size[:2], 10) if name == "unet" else (2, 10))
    assert logits.dtype == jnp.float32
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("name", ["lenet", "fastnet", "resnet"])
def test_bfloat16_inside_and_float32_outside(name):
    model, size = NETWORKS[name]
    model = model.clone(dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((2, *size)))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    logits, seen = jax.eval_shape(
        lambda v: model.apply(v, jnp.ones((2, *size)), capture_intermediates=True), variables
    )
    outputs = jax.tree.leaves(seen["intermediates"])
    assert logits.dtype == jnp.float32
    assert [leaf.dtype for leaf in outputs].count(jnp.bfloat16) == len(outputs) - 1  # the logits


@pytest.mark.parametrize("name", ["lenet", "allconv", "resnet", "mobilenet", "unet"])
def test_same_numbers_with_the_layers_of_flax(name):
    model, size = NETWORKS[name]
    plain = model.clone(conv=nn.Conv)
    if name in ("lenet", "unet"):
        plain = plain.clone(pool=nn.max_pool)
    if name != "lenet":
        plain = plain.clone(norm=nn.BatchNorm)
    x = jax.random.normal(jax.random.key(0), (2, *size))
    variables = jit(plain.init)(jax.random.key(1), x)
    np.testing.assert_allclose(
        jit(model.apply)(variables, x), jit(plain.apply)(variables, x), rtol=1e-4, atol=1e-4
    )


def test_a_unet_refuses_an_image_that_it_cannot_halve():
    with pytest.raises(ValueError, match="multiples of 4, not 18x8"):
        jax.eval_shape(UNet(2, widths=(4, 4, 4)).init, jax.random.key(0), jnp.ones((1, 18, 8, 3)))


def test_an_up_convolution_is_a_transposed_one():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    y, variables = UpConv(6).init_with_output(jax.random.key(1), x)
    kernel = variables["params"]["Dense_0"]["kernel"].reshape(4, 2, 2, 6).transpose(1, 2, 0, 3)
    same = jax.lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "VALID")  # it flips nothing
    np.testing.assert_allclose(y, same, atol=1e-5)


def test_group_norm_in_the_place_of_batch_norm():
    def norm(use_running_average, momentum, **fields):
        return GroupNorm(num_groups=2, **fields)

    variables = jax.eval_shape(SMALL(10, norm=norm).init, jax.random.key(0), jnp.ones((1, 8, 8, 3)))
    assert set(variables) == {"params"}


def test_a_residual_block_starts_as_the_identity():
    block = resnet.BasicBlock(
        width=4,
        stride=1,
        conv=partial(nn.Conv, use_bias=False),
        norm=partial(nn.BatchNorm, use_running_average=False),
        activation=nn.relu,
        preactivation=False,
    )
    x = jax.random.uniform(jax.random.key(0), (2, 4, 4, 4))
    y, _ = jit(block.init_with_output)(jax.random.key(1), x)
    np.testing.assert_allclose(y, x, atol=1e-6)


def test_resnet_refuses_widths_that_do_not_match_its_stages():
    with pytest.raises(ValueError, match="2 stages need as many widths"):
        SMALL(10, widths=(4,)).init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))


def test_whitening_makes_patches_white():
    key = jax.random.key(0)
    mix = jax.random.normal(key, (3, 3))
    images = jax.random.normal(key, (64, 12, 12, 3)) @ mix
    kernel = whitening_kernel(images)
    assert kernel.shape == (2, 2, 3, 24)
    model = FastNet(10, widths=(8,), whitening=kernel)
    variables = jit(model.init)(key, images[:1])
    np.testing.assert_array_equal(variables["batch_stats"]["whitening"], kernel)
    patches = jax.lax.conv_general_dilated(
        images, kernel[..., :12], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).reshape(-1, 12)
    covariance = patches.T @ patches / len(patches)
    np.testing.assert_allclose(covariance, jnp.eye(12), atol=0.01)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
