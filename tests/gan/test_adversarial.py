"""The game: networks of every size, what a step and an evaluation mean, samples."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data import feed
from dljax.gan import adversarial, dcgan, penalties, r3gan, sampling, scores, sngan, spectral
from dljax.gan.eval_metrics import summarise
from dljax.train import loop
from dljax.train.loop import Run, Sums, Task
from tests import helpers
from tests.gan import games
from tests.helpers import devices

PAIRS = {
    "dcgan": (dcgan.DCGANGenerator, dcgan.DCGANDiscriminator, {}),
    "sngan": (sngan.SNGANGenerator, sngan.SNGANDiscriminator, {}),
    "r3gan": (r3gan.R3GANGenerator, r3gan.R3GANDiscriminator, {}),
    "r3gan_hidden": (
        r3gan.R3GANGenerator,
        r3gan.R3GANDiscriminator,
        {"halved": True, "hidden": 5},
    ),
}


@pytest.mark.parametrize("size", [8, 12, 28, 50, 128])
@pytest.mark.parametrize("pair", PAIRS)
def test_shapes(pair, size):
    generator, discriminator, settings = PAIRS[pair]
    settings = {"width": 4, "classes": 3, **settings}
    z, label = jnp.zeros((2, 6)), jnp.array([0, 2])

    def both(key):
        images, _ = generator(size, 3, **settings).init_with_output(key, z, label)
        logits, _ = discriminator(size, **settings).init_with_output(key, images, label)
        return images, logits

    images, logits = jax.eval_shape(both, jax.random.key(0))
    assert images.shape == (2, size, size, 3)
    assert logits.shape == (2,)


def test_canvas():
    assert dcgan.canvas(28) == (7, 2)
    assert dcgan.canvas(32) == (4, 3)
    board = dcgan.canvas(50)
    assert board == (7, 3)
    images = jnp.arange(2 * 50 * 50.0).reshape(2, 50, 50, 1)
    assert board.pad(images).shape == (2, 56, 56, 1)
    np.testing.assert_array_equal(board.crop(board.pad(images), 50), images)
    with pytest.raises(ValueError, match="too small"):
        dcgan.canvas(7)


@pytest.mark.parametrize("hidden, alone", [(0, True), (8, False)])
def test_a_hidden_layer_combines_all_parts_of_the_image(hidden, alone):
    """Without it the logit of 28x28 images is a sum over places: far corners do not interact."""
    discriminator = dcgan.DCGANDiscriminator(28, width=4, hidden=hidden)
    corner = np.random.default_rng(0).normal(size=(6, 6))
    images = np.zeros((4, 28, 28, 1), np.float32)  # both corners, one, the other, none
    images[[0, 1], :6, :6, 0] = corner
    images[[0, 2], -6:, -6:, 0] = corner
    label = np.zeros(4, np.int32)
    variables = games.variables(discriminator, images, label)
    logits = jax.jit(discriminator.apply)(variables, images, label)
    interaction = abs(logits[0] - logits[1] - logits[2] + logits[3])
    assert (interaction < 1e-5 * abs(logits[1] - logits[3])) == alone


def test_projection_tells_the_classes_apart():
    discriminator = dcgan.DCGANDiscriminator(8, width=4, classes=3)
    images = np.tile(np.random.default_rng(0).normal(size=(4, 8, 8, 1)), (2, 1, 1, 1))
    label = np.repeat(np.arange(2), 4)
    variables = games.variables(discriminator, images, label)
    logits = jax.jit(discriminator.apply)(variables, images, label)
    one, other = logits[:4], logits[4:]
    assert not np.allclose(one, other)


def features(images):
    """The mean and a corner, as features and as logits of two classes."""
    found = jnp.stack([images.mean((1, 2, 3)), images[:, 0, 0, 0]], 1)
    return found, found


class Played(NamedTuple):
    """A game with features: its data, its States before the first step, its run and Sums after."""

    task: Task
    data: feed.Feed
    before: adversarial.State
    run: Run
    sums: list[Sums]


@pytest.fixture(scope="module")
def played():
    """The spectral game after 32 steps, of which the first is a chunk of its own."""
    task = games.spectral(features=features)
    data = feed.in_memory(helpers.stripes(96), 16)
    run = loop.start(task, (0,), devices(1))
    before = jax.tree.map(lambda x: np.asarray(x[0]), run.states)
    run, sums = helpers.run_steps(task, data, devices(1), (0,), [1, 7, 8, 8, 8], run)
    return Played(task, data, before, run, sums)


def test_a_step_is_two_updates_and_one(played):
    run, sums = played.run, played.sums[-1]
    assert sums["loss"][1] == 8 * 2 * 8  # steps, updates, images of half a batch
    assert sums["generator_loss"][1] == 8 * 8
    assert sums["discriminator_gradient"][1] == 8 * 2
    assert (np.asarray(run.states.step) == 32).all()
    # The vectors follow the kernels: by them the norm is at most the largest singular value.
    params = jax.tree.map(lambda x: x[0], run.states.discriminator.params)
    for path, vector in run.states.vectors.items():
        kernel = np.asarray(dict(_leaves(params))[path])
        matrix = kernel.reshape(-1, kernel.shape[-1])
        found = np.linalg.norm(matrix @ np.asarray(vector[0]))
        largest = np.linalg.svd(matrix)[1][0]
        assert 0.8 * largest < found < 1.001 * largest


def _leaves(params):
    return [(jax.tree_util.keystr(p), x) for p, x in jax.tree_util.tree_leaves_with_path(params)]


def test_lazy_penalty_counts_every_other_update(played):
    """Of the two updates of the first step, the first, times two; the second adds nothing."""
    discriminator = dcgan.DCGANDiscriminator(8, width=4, norm=None)
    before, data = played.before, played.data
    batch = data.batch(data.arrays, data.chunk(0, 0, 1)[0])

    @jax.jit
    def squared(params, vectors, images, label):
        params, _ = spectral.normalize(params, vectors)
        return penalties.squared_gradient(
            lambda x: discriminator.apply({"params": params}, x, label), adversarial.scaled(images)
        )

    expected = squared(
        before.discriminator.params, before.vectors, batch["image"][:8], batch["label"][:8]
    )
    total, updates = played.sums[0]["penalty"]
    assert updates == 2
    np.testing.assert_allclose(total, [2 * 1.5 * expected.mean()], rtol=1e-5)


def test_samples_depend_on_their_number_and_the_averaged_generator_alone(played):
    state = next(sampling.seeds(played.run))
    sampler = sampling.sampler(games.generator(), games.LATENT)
    labels = np.zeros(300, np.int32)
    whole = sampling.samples(sampler, state, labels)
    part = sampling.samples(sampler, state, labels[:20], first=270)
    assert whole.dtype == np.uint8 and whole.shape == (300, 8, 8, 1)
    np.testing.assert_array_equal(whole[270:290], part)
    shifted = jax.tree.map(lambda x: x + 1, state.generator.params)
    other = state.replace(generator=state.generator.replace(params=shifted))
    np.testing.assert_array_equal(sampling.samples(sampler, other, labels[:20]), whole[:20])
    rows = sampling.interpolations(sampler, state, labels[:2], steps=5)
    ends = sampling.samples(sampler, state, labels[:4])
    np.testing.assert_allclose(np.float32(rows[0][0]), ends[0], atol=1)
    np.testing.assert_allclose(np.float32(rows[1][-1]), ends[3], atol=1)


def test_streamed_scores(played):
    test = helpers.stripes(70, seed=1) | {"index": np.arange(70, dtype=np.int32)}
    sums = loop.evaluate(played.task, played.run, feed.examples(test, 32), devices(1))
    state = next(sampling.seeds(played.run))
    z = adversarial.latents(jnp.arange(70), games.LATENT)
    draw = jax.jit(partial(adversarial.generate, games.generator()))
    fake = draw(state, z, jnp.zeros(70, jnp.int32))
    np.testing.assert_allclose(sums["samples"][0][0], fake[:64], atol=1e-5)
    found = np.asarray(features((np.clip(fake, -1, 1) + 1) / 2)[0])
    reference = scores.Features(np.asarray(features(test["image"] / 255)[0]))
    values = summarise(reference, sums)
    want = scores.frechet(scores.moments(reference.features), scores.moments(found))
    np.testing.assert_allclose(values["fid"], [want], rtol=1e-3)
    share = (found.argmax(1) == 1).mean()
    np.testing.assert_allclose(values["class_deviation"], [abs(share - 0.5)], atol=1e-6)
    assert values["modes"] == int(share > 0) + int(share < 1)
    assert "samples" not in values


def test_nearest():
    train = np.zeros((3, 2, 2, 1), np.uint8)
    train[1], train[2, 0, 0] = 255, 255
    image = np.zeros((1, 2, 2, 1), np.uint8)
    found = sampling.nearest(image, train, 3)
    np.testing.assert_array_equal(found.index, [[0, 2, 1]])
    np.testing.assert_allclose(found.distance, [[0, 0.5, 1]], atol=1e-6)
