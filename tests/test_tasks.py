"""The contract that every Task keeps. A new task adds its line to CASES, and nothing else here.

Each case trains a tiny problem for some steps. What is compared bit for bit is what the loop
promises bit for bit; the rest (another number of devices, another way to map the seeds) differs in
the order of additions alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.data import feed, patches, utterances
from dljax.data import text as text_data
from dljax.data.feed import Examples, Feed
from dljax.data.identity_batches import identity_batches
from dljax.rnn.anomaly import detector, prequential
from dljax.train import compilation, loop, metrics
from dljax.train.checkpoint import Store
from dljax.train.loop import Task
from tests import helpers
from tests.cnn import cubes, detections, faces, masks, medical, roads
from tests.gan import games
from tests.helpers import assert_close, assert_same, devices, one_seed
from tests.rl import tasks as agents
from tests.rnn import corpora, series, sounds, texts
from tests.transfer import tuned


class Case(NamedTuple):
    """A task and a small problem for it.

    feed: batches of a multiple of 8 examples. examples: (batch size, multiple) -> Examples, 21 of
    them. falls: the training loss of the last LENGTH of STEPS steps is below this share of that of
    the first LENGTH. atol: what 8 devices may differ by after LENGTH. counted: the metric of an
    evaluation that is a mean over examples. parts: what it counts of an example, such as pixels.
    """

    task: Task
    feed: Feed
    examples: Callable[[int, int], Examples]
    falls: float
    atol: float = 1e-5
    counted: str = "loss"
    parts: int = 1


def images(task: Task, falls: float) -> Case:
    train, test = helpers.stripes(96), helpers.stripes(21, seed=1)
    return Case(
        task, feed.in_memory(train, 16), lambda size, m: feed.examples(test, size, m), falls
    )


def boxed(task: Task, falls: float) -> Case:
    train, test = detections.squares(96), detections.squares(21, seed=1)
    return Case(
        task,
        feed.in_memory(train, 16),
        lambda size, m: feed.examples(test, size, m),
        falls,
        atol=1e-4,
        counted="right_50",
    )


def masked(task: Task, falls: float) -> Case:
    train, test = masks.squares(96), masks.squares(21, seed=1)
    return Case(
        task,
        feed.in_memory(train, 16),
        lambda size, m: feed.examples(test, size, m),
        falls,
        parts=masks.LABELLED,
    )


def recognised(falls: float) -> Case:
    train, test = faces.blobs(96), faces.blobs(21, seed=1)
    return Case(
        faces.task(),
        identity_batches(train, 24, 8),
        lambda size, m: feed.examples(test, size, m),
        falls,
        atol=1e-4,
        counted="accuracy",
    )


def volumes(task: Task, falls: float) -> Case:
    train, test, patch = cubes.volumes(24), cubes.volumes(21, seed=1), (cubes.SIDE,) * 3
    return Case(
        task,
        patches.training(train, patch, 8, foreground=0.5),
        lambda size, m: patches.examples(test, patch, -(-size // m) * m, m),
        falls,
        atol=1e-4,
        parts=cubes.LABELLED,
    )


def windows(task: Task, falls: float) -> Case:
    train, test = series.cut(96), series.cut(21, seed=1)
    return Case(
        task, feed.in_memory(train, 16), lambda size, m: feed.examples(test, size, m), falls
    )


def sequences(task: Task, made: Callable[..., dict], falls: float) -> Case:
    train, test = made(96), made(21, seed=1)
    return Case(
        task, feed.in_memory(train, 16), lambda size, m: feed.examples(test, size, m), falls
    )


def text(task: Task, falls: float) -> Case:
    return Case(
        task,
        text_data.feed(texts.ids(), texts.BATCH, texts.LENGTH),
        lambda size, m: feed.examples(texts.one_each(21), size, m),
        falls,
    )


def spoken(falls: float) -> Case:
    train, test = sounds.flat(sounds.tones(96)), sounds.flat(sounds.tones(21, seed=1))
    return Case(
        sounds.classifier(lengths=(300,)),
        utterances.training(train, 16, train.longest(), by_length=True),
        lambda size, m: utterances.examples(test, size, test.longest(), m),
        falls,
    )


def transcribed(falls: float) -> Case:
    words, test = sounds.tones(40), sounds.strings(21, seed=1)
    flat = utterances.flatten(test, sounds.tokens(test.texts))
    return Case(
        sounds.transcriber(),
        utterances.joined_training(
            sounds.flat(words, first=1), words.speakers, sounds.joining(), 16, 1400
        ),
        lambda size, m: utterances.examples(flat, size, flat.longest(), m),
        falls,
        atol=1e-4,
        counted="sentence_error_rate",
    )


def read_once(judge: detector.Detector, falls: float) -> Case:
    stacked = prequential.stack(corpora.waves(21), multiple=8)
    return Case(
        corpora.make_task(judge, stacked),
        prequential.feed(stacked, prequential.Clock(STEPS), windows=2, length=12),
        lambda size, m: prequential.examples(21, size, m),
        falls,
    )


def game(task: Task, made: Callable[[int, int], dict], falls: float) -> Case:
    train, test = made(96, 0), made(21, 1)
    return Case(
        task, feed.in_memory(train, 16), lambda size, m: feed.examples(test, size, m), falls
    )


def agent(task: Task, falls: float) -> Case:
    def examples(size: int, multiple: int) -> Examples:
        return helpers.episodes(21, size, multiple)

    return Case(task, feed.empty(), examples, falls, atol=1e-4, counted="return")


def driver(task: Task, falls: float) -> Case:
    def examples(size: int, multiple: int) -> Examples:
        return feed.examples({"drive": np.arange(21, dtype=np.int32)}, size, multiple)

    return Case(task, feed.empty(), examples, falls, atol=1e-3, counted="completed")


CASES = {
    "classification": lambda: images(helpers.small_classifier(), 0.6),
    "classification_ema_accumulate_mixup": lambda: images(helpers.mixed_classifier(), 0.9),
    "fine_tuning_layerwise": lambda: images(tuned.layerwise(), 0.9),
    "fine_tuning_adapters": lambda: images(tuned.adapters(), 0.9),
    "detection": lambda: boxed(detections.small_detector(), 0.8),
    "segmentation": lambda: masked(masks.small_segmenter(), 0.8),
    "face_recognition": lambda: recognised(0.8),
    "medical_classification": lambda: images(medical.small_classifier(), 0.8),
    "segmentation_of_volumes": lambda: volumes(cubes.small_segmenter(), 0.8),
    "driving_recovery": lambda: driver(roads.task(), 0.85),
    "driving_recorded": lambda: sequences(roads.recorded_task(), roads.bars, 0.8),
    "forecast_gru_quantiles": lambda: windows(series.gru_quantiles(), 0.6),
    "forecast_segrnn": lambda: windows(series.segrnn(), 0.8),
    "anomaly_forecast": lambda: read_once(detector.forecaster(6), 0.8),
    "anomaly_autoencoder": lambda: read_once(detector.autoencoder(6), 0.8),
    "sequences_of_unequal_length": lambda: sequences(
        helpers.sequence_classifier(), helpers.ramps, 0.7
    ),
    "language_lstm": lambda: text(texts.task(), 0.9),
    "language_transformer": lambda: text(texts.transformer_task(), 0.9),
    "text_classification": lambda: sequences(texts.classifier(), texts.labelled, 0.95),
    "speech_words": lambda: spoken(0.9),
    "speech_ctc": lambda: transcribed(0.8),
    "own_data": lambda: Case(
        helpers.toy(), feed.empty(), lambda size, m: helpers.episodes(21, size, m), 0.1
    ),
    "gan_of_images": lambda: game(games.conditional(), games.stripes, 0.9),
    "ppo_recurrent": lambda: agent(agents.recurrent_ppo(), 0.5),
    "pqn": lambda: agent(agents.pqn_task(), 0.5),
    "dqn_prioritised": lambda: agent(agents.prioritised_dqn(), 0.7),
    "sac": lambda: agent(agents.sac_task(), 0.5),
}
SEEDS = (3, 5)
LENGTH, STEPS = 8, 32


class Trained(NamedTuple):
    """A case after STEPS steps of SEEDS on one device, and how to train it differently."""

    case: Case
    start: loop.Run
    advance: Callable
    early: loop.Run  # after LENGTH steps
    final: loop.Run
    sums: list[loop.Sums]  # of each LENGTH steps


@pytest.fixture(scope="module", params=CASES)
def trained(request) -> Trained:
    case = CASES[request.param]()
    start = loop.start(case.task, SEEDS, devices(1))
    advance = loop.advance(case.task, case.feed, devices(1), LENGTH)
    run, runs, sums = copied(start), [], []
    for step in range(0, STEPS, LENGTH):
        run, total, bad = advance(run, advance.prepare(SEEDS, step, LENGTH), LENGTH)
        assert (np.asarray(bad) == -1).all()
        runs.append(copied(run))
        sums.append(jax.device_get(total))
    return Trained(case, start, advance, runs[0], runs[-1], sums)


def copied(run: loop.Run) -> loop.Run:  # since `advance` takes its argument's memory
    return jax.tree.map(jnp.copy, run)


def after(t: Trained, run: loop.Run, chunks: list[int]) -> tuple[loop.Run, loop.Sums]:
    run, step, total = copied(run), int(run.step), {}
    for k in chunks:
        run, sums, _ = t.advance(run, t.advance.prepare(SEEDS, step, k), k)
        total, step = metrics.add(total, sums), step + k
    return run, total


def test_step_keeps_shapes_and_dtypes(trained):
    task, data = trained.case.task, trained.case.feed
    key = jax.random.key(0)
    state = jax.eval_shape(task.init, key)
    item = jax.tree.map(lambda x: x[0], data.chunk(0, 0, 1))
    batch = jax.eval_shape(data.batch, data.arrays, item)
    after, sums = jax.eval_shape(task.step, state, batch, key)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert sums["loss"][0].shape == sums["loss"][1].shape == ()
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(sums))


def test_loss_falls(trained):
    first, last = (metrics.ratios(trained.sums[i])["loss"] for i in (0, -1))
    assert (last < trained.case.falls * first).all(), (first, last)


def test_steps_per_call_do_not_matter(trained):
    for chunks in ([1] * LENGTH, [3, 5]):
        run, sums = after(trained, trained.start, chunks)
        assert_same(run, trained.early)
        assert_close(sums, trained.sums[0], atol=1e-3)


def test_resume(trained, tmp_path):
    middle, _ = after(trained, trained.start, [3])
    with Store(tmp_path) as store:
        store.save(3, middle, {})
    with Store(tmp_path) as store:
        found, _ = store.restore(loop.abstract_run(trained.case.task, SEEDS, devices(1)))
    assert_same(found, middle)
    run, _ = after(trained, found, [5])
    assert_same(run, trained.early)


def test_a_seed_alone(trained):
    case = trained.case
    alone, _ = helpers.run_steps(case.task, case.feed, devices(1), SEEDS[1:], [LENGTH])
    assert_same(one_seed(alone, 0), one_seed(trained.early, 1))
    first, second = (one_seed(trained.early, i)[1] for i in (0, 1))
    different = jax.tree.map(lambda a, b: not np.array_equal(a, b), first, second)
    assert any(jax.tree.leaves(different))


@pytest.mark.parametrize("name", ["classification", "own_data"])
def test_as_real_runs_compile(name, monkeypatch):
    """The promises of bits once more, without what conftest.py takes off the compiler's work."""
    real = {compilation.LEVEL: 3, "xla_backend_extra_options": "", "xla_cpu_max_isa": ""}
    options = {**real, **compilation.compiler_options("cpu")}
    monkeypatch.setattr(compilation, "compiler_options", lambda kind: options)
    case = CASES[name]()

    def run(seeds, chunks, start=None):
        return helpers.run_steps(case.task, case.feed, devices(1), seeds, chunks, start, 5)[0]

    whole = copied(run(SEEDS, [5, 3]))
    assert_same(run(SEEDS, [1, 2, 5]), whole)
    assert_same(run(SEEDS, [5], run(SEEDS, [3])), whole)
    assert_same(one_seed(run(SEEDS[1:], [5, 3]), 0), one_seed(whole, 1))


