"""Two networks against each other, on the shared loop: one `step` is n updates of the discriminator
and one of the generator (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1).

State is two of everything in one pytree. Samples (`generate`) are those of the averaged parameters
if the generator's optimiser keeps an average and, with BatchNorm, of standing statistics: those of
one fixed batch of latents under the same parameters (Brock et al. 2019, arXiv:1809.11096, section
3.2), so that a sample depends on nothing but its own latent and label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dljax.gan import diffaugment, penalties, spectral
from dljax.gan.losses import Loss
from dljax.train import metrics, optim, supervised
from dljax.train.loop import Array, Key, Sums, Task

GRID = 64
"""Samples that an evaluation keeps, of the same latents each time."""
STANDING = 256
"""Size of the batch that standing statistics are computed on."""

FeatureFunction = Callable[[Array], tuple[Array, Array]]
"""Images [B, H, W, C] in 0..1 to features [B, D] and logits [B, K], both float32."""


class State(struct.PyTreeNode):
    """What training changes.

    step: int32. generator, discriminator: parameters, statistics and optimiser of each. vectors: of
    the discriminator's spectral normalisation; {} without. p: probability of augmentation.
    """

    step: Array
    generator: supervised.State
    discriminator: supervised.State
    vectors: dict[str, Array]
    p: Array


class Regularization(NamedTuple):
    """Regularization of the discriminator.

    spectral: its kernels have spectral norm 1. r1, r2: gamma of the penalties on its gradient at
    real and fake images; interpolated: weight of WGAN-GP's penalty. Penalties are added in every
    `every`-th update, times `every` (lazily: Karras et al. 2020, arXiv:1912.04958, section 3.1).
    augmentation: (key, images, p) -> images, of its real and fake inputs. p: the probability, the
    initial one if a `target` (of E[sign D(real)]) adapts it.
    """

    spectral: bool = False
    r1: float = 0.0
    r2: float = 0.0
    interpolated: float = 0.0
    every: int = 1
    augmentation: Callable[[Key, Array, Array], Array] | None = None
    p: float = 1.0
    target: float | None = None


UNREGULARIZED = Regularization()


def adam(
    rate: optax.Schedule, beta1: float, beta2: float, ema: float | None = None
) -> optax.GradientTransformation:
    """Adam with both decays as arguments: GANs use beta1 of 0.5 or 0 and beta2 below 0.999.

    rate: step -> learning rate. ema: decay of an average of the parameters (the generator's).
    """
    links = [optax.scale_by_adam(beta1, beta2), optax.scale_by_learning_rate(rate)]
    return optax.chain(*links, *([] if ema is None else [optim.average_params(ema)]))


def scaled(images: Array) -> Array:
    """uint8 images as float32 in -1..1."""
    return images.astype(jnp.float32) / 127.5 - 1


def task(
    generator: nn.Module,
    discriminator: nn.Module,
    generator_tx: optax.GradientTransformation,
    discriminator_tx: optax.GradientTransformation,
    loss: Loss,
    *,
    latent: int,
    image_shape: tuple[int, int, int],
    updates: int = 1,
    regularization: Regularization = UNREGULARIZED,
    features: FeatureFunction | None = None,
) -> Task:
    """The Task of a generative adversarial network of images.

    generator, discriminator: see dcgan.py. latent: length of z. updates: of the discriminator in a
    step; the batch {'image': uint8 [updates B, H, W, C], 'label': int32 [updates B]} is cut into as
    many parts, and fakes have the labels of the real images in their place.

    Sums of a step: `loss` is the discriminator's (mean of the updates), without penalties.
    Evaluation takes batches with 'index' (of the example): beside each real image it draws the
    sample whose latent belongs to that index, so its sums do not depend on the batch size. With
    `features` it also sums the moments and class counts of the samples.
    """

    def logits(params, model_state, images, label, train):
        variables = {"params": params, **model_state}
        if not train:
            return discriminator.apply(variables, images, label), model_state
        return discriminator.apply(variables, images, label, train=True, mutable=list(model_state))

    def normalized(params, vectors):
        return spectral.normalize(params, vectors) if regularization.spectral else (params, vectors)

    def augmented(key, images, p):
        return (
            regularization.augmentation(key, images, p) if regularization.augmentation else images
        )

    def draw(params, model_state, key, label):
        z = jax.random.normal(key, (len(label), latent))
        variables = {"params": params, **model_state}
        return generator.apply(variables, z, label, train=True, mutable=list(model_state))

    def init(key: Key) -> State:
        keys = jax.random.split(key, 3)
        label = jnp.zeros(1, jnp.int32)
        images, generator_variables = generator.init_with_output(
            keys[0], jnp.zeros((1, latent)), label
        )
        chex.assert_shape(images, (1, *image_shape))
        discriminator_variables = discriminator.init(keys[1], images, label)
        vectors = {}
        if regularization.spectral:
            vectors = spectral.init(discriminator_variables["params"], keys[2])
        return State(
            jnp.int32(0),
            supervised.create_state(generator_variables, generator_tx),
            supervised.create_state(discriminator_variables, discriminator_tx),
            vectors,
            jnp.float32(regularization.p),
        )

    def penalty(params, state, key, real, fake, label, step):
        """The weighted penalties, a scalar; 0 but in every `every`-th update."""

        def discriminate(images):
            return logits(params, state.discriminator.model_state, images, label, True)[0]

        def total(real, fake):
            value = 0.0
            if regularization.r1:
                r1 = penalties.squared_gradient(discriminate, real).mean()
                value += 0.5 * regularization.r1 * r1
            if regularization.r2:
                r2 = penalties.squared_gradient(discriminate, fake).mean()
                value += 0.5 * regularization.r2 * r2
            if regularization.interpolated:
                gp = penalties.distance_from_one(discriminate, key, real, fake).mean()
                value += regularization.interpolated * gp
            return regularization.every * jnp.float32(value)

        if not (regularization.r1 or regularization.r2 or regularization.interpolated):
            return jnp.float32(0)
        if regularization.every == 1:
            return total(real, fake)
        due = step % regularization.every == 0
        return jax.lax.cond(due, total, lambda real, fake: jnp.float32(0), real, fake)

    def update_discriminator(state: State, real, label, key, number) -> tuple[State, Sums]:
        draw_key, real_key, fake_key, penalty_key = jax.random.split(key, 4)
        fake, _ = draw(state.generator.params, state.generator.model_state, draw_key, label)
        real = augmented(real_key, real, state.p)
        fake = augmented(fake_key, fake, state.p)

        def objective(params):
            params, vectors = normalized(params, state.vectors)
            model_state = state.discriminator.model_state
            on_real, model_state = logits(params, model_state, real, label, True)
            on_fake, model_state = logits(params, model_state, fake, label, True)
            values = loss.discriminator(on_real, on_fake)
            extra = penalty(params, state, penalty_key, real, fake, label, number)
            return values.mean() + extra, (model_state, (values, extra, on_real, on_fake, vectors))

        after, (values, extra, on_real, on_fake, vectors), norm = supervised.gradient_step(
            state.discriminator, discriminator_tx, objective
        )
        sums = {
            "loss": metrics.mean(values),
            "real_logit": metrics.mean(on_real),
            "fake_logit": metrics.mean(on_fake),
            "real_sign": metrics.mean(jnp.sign(on_real)),
            "penalty": (extra, jnp.float32(1)),
            "discriminator_gradient": norm,
        }
        p = state.p
        if regularization.target is not None:
            p = diffaugment.adapt(p, on_real, len(label), regularization.target)
            sums["augmentation"] = (p, jnp.float32(1))
        return state.replace(discriminator=after, vectors=vectors, p=p), sums

    def update_generator(state: State, real, label, key) -> tuple[State, Sums]:
        draw_key, real_key, fake_key = jax.random.split(key, 3)
        params, _ = normalized(state.discriminator.params, state.vectors)
        model_state = state.discriminator.model_state

        def objective(generator_params):
            fake, after = draw(generator_params, state.generator.model_state, draw_key, label)
            fake = augmented(fake_key, fake, state.p)
            on_fake, _ = logits(params, model_state, fake, label, True)
            on_real, _ = logits(
                params, model_state, augmented(real_key, real, state.p), label, True
            )
            values = loss.generator(on_real, on_fake)
            return values.mean(), (after, values)

        after, values, norm = supervised.gradient_step(state.generator, generator_tx, objective)
        sums = {"generator_loss": metrics.mean(values), "generator_gradient": norm}
        return state.replace(generator=after, step=state.step + 1), sums

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        chex.assert_shape(batch["image"], (None, *image_shape))
        parts = jax.tree.map(lambda x: x.reshape(updates, -1, *x.shape[1:]), batch)
        total = {}
        for i in range(updates):  # few, so unrolled
            real, label = scaled(parts["image"][i]), parts["label"][i]
            number = state.step * updates + i
            state, sums = update_discriminator(
                state, real, label, jax.random.fold_in(key, i), number
            )
            total = jax.tree.map(jnp.add, total, sums) if total else sums
        state, sums = update_generator(state, real, label, jax.random.fold_in(key, updates))
        return state, {**total, **sums}

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        chex.assert_shape(batch["image"], (None, *image_shape))
        real, label, mask, index = (batch[x] for x in ("image", "label", "example_mask", "index"))
        fake = generate(generator, state, latents(index, latent), label)
        params, _ = normalized(state.discriminator.params, state.vectors)
        model_state = state.discriminator.model_state
        on_real, _ = logits(params, model_state, scaled(real), label, False)
        on_fake, _ = logits(params, model_state, fake, label, False)
        place = jnp.where((index < GRID) & (mask > 0), index, GRID)
        sums = {
            "loss": metrics.mean(loss.discriminator(on_real, on_fake), mask),
            "real_logit": metrics.mean(on_real, mask),
            "fake_logit": metrics.mean(on_fake, mask),
            "samples": (
                jnp.zeros((GRID, *image_shape)).at[place].add(fake, mode="drop"),
                jnp.zeros((GRID, 1, 1, 1)).at[place].add(1.0, mode="drop"),
            ),
        }
        if features is not None:
            values, class_logits = features((jnp.clip(fake, -1, 1) + 1) / 2)
            masked, count = values * mask[:, None], mask.sum()
            sums["features"] = (masked.sum(0), count)
            sums["outer"] = (masked.T @ values, count)
            predicted = jax.nn.one_hot(class_logits.argmax(-1), class_logits.shape[-1])
            sums["classes"] = ((predicted * mask[:, None]).sum(0), count)
        return sums

    return Task(init, step, evaluate)


def latents(index: Array, latent: int) -> Array:
    """The latents [N, latent] of the numbers index [N]: always the same ones."""
    key = jax.random.key(0)
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (latent,)))(index)


def generate(generator: nn.Module, state: State, z: Array, label: Array) -> Array:
    """Samples [N, H, W, C], in -1..1 but for overshoot, of latents [N, latent] and labels [N]."""
    variables = state.generator.variables()
    if state.generator.model_state:
        # Numbers from 2^30 on, which no sample has.
        standing = latents(jnp.arange(STANDING) + 2**30, z.shape[1])
        labels = jnp.arange(STANDING) % max(generator.classes, 1)
        names = list(state.generator.model_state)
        _, statistics = generator.clone(momentum=0.0).apply(
            variables, standing, labels, train=True, mutable=names
        )
        variables = {**variables, **statistics}
    return generator.apply(variables, z, label)


def to_uint8(images: Array) -> Array:
    """Images in -1..1 as uint8."""
    return jnp.round((jnp.clip(images, -1, 1) + 1) * 127.5).astype(jnp.uint8)
