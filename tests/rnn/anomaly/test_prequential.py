"""Online detection: causality, every row scored once, thresholds, baselines and metrics."""

import jax
import numpy as np
import pytest

from dljax.rnn.anomaly import (
    baseline_detectors,
    detection_metrics,
    detector,
    prequential,
    thresholding,
)
from dljax.train import loop
from tests import helpers
from tests.rnn.corpora import make_task, wave, waves

STEPS = 24
DETECTORS = {"forecast": detector.forecaster(6), "autoencoder": detector.autoencoder(6)}


def errors_of(corpora, network, steps=STEPS):
    """Errors [S, T] of each corpus (of the same lengths), by one compiled program."""
    stacks = [prequential.stack(corpus) for corpus in corpora]
    feed = prequential.feed(stacks[0], prequential.Clock(steps), windows=2, length=12)
    task, placement = make_task(network, stacks[0]), helpers.devices(1)
    advance, found = loop.advance(task, feed, placement, steps), []
    for stacked in stacks:
        arrays = {"inputs": stacked.inputs, "targets": stacked.targets}
        items = advance.prepare((0,), 0, steps)  # these depend on the lengths alone
        run, _, bad = advance.program(
            loop.start(task, (0,), placement),
            placement.put(arrays, placement.everywhere()),
            items,
            np.int32(steps),
        )
        assert (np.asarray(bad) == -1).all()
        found.append(np.asarray(run.states.errors[0]))
    return found


def detections(corpus, errors):
    known, scale = detection_metrics.by_values(corpus), prequential.stack(corpus).scale
    return detection_metrics.from_errors(known, errors, scale, thresholding.RULES)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_future_does_not_change_the_past(name):
    """Scores before a row are the same to the bit whatever comes from it on."""
    corpus, cut = [wave(240, 0), wave(150, 1)], 170
    other = corpus[0].values.copy()
    other[cut:] = 40 - 3 * other[cut:][::-1]
    corpora = corpus, [corpus[0]._replace(values=other), corpus[1]]
    before, after = errors_of(corpora, DETECTORS[name])
    np.testing.assert_array_equal(before[0, :cut], after[0, :cut])
    np.testing.assert_array_equal(before[1], after[1])
    assert (before[0, cut:] != after[0, cut:]).mean() > 0.9
    surprise, changed = (
        detections(part, errors).surprise[0]
        for part, errors in zip(corpora, (before, after), strict=True)
    )
    np.testing.assert_array_equal(surprise[:cut], changed[:cut])
    assert changed[cut] > 10 > surprise[cut]


def test_every_row_is_scored_once_and_learned_from_only_afterwards():
    stacked = prequential.stack(waves(5))
    clock = prequential.Clock(STEPS)
    feed = prequential.feed(stacked, clock, windows=3, length=12)
    scored = np.zeros(stacked.targets.shape, int)
    gather = jax.jit(feed.batch)
    for step in range(STEPS):
        item = jax.tree.map(lambda x: x[0], feed.chunk(0, step, 1))
        batch = gather(feed.arrays, item)
        for s, rows in enumerate(np.asarray(batch["next_rows"])):
            rows = rows[rows < scored.shape[1]]
            scored[s, rows] += 1
            read = clock(step, stacked.lengths)[s]
            assert (rows >= read).all() and (item["end"][s] <= read).all()
            last = stacked.targets[s, item["end"][s] - 1]
            np.testing.assert_array_equal(batch["targets"][s, :, -1], last)
    first = clock(0, stacked.lengths)
    for s, length in enumerate(stacked.lengths):
        assert (scored[s, first[s] : length] == 1).all()
        assert not scored[s, : first[s]].any() and not scored[s, length:].any()


def test_chunks_are_pure_and_seeds_differ():
    feed = prequential.feed(prequential.stack(waves(3)), prequential.Clock(STEPS), 2, 12)
    whole, part = feed.chunk(1, 0, 6), feed.chunk(1, 4, 2)
    helpers.assert_same(jax.tree.map(lambda x: x[4:], whole), part)
    assert (feed.chunk(2, 0, 6)["end"] != whole["end"]).any()


