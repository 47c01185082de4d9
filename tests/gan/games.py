"""Small adversarial games for the tests."""

import flax.linen as nn
import jax
import numpy as np
import optax

from dljax.gan import adversarial, dcgan, diffaugment
from dljax.gan.adversarial import Regularization
from dljax.gan.losses import LOSSES
from dljax.train import optim
from dljax.train.loop import Task
from tests import helpers

LATENT = 6


def stripes(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """`helpers.stripes`, numbered as evaluations want it."""
    return helpers.stripes(count, seed) | {"index": np.arange(count, dtype=np.int32)}


def variables(module: nn.Module, *inputs):
    """Random variables of a module, made on the host: its initialisers need not be compiled."""
    rng = np.random.default_rng(0)
    shapes = dict(jax.eval_shape(module.init, jax.random.key(0), *inputs))
    params = jax.tree.map(
        lambda x: 0.3 * rng.normal(size=x.shape).astype(x.dtype), shapes.pop("params")
    )
    statistics = jax.tree_util.tree_map_with_path(
        lambda path, x: np.full(x.shape, path[-1].key == "var", x.dtype), shapes
    )
    return {"params": params, **statistics}


def generator(size: int = 8, classes: int = 0, channels: int = 1):
    return dcgan.DCGANGenerator(size, channels, width=4, widest=8, classes=classes)


def game(*nets, loss="non_saturating", rate=2e-3, shape=(8, 8, 1), **settings) -> Task:
    # Adam divides a gradient by its own size, so that of a tiny one rounding is all that is left:
    # hence an epsilon above it.
    average, adam = optim.average_params(0.9), optax.adam(rate, 0.5, eps=1e-4)
    return adversarial.task(
        *nets,
        optax.chain(adam, average),
        adam,
        LOSSES[loss],
        latent=LATENT,
        image_shape=shape,
        **settings,
    )


def conditional() -> Task:
    """Conditional, with adapted augmentation and lazy R1."""
    discriminator = dcgan.DCGANDiscriminator(8, width=4, classes=3)
    change = diffaugment.chain(["translation"])
    regularization = Regularization(r1=0.1, every=2, augmentation=change, p=0.0, target=0.6)
    return game(generator(classes=3), discriminator, regularization=regularization)


def spectral(**settings) -> Task:
    """Hinge, spectral, two updates of the discriminator in a step, the first with R1."""
    discriminator = dcgan.DCGANDiscriminator(8, width=4, norm=None)
    regularization = Regularization(spectral=True, r1=3.0, every=2)
    return game(
        generator(),
        discriminator,
        loss="hinge",
        updates=2,
        regularization=regularization,
        **settings,
    )
