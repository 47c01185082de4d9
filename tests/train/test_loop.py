"""What the loop does beyond the contract that test_tasks.py holds every task to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data import feed, tokens
from dljax.nn.language import RecurrentLM
from dljax.nn.recurrent.layers import LSTM, Stack
from dljax.rnn.language import modeling
from dljax.train import loop, optim, parallel
from dljax.train.loop import Task
from tests import helpers
from tests.helpers import assert_same, devices

SEEDS = (1, 2, 3)


def recorder() -> Task:
    """A task whose sums say what it was given: the batch and the key of each step."""

    def step(state, batch, key):
        draw = jax.random.uniform(key)
        history = state["history"].at[state["count"]].set(batch["x"].sum())
        draws = state["draws"].at[state["count"]].set(draw)
        state = {"history": history, "draws": draws, "count": state["count"] + 1}
        return state, {"loss": (batch["x"].sum(), jnp.float32(batch["x"].size))}

    def init(key):
        del key
        return {"history": jnp.zeros(6), "draws": jnp.zeros(6), "count": jnp.int32(0)}

    def evaluate(state, batch, key):
        x, mask = batch["x"], batch["example_mask"]
        draws = jax.random.uniform(key, x.shape)
        return {
            "mean": ((x * mask).sum(), mask.sum()),
            "key": ((draws * mask).sum(), jnp.float32(1)),
        }

    return Task(init, step, evaluate)


def test_each_step_gets_its_batch_and_its_key():
    x = np.arange(10, dtype=np.float32) ** 2
    data = feed.in_memory({"x": x}, 4)
    run, sums = helpers.run_steps(recorder(), data, devices(1), SEEDS, [2, 4])
    assert int(run.step) == 6
    for i, seed in enumerate(SEEDS):
        expected = x[data.chunk(seed, 0, 6)].sum(1)
        np.testing.assert_array_equal(run.states["history"][i], expected)
        np.testing.assert_allclose(sums[1]["loss"][0][i], expected[2:].sum(), 1e-6)
        assert sums[1]["loss"][1][i] == 16
        keys = [jax.random.fold_in(jax.random.key(seed), step) for step in range(6)]
        np.testing.assert_array_equal(run.states["draws"][i], [jax.random.uniform(k) for k in keys])
    assert_same(run.keys, jax.vmap(jax.random.key)(jnp.array(SEEDS)))


def test_evaluation_keys_differ_by_seed_and_batch_and_from_training():
    x = np.arange(5, dtype=np.float32)
    run = loop.start(recorder(), SEEDS, devices(1))
    sums = loop.evaluate(recorder(), run, feed.examples({"x": x}, 2), devices(1))
    np.testing.assert_array_equal(sums["mean"][0] / sums["mean"][1], [2.0] * 3)
    assert sums["mean"][0].dtype == np.float64
    for i, seed in enumerate(SEEDS):
        key = jax.random.fold_in(jax.random.key(seed), loop.EVALUATE)
        draws = np.stack([jax.random.uniform(jax.random.fold_in(key, n), (2,)) for n in range(3)])
        np.testing.assert_allclose(sums["key"][0][i], draws.ravel()[:5].sum(), 1e-6)


def traced(times: list) -> Task:
    """The recorder, and a note of each time that its evaluation is traced."""
    task = recorder()

    def evaluate(state, batch, key):
        times.append(batch["x"].shape)
        return task.evaluate(state, batch, key)

    return task._replace(evaluate=evaluate)


def test_parts_of_the_same_shapes_share_an_evaluation():
    times, run = [], loop.start(recorder(), SEEDS, devices(1))
    evaluator = loop.Evaluator(traced(times), devices(1))
    for n, size, traces in ((7, 2, 1), (4, 2, 1), (7, 3, 2)):
        examples = feed.examples({"x": np.arange(n, dtype=np.float32)}, size)
        sums = evaluator(run, evaluator.prepare(examples))
        assert len(times) == traces
        assert_same(sums, loop.evaluate(recorder(), run, examples, devices(1)))


def test_examples_made_by_different_functions_share_no_evaluation():
    run, x = loop.start(recorder(), SEEDS, devices(1)), {"x": np.arange(4, dtype=np.float32)}
    evaluator, plain = loop.Evaluator(recorder(), devices(1)), feed.examples(x, 4)
    halved = plain._replace(batch=lambda arrays, item: {**item, "x": item["x"] / 2})
    means = [evaluator(run, examples)["mean"] for examples in (plain, halved, plain)]
    assert [float(total[0] / count[0]) for total, count in means] == [1.5, 0.75, 1.5]


@pytest.mark.parametrize("chunks", [[6], [1] * 6, [3, 3]])
def test_the_first_bad_step_and_seed_are_told(chunks):
    task = helpers.sicken(helpers.toy(), seed=2, at=3)
    advance = loop.advance(task, feed.empty(), devices(1), 6)
    run, bad, step = loop.start(task, SEEDS, devices(1)), [], 0
    for k in chunks:
        run, _, found = advance(run, advance.prepare(SEEDS, step, k), k)
        bad.append(np.asarray(found).tolist())
        step += k
    first = next(found for found in bad if found != [-1, -1, -1])
    assert first == [-1, 3, -1]
    assert bad.index(first) == int(np.searchsorted(np.cumsum(chunks), 3, side="right"))


def test_a_state_that_is_not_finite_is_told_even_with_a_finite_loss():
    def step(state, batch, key):
        return {"w": state["w"] * 1e30}, {"loss": (jnp.float32(0), jnp.float32(1))}

    task = Task(lambda key: {"w": jnp.float32(1)}, step, helpers.toy().evaluate)
    advance = loop.advance(task, feed.empty(), devices(1), 4)
    run = loop.start(task, (0,), devices(1))
    _, _, bad = advance(run, advance.prepare((0,), 0, 4), 4)
    assert int(bad[0]) >= 1


@pytest.mark.parametrize(
    "placement",
    [
        devices(1),
        devices(1, vmap=True),
        devices(8),
        devices(8)._replace(fsdp=True),
        devices(8, "replica"),
        devices(8, "replica", vmap=True),
    ],
    ids=["one", "vmap", "data", "fsdp", "replica", "replica-vmap"],
)
def test_a_step_is_traced_once(placement):
    """What is traced is not kept between starts, as compiled programs are."""
    task, traced = recorder(), []

    def step(*args):
        traced.append(args)
        return task.step(*args)

    data, seeds = feed.in_memory({"x": np.arange(16, dtype=np.float32)}, 8), tuple(range(8))
    helpers.run_steps(task._replace(step=step), data, placement, seeds, [2, 1])
    assert len(traced) == 1


def test_the_run_is_donated():
    advance = loop.advance(helpers.toy(), feed.empty(), devices(1), 1)
    run = loop.start(helpers.toy(), (0,), devices(1))
    advance(run, advance.prepare((0,), 0, 1), 1)
    assert run.states["weights"].is_deleted()


def test_abstract_is_what_start_gives():
    for placement in (
        devices(1),
        devices(8),
        devices(8)._replace(fsdp=True),
        devices(8, "replica"),
    ):
        task, seeds = helpers.toy(), tuple(range(8))
        run, like = loop.start(task, seeds, placement), loop.abstract_run(task, seeds, placement)
        assert jax.tree.structure(run) == jax.tree.structure(like)
        for x, y in zip(jax.tree.leaves(run), jax.tree.leaves(like), strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype)
            assert x.sharding.is_equivalent_to(y.sharding, x.ndim)


def test_fsdp_has_the_numbers_of_replicated_states():
    task = helpers.small_classifier(optim.optimizer("adamw", 1e-3, ema=0.9, accumulate=2))
    data = feed.in_memory(helpers.stripes(32), 16)
    split = devices(8)._replace(fsdp=True)
    expected, sums = helpers.run_steps(task, data, devices(8), SEEDS, [4, 2])
    run, found = helpers.run_steps(task, data, split, SEEDS, [4, 2])
    helpers.assert_close(run, expected, atol=1e-5)
    helpers.assert_close(found, sums, atol=1e-4)
    kernel = run.states.params["Conv_0"]["kernel"]
    assert kernel.shape == (3, 3, 3, 1, 8)
    assert kernel.sharding.shard_shape(kernel.shape) == (3, 3, 3, 1, 1)
    examples = feed.examples(helpers.stripes(32), 16, 8)
    scores = [
        loop.evaluate(task, r, examples, p) for r, p in ((run, split), (expected, devices(8)))
    ]
    helpers.assert_close(*scores, atol=1e-4)


def test_fsdp_keeps_an_eighth_of_a_language_model_on_each_of_eight_devices():
    model = RecurrentLM(257, Stack(1024, depth=2, layer=LSTM))
    tx = optim.optimizer("adamw", 1e-3, ema=0.9)
    task = modeling.task(model, tx, tokens.byte_values(), 8, 16)
    split, whole = parallel.bytes_per_device(
        loop.abstract_run(task, (0,), devices(8)._replace(fsdp=True)).states
    )
    assert whole / 8 <= split < 1.001 * whole / 8
