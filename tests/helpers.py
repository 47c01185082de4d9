"""Small tasks, data and comparisons that several tests share."""

import functools
import os
import tempfile
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from dljax.cnn.classification import classifier
from dljax.data import augment, feed
from dljax.nn.convolution import Conv
from dljax.nn.normalization import BatchNorm
from dljax.nn.pooling import global_avg_pool
from dljax.nn.recurrent.layers import Stack
from dljax.rnn.probes import problems
from dljax.train import loop, native, optim
from dljax.train.loop import Task
from dljax.train.parallel import Placement

# A probe of learning that one seed passes may be passed by luck, and another release of jax, which
# rounds otherwise, is another seed: so these are trained in one program, and most have to pass.
SEEDS = (0, 1, 2, 3, 4)


@functools.cache
def native_library() -> str:
    """The C++ convolutions, compiled once for all processes of the tests, or a skipped test."""
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or tempfile.mkdtemp()
    try:
        return native.library(Path(folder, "native"))
    except native.BuildError as error:
        pytest.skip(f"no native convolutions: {error}")


def most(passed: np.ndarray) -> bool:
    """Whether at least four of five seeds have passed, bool [seeds]."""
    return bool(np.mean(passed) >= 0.8)


def devices(count: int, axis: str = "data", vmap: bool = False) -> Placement:
    return Placement(Mesh(np.array(jax.devices()[:count]), (axis,)), vmap)


def bits(tree):
    """The arrays of a tree on the host; keys as their data."""

    def one(x):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return np.asarray(x)

    return jax.tree.map(one, tree)


def assert_same(a, b):
    """Same structure, shapes, dtypes and bits (a NaN equals itself)."""
    a, b = bits(a), bits(b)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True):
        name = jax.tree_util.keystr(path)
        assert (x.shape, x.dtype) == (y.shape, y.dtype), name
        assert x.tobytes() == y.tobytes(), f"{name} differs by {np.max(np.abs(x - y))}"


def assert_close(a, b, atol):
    a, b = bits(a), bits(b)
    for (path, x), y in zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=atol, err_msg=jax.tree_util.keystr(path))


def one_seed(run, index):
    return jax.tree.map(lambda x: x[index], bits((run.keys, run.states)))


class TinyNet(nn.Module):
    """A convolution, BatchNorm, dropout, a dense layer: all that a network asks of the loop."""

    classes: int = 3

    @nn.compact
    def __call__(self, x, train=False):
        x = Conv(8, (3, 3), strides=2, use_bias=False)(x)
        x = nn.relu(BatchNorm(use_running_average=not train, momentum=0.9)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(self.classes, name="classifier")(global_avg_pool(x))


def stripes(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """uint8 images [count, 8, 8, 1] of three classes: upright, level and sloping stripes."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, count).astype(np.int32)
    y, x = np.mgrid[:8, :8]
    pattern = np.stack([x % 2, y % 2, (x + y) // 2 % 2])[label][..., None]
    noise = rng.integers(0, 60, (count, 8, 8, 1))
    return {"image": (150 * pattern + noise).astype(np.uint8), "label": label}


def small_classifier(tx=None, **settings) -> Task:
    return classifier.task(
        TinyNet(),
        tx or optim.optimizer("momentum", 0.1),
        image_shape=(8, 8, 1),
        classes=3,
        augmentation=augment.random_crop(1),
        **settings,
    )


def mixed_classifier() -> Task:
    return small_classifier(
        optim.optimizer("adamw", 5e-2, weight_decay=1e-2, accumulate=2, ema=0.9),
        mix=functools.partial(augment.mixup, alpha=0.2),
    )


def ramps(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Noisy ramps float32 [count, 9, 1], rising or falling, of 3 to 9 steps; then comes padding."""
    rng = np.random.default_rng(seed)
    label, length = rng.integers(0, 2, count), rng.integers(3, 10, count)
    time = np.arange(9)
    x = (2 * label[:, None] - 1) * time / length[:, None] + 0.3 * rng.normal(size=(count, 9))
    x = np.where(time < length[:, None], x, 99.0)[..., None]
    return {
        "x": x.astype(np.float32),
        "length": length.astype(np.int32),
        "label": label.astype(np.int32),
    }


def sequence_classifier() -> Task:
    """Two layers with dropout between them that read ramps up to their length."""

    def sequences(batch):
        return batch["x"], jnp.arange(9) < batch["length"][:, None]

    return problems.classification_task(
        problems.Reader(Stack(8, depth=2, dropout=0.2, variational=True), 2),
        optim.optimizer("adamw", 2e-2, clip_norm=1.0),
        shape=(9, 1),
        sequences=sequences,
    )


TARGET = np.array([1.0, -2.0, 3.0], np.float32)  # of numpy: importing this starts no device


def toy(tx=None) -> Task:
    """A task that makes its own data, as reinforcement learning does: its batch is ().

    Fits three weights to samples of a linear function, and keeps a walking position as an
    environment would.
    """
    tx = tx or optax.sgd(0.2)

    def init(key):
        weights = jnp.zeros(3)
        opt_state, position = tx.init(weights), jax.random.uniform(key)
        return {"weights": weights, "opt_state": opt_state, "position": position}

    def error(weights, key):
        x = jax.random.normal(key, (8, 3))
        return jnp.mean((x @ (weights - TARGET)) ** 2)

    def step(state, batch, key):
        assert batch == ()
        walk_key, data_key = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
        loss, gradient = jax.value_and_grad(error)(state["weights"], data_key)
        updates, opt_state = tx.update(gradient, state["opt_state"], state["weights"])
        state = {
            "weights": optax.apply_updates(state["weights"], updates),
            "opt_state": opt_state,
            "position": state["position"] + jax.random.normal(walk_key),
        }
        return state, {"loss": (loss, jnp.float32(1))}

    def evaluate(state, batch, key):
        del key
        errors = jax.vmap(lambda n: error(state["weights"], jax.random.key(n)))(batch["episode"])
        return {"loss": (jnp.sum(errors * batch["example_mask"]), jnp.sum(batch["example_mask"]))}

    return Task(init, step, evaluate)


def sicken(task: Task, seed: int, at: int) -> Task:
    """The task, but state and sums of that seed become NaN in step `at`."""
    spoilt = jax.random.key_data(jax.random.fold_in(jax.random.key(seed), at))

    def step(state, batch, key):
        ill = jnp.all(jax.random.key_data(key) == spoilt)

        def spoil(x):
            return jnp.where(ill, jnp.nan, x) if jnp.issubdtype(x.dtype, jnp.inexact) else x

        return jax.tree.map(spoil, task.step(state, batch, key))

    return task._replace(step=step)


def episodes(count: int, batch_size: int, multiple: int = 1) -> feed.Examples:
    return feed.examples({"episode": np.arange(count, dtype=np.int32)}, batch_size, multiple)


def run_steps(task, data, placement, seeds, chunks, run=None, length=None):
    """(run, list of Sums) after the given chunks of steps, from step 0 or from `run`."""
    run = run or loop.start(task, seeds, placement)
    advance = loop.advance(task, data, placement, length or max(chunks))
    step, sums = int(run.step), []
    for k in chunks:
        run, total, bad = advance(run, advance.prepare(seeds, step, k), k)
        assert (np.asarray(bad) == -1).all()
        sums.append(jax.device_get(total))
        step += k
    return run, sums
