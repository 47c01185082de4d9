"""The game: networks of every size, what a step and an evaluation mean, samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data import feed
from dljax.gan import adversarial, dcgan, penalties, r3gan, sampling, scores, sngan
from dljax.gan.adversarial import Regularization
from dljax.gan.eval_metrics import summarise
from dljax.train import loop
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
    make, judge, settings = PAIRS[pair]
    settings = {"width": 4, "classes": 3, **settings}
    z, label = jnp.zeros((2, 6)), jnp.array([0, 2])

    def both(key):
        images, made = make(size, 3, **settings).init_with_output(key, z, label)
        logits, judged = judge(size, **settings).init_with_output(key, images, label)
        return images, logits, made, judged

    images, logits, *_ = jax.eval_shape(both, jax.random.key(0))
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
def test_a_hidden_layer_judges_the_image_as_a_whole(hidden, alone):
    """Without it the logit of 28x28 images is a sum over places: far corners do not interact."""
    judge = dcgan.DCGANDiscriminator(28, width=4, hidden=hidden)
    corner = jax.random.normal(jax.random.key(0), (6, 6))
    one = jnp.zeros((28, 28)).at[:6, :6].set(corner)
    other = jnp.zeros((28, 28)).at[-6:, -6:].set(corner)
    images = jnp.stack([one + other, one, other, jnp.zeros((28, 28))])[..., None]
    logits, _ = judge.init_with_output(jax.random.key(1), images, jnp.zeros(4, jnp.int32))
    interaction = abs(logits[0] - logits[1] - logits[2] + logits[3])
    assert (interaction < 1e-5 * abs(logits[1] - logits[3])) == alone


def test_projection_tells_the_classes_apart():
    judge = dcgan.DCGANDiscriminator(8, width=4, classes=3)
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
    variables = judge.init(jax.random.key(1), images, jnp.zeros(4, jnp.int32))
    one, other = (judge.apply(variables, images, jnp.full(4, c)) for c in (0, 1))
    assert not np.allclose(one, other)


@pytest.fixture(scope="module")
def played():
    """32 steps of the spectral game, and the task."""
    task = games.spectral()
    data = feed.in_memory(helpers.stripes(96), 16)
    run, sums = helpers.run_steps(task, data, devices(1), (0,), [8] * 4)
    return task, run, sums


def test_a_step_is_two_updates_and_one(played):
    _, run, sums = played
    assert sums[0]["loss"][1] == 8 * 2 * 8  # steps, updates, images of half a batch
    assert sums[0]["generator_loss"][1] == 8 * 8
    assert sums[0]["discriminator_gradient"][1] == 8 * 2
    assert (np.asarray(run.states.step) == 32).all()
    # The vectors follow the kernels: what they say is below the largest singular value, and near.
    params = jax.tree.map(lambda x: x[0], run.states.discriminator.params)
    for path, vector in run.states.vectors.items():
        kernel = np.asarray(dict(_leaves(params))[path])
        matrix = kernel.reshape(-1, kernel.shape[-1])
        found = np.linalg.norm(matrix @ np.asarray(vector[0]))
        largest = np.linalg.svd(matrix)[1][0]
        assert 0.8 * largest < found < 1.001 * largest


def _leaves(params):
    return [(jax.tree_util.keystr(p), x) for p, x in jax.tree_util.tree_leaves_with_path(params)]


def test_lazy_penalty_counts_every_other_update():
    judge = dcgan.DCGANDiscriminator(8, width=4, norm=None)
    data = feed.in_memory(helpers.stripes(96), 16)
    regularization = Regularization(r1=3.0, every=2)
    task = games.game(games.generator(), judge, rate=0.0, regularization=regularization)
    run, sums = helpers.run_steps(task, data, devices(1), (0,), [1, 1])
    params = jax.tree.map(lambda x: x[0], run.states.discriminator.params)
    batch = data.batch(data.arrays, data.chunk(0, 0, 1)[0])
    squared = penalties.squared_gradient(
        lambda x: judge.apply({"params": params}, x, batch["label"]),
        adversarial.scaled(batch["image"]),
    )
    found = [float(s["penalty"][0][0]) for s in sums]
    np.testing.assert_allclose(found, [2 * 1.5 * squared.mean(), 0.0], rtol=1e-5)


def test_samples_depend_on_their_number_and_the_averaged_generator_alone(played):
    _, run, _ = played
    state = next(sampling.seeds(run))
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
    _, run, _ = played

    def features(images):  # the mean and a corner, as features and as logits of two classes
        found = jnp.stack([images.mean((1, 2, 3)), images[:, 0, 0, 0]], 1)
        return found, found

    task = games.spectral(features=features)
    test = helpers.stripes(70, seed=1) | {"index": np.arange(70, dtype=np.int32)}
    sums = loop.evaluate(task, run, feed.examples(test, 32), devices(1))
    state = next(sampling.seeds(run))
    z = adversarial.latents(jnp.arange(70), games.LATENT)
    fake = adversarial.generate(games.generator(), state, z, jnp.zeros(70, jnp.int32))
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