def test_a_wave_is_learned_and_a_constant_is_no_anomaly():
    """The forecast of a noisy daily wave is better than its last value, late in the series."""
    flat = wave(400, 1)._replace(values=np.full(400, 3.0))
    corpus = [wave(1200, 0), flat]
    (errors,) = errors_of([corpus], DETECTORS["forecast"], steps=200)
    stacked = prequential.stack(corpus)
    naive, late = stacked.targets - stacked.inputs[..., 0], slice(800, None)
    ratio = np.abs(errors[0, late]).mean() / np.abs(naive[0, late]).mean()
    assert ratio < 0.75, ratio
    found = detections(corpus, errors)
    assert np.isfinite(errors).all() and (found.surprise[1] < thresholding.RULES.alarm).all()


def test_the_autoencoder_scores_the_last_row_of_a_window():
    network, rng = DETECTORS["autoencoder"], np.random.default_rng(0)
    inputs = rng.normal(size=(12 + 5, prequential.FEATURES)).astype(np.float32)
    targets = rng.normal(size=12 + 5).astype(np.float32)
    shapes = jax.eval_shape(network.model.init, jax.random.key(0), inputs[None], targets[None])
    variables = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)

    @jax.jit
    def apply(*args):
        return network.model.apply(variables, *args)

    found = network.estimates(apply, inputs, targets, 5)
    windows = [slice(i + 1, i + 13) for i in range(5)]
    whole = apply(np.stack([inputs[w] for w in windows]), np.stack([targets[w] for w in windows]))
    np.testing.assert_array_equal(found, whole[:, -1])


def test_stack():
    short, long = wave(30, 0), wave(80, 1)
    stacked = prequential.stack([short, long], multiple=4)
    assert stacked.inputs.shape == (4, 80, prequential.FEATURES)
    np.testing.assert_array_equal(stacked.lengths, [30, 80, 80, 80])
    mean, scale = prequential.running_moments(long.values)
    row = 60
    assert mean[row] == pytest.approx(long.values[:row].mean())
    assert scale[row] == pytest.approx(long.values[:row].std())
    z = (long.values - mean[row]) / scale[row]
    expected = [z[59], z[59] - z[58], *(z[59] - z[60 - lag] for lag in (25, 24, 23))]
    np.testing.assert_allclose(stacked.inputs[1, row, :5], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stacked.targets[1, row], z[60], rtol=1e-5)
    assert (stacked.targets[0, 30:] == 0).all()


