"""`train`: intervals, resume, signals, NaN; on tasks small enough to compile at once."""

import json
import os
import signal

import numpy as np
import pytest

from dljax.data import feed
from dljax.train import driver, metrics
from dljax.train.checkpoint import Store
from dljax.train.loop import Interrupted, NotFinite
from dljax.train.report import Report
from tests import helpers
from tests.helpers import assert_same, devices, one_seed

SEEDS = (1, 2, 3)
TOY, DATA = helpers.toy(), feed.empty()
EPISODES = helpers.episodes(5, 5)


def train(workdir=None, task=TOY, steps=20, seeds=SEEDS, **settings):
    settings = {"eval_every": 5, "checkpoint_every": 10, "steps_per_call": 5} | settings
    settings |= {"placement": devices(1), "evaluation": EPISODES}
    if workdir is None:
        return driver.train(task, DATA, steps=steps, seeds=seeds, **settings)
    with Store(workdir) as store, Report(workdir, steps, quiet=True) as report:
        return driver.train(
            task, DATA, steps=steps, seeds=seeds, store=store, report=report, **settings
        )


def lines(workdir) -> list[dict]:
    """metrics.jsonl without the times."""
    text = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text]


def saved_steps(workdir) -> set[int]:
    return {int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of 20 steps, and its workdir."""
    workdir = tmp_path_factory.mktemp("whole")
    return train(workdir), workdir


def test_result(whole):
    result, workdir = whole
    assert int(result.run.step) == 20 and saved_steps(workdir) == {10, 20}
    assert [line["step"] for line in lines(workdir)] == [5, 10, 15, 20]
    assert result.metrics["loss"].shape == (3,) and result.dropped == ()
    last = lines(workdir)[-1]["validation/loss"]["per_seed"]
    np.testing.assert_array_equal(last, result.metrics["loss"])
    assert set(result.seconds) == {"compile", "train", "evaluate", "checkpoint"}
    assert result.seconds["compile"] > result.seconds["train"] > 0  # 20 steps of three weights
    assert result.steps_per_second == pytest.approx(20 / result.seconds["train"])


def test_without_store_and_report(whole):
    assert_same(train().run, whole[0].run)


def test_a_finished_run_is_not_trained_again(whole):
    before = lines(whole[1])
    again = train(whole[1])
    assert_same(again.run, whole[0].run)
    np.testing.assert_array_equal(again.metrics["loss"], whole[0].metrics["loss"])
    assert lines(whole[1]) == before and again.seconds["train"] == whole[0].seconds["train"]


class Stop(Exception):
    pass


class Stopping(Report):
    """Ends the run, or sends a signal, when it is told of a step."""

    def __init__(self, *args, at: int, signum: int = 0, **settings):
        super().__init__(*args, **settings)
        self._at, self._signum = at, signum

    def progress(self, step, *args):
        if step == self._at:
            if not self._signum:
                raise Stop
            os.kill(os.getpid(), self._signum)
        super().progress(step, *args)


def interrupted(workdir, at, signum=0, **settings):
    settings = {"eval_every": 5, "checkpoint_every": 10, "steps_per_call": 5} | settings
    settings |= {"placement": devices(1), "evaluation": EPISODES}
    with (
        Store(workdir) as store,
        Stopping(workdir, 20, at=at, signum=signum, quiet=True) as report,
    ):
        driver.train(TOY, DATA, steps=20, seeds=SEEDS, store=store, report=report, **settings)


@pytest.mark.parametrize("at", [5, 15, 20])
def test_resume_after_a_fall(whole, tmp_path, at):
    with pytest.raises(Stop):
        interrupted(tmp_path, at)
    assert_same(train(tmp_path).run, whole[0].run)
    assert lines(tmp_path) == lines(whole[1])


def test_sums_of_half_an_interval_survive(tmp_path):
    uneven = {"eval_every": 10, "checkpoint_every": 4, "steps_per_call": 2}
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    expected = train(tmp_path / "a", **uneven)
    with pytest.raises(Stop):
        interrupted(tmp_path / "b", 18, **uneven)
    assert saved_steps(tmp_path / "b") == {12, 16}  # 16: in the middle of the steps 11 to 20
    result = train(tmp_path / "b", **uneven)
    assert_same(result.run, expected.run)
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    assert [line["step"] for line in lines(tmp_path / "b")] == [10, 20]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends(whole, tmp_path, signum, capfd):
    before = signal.getsignal(signum)
    with pytest.raises(Interrupted) as error:
        interrupted(tmp_path, 15, signum)
    assert (error.value.signum, error.value.step, error.value.saved) == (signum, 15, True)
    said = "SIGINT: ends after the work in hand, once more at once"
    assert (said in capfd.readouterr().err.splitlines()) == (signum == signal.SIGINT)
    assert signal.getsignal(signum) is before
    assert 15 in saved_steps(tmp_path)
    assert_same(train(tmp_path).run, whole[0].run)
    assert lines(tmp_path) == lines(whole[1])


def test_a_signal_during_the_last_dispatch_does_not_matter(whole, tmp_path):
    interrupted(tmp_path, 20, signal.SIGTERM)
    assert saved_steps(tmp_path) == {10, 20} and lines(tmp_path) == lines(whole[1])


@pytest.mark.parametrize("steps_per_call", [0, 7])
def test_intervals_that_steps_per_call_does_not_divide(whole, tmp_path, steps_per_call):
    result = train(tmp_path, steps_per_call=steps_per_call, eval_every=6, checkpoint_every=9)
    assert [line["step"] for line in lines(tmp_path)] == [6, 12, 18, 20]
    assert saved_steps(tmp_path) == {18, 20}
    assert_same(result.run, whole[0].run)
    assert 1 <= result.steps_per_call <= 6


def test_intervals_by_default(tmp_path):
    train(tmp_path, steps=40, eval_every=0, checkpoint_every=0)
    assert [line["step"] for line in lines(tmp_path)] == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert saved_steps(tmp_path) == {36, 40}


def test_the_best_checkpoint_is_kept(tmp_path):
    train(
        tmp_path, steps=30, score=lambda values: float(values["loss"].mean())
    )  # falls: first best
    with Store(tmp_path, read_only=True) as store:
        assert store.best_step() == 10
    assert saved_steps(tmp_path) == {10, 20, 30}


def paced(pace, steps, every, seconds):
    """The steps of the dispatches that `pace` chooses, when one takes 1 ms and `seconds` a step."""
    step, chosen = 0, []
    while step < steps:
        k = pace.next(min(every - step % every, steps - step))
        pace.took(k, 0.001 + k * seconds)
        step += k
        chosen.append(k)
    return chosen


@pytest.mark.parametrize(
    "seconds, every, low, high",
    [(1e-3, 10_000, 0.1, 1), (1e-3, 450, 0.1, 1), (0.5, 100, 0.5, 0.6), (1e-6, 1000, 0, 0.1)],
)
def test_the_steps_of_a_dispatch_are_chosen(seconds, every, low, high):
    pace = driver.StepsPerCall(0, min(every, driver.CHUNK_STEPS))
    chosen = paced(pace, 50_000 if seconds < 0.1 else 300, every, seconds)
    ends = set(np.cumsum(chosen))
    assert all(step in ends for step in range(every, sum(chosen), every))
    assert pace.settled
    assert low <= seconds * chosen[len(chosen) // 2] <= high
    assert len(set(chosen[-3:])) <= 2


def test_a_short_slow_dispatch_does_not_settle_it():
    pace = driver.StepsPerCall(0, 1000)
    for _ in range(2):
        pace.took(pace.next(1000), 1e-3)
    before = pace.k
    assert before > 4
    pace.took(2, 0.2)  # the two steps before an evaluation, on a machine that was busy
    assert not pace.settled and pace.k == before


def test_the_chosen_steps_are_kept(tmp_path):
    with Store(tmp_path) as store:
        run = driver.loop.start(TOY, SEEDS, devices(1))
        store.save(10, run.replace(step=run.step + 10), driver._fresh_meta()
                   | {"step": 10, "steps_per_call": 3})  # fmt: skip
    assert train(tmp_path, steps_per_call=0).steps_per_call == 3


def test_stop_where_numbers_are_no_longer_finite(tmp_path):
    sick = helpers.sicken(TOY, seed=2, at=13)
    with pytest.raises(NotFinite) as error:
        train(tmp_path, sick)
    message = "loss, gradient or state is not finite: seed 2 at step 13; the checkpoint of step 10"
    assert str(error.value) == f"{message} is kept"
    assert saved_steps(tmp_path) == {10}
    with Store(tmp_path) as store:
        run, _ = store.restore(driver.loop.abstract_run(TOY, SEEDS, devices(1)))
    assert np.isfinite(run.states["weights"]).all()
    with pytest.raises(NotFinite, match="there is no checkpoint"):
        train(None, sick)


def test_drop_the_sick_seed(whole, tmp_path, capsys):
    sick = helpers.sicken(TOY, seed=2, at=13)
    result = train(tmp_path, sick, on_nan="drop")
    assert "warning: not finite, dropped: seed 2 at step 13" in capsys.readouterr().err
    assert result.dropped == (1,)
    for i in (0, 2):
        assert_same(one_seed(result.run, i), one_seed(whole[0].run, i))
    np.testing.assert_array_equal(np.isnan(result.metrics["loss"]), [False, True, False])
    for line, healthy in zip(lines(tmp_path), lines(whole[1]), strict=True):
        for name in ("train/loss", "validation/loss"):
            values, expected = line[name]["per_seed"], healthy[name]["per_seed"]
            assert [values[0], values[2]] == [expected[0], expected[2]]
            assert values[1] == (expected[1] if line["step"] <= 10 else None)
            assert np.isfinite(line[name]["mean"])
    healthy = driver.healthy(result.run.states, result.dropped)
    assert_same(healthy["weights"], np.asarray(whole[0].run.states["weights"])[[0, 2]])


def test_a_dropped_seed_stays_dropped(tmp_path):
    sick = helpers.sicken(TOY, seed=2, at=3)
    train(tmp_path, sick, on_nan="drop")
    again = train(tmp_path, sick, on_nan="stop")  # nothing left to do, and nothing new is sick
    assert again.dropped == (1,)


def test_all_seeds_sick(tmp_path):
    sick = TOY
    for seed in SEEDS:
        sick = helpers.sicken(sick, seed=seed, at=10 + seed)
    with pytest.raises(NotFinite, match="seed 1 at step 11, seed 2 at step 12, seed 3 at step 13"):
        train(tmp_path, sick, on_nan="drop")


def test_without():
    values = {"a": np.array([1, 2, 3]), "b": np.ones((3, 2))}
    gone = driver.without(values, {1})
    np.testing.assert_array_equal(gone["a"], [1, np.nan, 3])
    np.testing.assert_array_equal(gone["b"], [[1, 1], [np.nan, np.nan], [1, 1]])
    assert driver.without(values, ()) is values
    assert metrics.describe(gone["a"])["mean"] == 2


def test_what_is_no_feed_is_refused():
    task, arrays = helpers.small_classifier(), helpers.stripes(9)
    batches = feed.in_memory(arrays, 3)
    for data, examples, message in (
        (arrays, None, "a Feed of batches is needed, not a dict: .*feed.in_memory"),
        (batches, tuple(arrays.values()), "Examples are needed, not a tuple: .*feed.examples"),
    ):
        with pytest.raises(ValueError, match=message):
            driver.train(task, data, steps=1, evaluation=examples)