def test_eight_devices(trained):
    case = trained.case
    run, sums = helpers.run_steps(case.task, case.feed, devices(8), SEEDS, [LENGTH])
    assert_close(run, trained.early, case.atol)
    assert_close(sums[0], trained.sums[0], atol=1e-3)
    assert len(jax.tree.leaves(run.states)[0].sharding.device_set) == 8


# How seeds are mapped is the loop's: shown for tasks that differ most in what they keep and draw.
@pytest.mark.parametrize("vmap", [False, True], ids=["pmap", "vmap"])
@pytest.mark.parametrize(
    "trained", ["classification", "own_data", "gan_of_images", "dqn_prioritised"], indirect=True
)
def test_seeds_on_each_of_eight_devices(trained, vmap):
    """One on each as `--parallel=pmap` maps them on CPUs, or two with vmap."""
    case, seeds = trained.case, SEEDS * (8 if vmap else 4)
    placement = devices(8, "replica", vmap)
    run, sums = helpers.run_steps(case.task, case.feed, placement, seeds, [LENGTH])
    for i in range(len(seeds)):
        assert_close(one_seed(run, i), one_seed(trained.early, i % 2), case.atol)
        np.testing.assert_allclose(sums[0]["loss"][0][i], trained.sums[0]["loss"][0][i % 2], 1e-5)
    assert not jax.tree.leaves(run.states)[0].sharding.is_fully_replicated


def test_masked_evaluation(trained):
    case, run = trained.case, trained.final
    whole = loop.evaluate(case.task, run, case.examples(21, 1), devices(1))
    spread = loop.evaluate(case.task, jax.device_put(run, devices(8).everywhere()),
                           case.examples(8, 8), devices(8))  # fmt: skip
    assert (whole[case.counted][1] == 21 * case.parts).all()
    assert_close(spread, whole, atol=1e-4 * case.parts)
    for name, (numerator, denominator) in whole.items():
        if np.array_equal(denominator, np.round(denominator)):
            np.testing.assert_array_equal(spread[name][1], denominator)
        if np.array_equal(numerator, np.round(numerator)):  # counts: exact, however cut
            np.testing.assert_array_equal(spread[name][0], numerator)