@pytest.mark.parametrize("exponent", [0.3, 1.0])
def test_tail_surprise_of_a_known_tail(exponent):
    """For a Pareto distribution the surprise is -log P(a block has such a row)."""
    rng, n, block = np.random.default_rng(1), 10001, thresholding.BLOCK
    sizes = rng.random(n) ** -exponent
    sizes[-1] = 1e-6**-exponent  # P = 1e-6 for a row
    found = thresholding.tail_surprise(sizes, np.zeros(n))
    assert found[-1] == pytest.approx(-np.log(block * 1e-6), rel=0.25)
    usual = found[1000:-1][: (n - 1001) // block * block].reshape(-1, block).max(1)
    assert (usual > -np.log(0.1)).mean() == pytest.approx(0.1, rel=0.3)
    assert (thresholding.tail_surprise(sizes, np.full(n, 1e7)) == 0).all()


def test_tail_surprise_by_hand():
    """Blocks with maxima 1..n: ranks inside, a Pareto tail beyond; the form does not matter."""
    block, n = thresholding.BLOCK, 12
    maxima = np.random.default_rng(0).permutation(n) + 1.0
    sizes = np.concatenate([np.repeat(maxima, block), [5.5, 12, 36]])
    g = np.mean(np.log(np.arange(3, 13) / 3))
    expected = np.log([13 / 8, 13 / 2, 13]) + [0, 0, np.log(3) / g]
    floor = np.zeros(len(sizes))
    np.testing.assert_allclose(thresholding.tail_surprise(sizes, floor)[-3:], expected)
    found = thresholding.tail_surprise(sizes**3, floor)[-3:]
    np.testing.assert_allclose(found, expected)
    even = thresholding.tail_surprise(np.append(np.ones(240), 2.0), floor[:241])
    assert even[-1] == pytest.approx(np.log(13) + np.log(2) / thresholding.LIGHT)


def test_what_comes_back_is_no_surprise():
    """A spike each 60 rows, however far it stands out."""
    sizes = np.random.default_rng(0).random(3000)
    sizes[59::60] = 1000 + np.random.default_rng(1).random(50)
    found = thresholding.tail_surprise(sizes, np.zeros(3000))
    assert found[59::60][-10:].max() < np.log(52) + 1 and np.median(found[59::60]) < np.log(9)


def test_nearest_windows_against_a_slow_search():
    rng = np.random.default_rng(3)
    values, memory = rng.normal(size=90), 40
    values[70] = 1e8  # large values must not spoil what follows them in memory
    for window, found in zip((3, 8), thresholding.nearest(values, (3, 8), memory), strict=True):
        for row in range(90):
            last = [values[end - window + 1 : end + 1] for end in range(window - 1, row + 1)]
            others = last[max(len(last) - 1 - memory, 0) : max(len(last) - window, 0)]
            distances = [np.sqrt(np.mean((last[-1] - other) ** 2)) for other in others]
            assert found[row] == pytest.approx(min(distances, default=0), rel=1e-12)


def test_no_surprise_is_due_to_the_beginning():
    """The first windows that can be compared are not surprising for being the first."""
    for seed in range(5):
        values = wave(400, seed).values
        found = thresholding.value_surprises(values, np.ones(400))
        assert np.max(found) < 5, np.argmax(np.max(found, 0))


def test_surprises_are_causal_and_add_up():
    rng = np.random.default_rng(2)
    values, errors = rng.normal(size=(2, 400))
    scale = np.ones(400)

    before = thresholding.surprise(values, errors, scale)
    values[300:], errors[300:] = 50, -20
    after = thresholding.surprise(values, errors, scale)
    np.testing.assert_array_equal(before[:300], after[:300])
    assert after[300] > 20 > before[300]
    parts = thresholding.value_surprises(values, scale)
    parts += thresholding.error_surprises(errors, scale)
    assert len(parts) == 8 and (thresholding.combined(parts) == after).all()
    found = thresholding.combined([np.array([3.0, 0.0, 1.0]), np.array([4.0, 2.0, 1.0])])
    np.testing.assert_allclose(found, [5, 2, np.sqrt(2)])


def test_pauses_after_alarms():
    rules = thresholding.Rules(alarm=6, rest=0.1, shortest=5)
    surprise = np.zeros(200)
    surprise[[20, 24, 25, 26, 100, 109, 111]] = [7, 9, 9, 9, 6, 20, 6]
    rested = thresholding.with_pauses(surprise, rules)
    assert np.flatnonzero(rested).tolist() == [20, 26, 100, 111]
    surprise[[21, 130, 132, 134, 137, 140]] = [3, 4, 3, 5, 8, 9]  # below the alarm: the larger ones
    rested = thresholding.with_pauses(surprise, rules)
    assert np.flatnonzero(rested).tolist() == [20, 26, 100, 111, 130, 134, 137]
    np.testing.assert_array_equal(rested[rested > 0], surprise[rested > 0])


def test_windowed_gaussian_against_a_slow_one():
    from math import erfc, sqrt

    values = wave(60, 3).values
    found = baseline_detectors.windowed_gaussian(wave(60, 3), window=20, step=7)
    expected, window, waiting = [0.0], [values[0]], []
    for x in values[1:]:
        if len(window) == 20 and len(waiting) == 7:
            window, waiting = window[7:] + waiting, []
        expected.append(
            1 - 0.5 * erfc(abs(x - np.mean(window)) / max(np.std(window), 1e-6) / sqrt(2))
        )
        (window if len(window) < 20 else waiting).append(x)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_seasonal_z_sees_what_breaks_the_season():
    series = wave(400, 4, windows=[(300, 300)])
    scores = baseline_detectors.seasonal_z(series)
    assert scores[100:].argmax() == 200 and scores[300] > 10


def test_every_score_of_a_corpus():
    corpus = [wave(400, 5, windows=[(300, 310)]), wave(300, 6)]
    levels = [known[:1] for known in detection_metrics.by_values(corpus)]
    found = detection_metrics.from_surprises(levels, thresholding.RULES)
    scores = detection_metrics.scores(corpus, found, alarm=6)
    assert scores["nab_standard"] == pytest.approx(100, abs=12) == scores["nab_alarm"]
    assert scores["auc_pr"] > 0.9 and scores["point_recall"] <= 2 / 11
    assert detection_metrics.by_group(
        corpus, found.score, detection_metrics.nab.PROFILES["standard"]
    ) == {"waves": pytest.approx(scores["nab_standard"])}
    assert detection_metrics.labelled(corpus) and not detection_metrics.labelled(corpus[1:])
    assert not detection_metrics.labelled([corpus[0], corpus[1]._replace(windows=None)])
