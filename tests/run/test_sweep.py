"""--sweep: what it may be, the table, and that what comes after is of the chosen value."""

import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import optax
import pytest

from dljax.apps import ppo
from dljax.apps.configs.agent import resolved
from dljax.apps.rl import training
from dljax.data import feed
from dljax.run import command_line, session, sweep
from dljax.run import config as run_config
from dljax.run.config import field, override
from dljax.run.experiment import Experiment
from dljax.train.report import read_metrics
from tests import helpers
from tests.helpers import assert_same, devices


@dataclass(frozen=True, kw_only=True)
class Config(run_config.Config):
    name: ClassVar[str] = "toy"

    steps = override(20)
    learning_rate = override(0.2, maximum=100)
    number: int | None = field(None, "a whole number", minimum=1)
    noise: float = field(1.0, "not of the step")


def config(tmp_path="unused", **fields) -> Config:
    return Config(workdir=tmp_path, quiet=True, num_seeds=2, seed=1, **fields)


def experiment(asked: Config) -> Experiment:
    return Experiment(
        name="toy",
        dataset="none",
        task=lambda config: helpers.toy(optax.sgd(config.learning_rate)),
        feed=feed.empty(),
        placement=devices(1),
        validation=helpers.episodes(4, 4),
        test=helpers.episodes(5, 5),
        choose_by="min:loss",
    )


def test_points():
    plain = sweep.parse(config())
    assert not plain and plain.points == ({},) and plain.count == 2
    asked = config(sweep=("learning_rate=0.1", "0.2", "number=3", "4"))
    found = sweep.parse(asked)
    assert found and list(found.points) == [
        {"learning_rate": rate, "number": n} for rate in (0.1, 0.2) for n in (3, 4)
    ]
    assert found.count == 8 and session.seeds(asked) == (1, 2) * 4
    values = found.values()
    np.testing.assert_array_equal(values["number"], [3, 3, 4, 4, 3, 3, 4, 4])
    assert values["number"].dtype == np.int32 and values["learning_rate"].dtype == np.float32
    assert command_line.parse(Config, ["x", "--sweep=learning_rate=0.1,1"]).sweep == (
        "learning_rate=0.1", "1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "words, message",
    [
        (("0.1",), "written name=value,value,..., not '0.1'"),
        (("learning_rat=1",), "no flag 'learning_rat'; did you mean learning_rate?"),
        (("learning_rate=1", "many"), "'many' is no value of learning_rate"),
        (("learning_rate=1", "1000"), "learning_rate must be at most 100, not 1000.0"),
        (("number=1.5",), "'1.5' is no value of number"),
        (("learning_rate=1", "learning_rate=2"), "learning_rate is there twice"),
        (("num_seeds=1", "2"), "num_seeds can't be swept"),
        (("eval_every=1", "2"), "eval_every can't be swept"),
        (("dtype=float32",), "dtype can't be swept"),
        (("noise=1", "2"), "noise can't be swept: it is no number that the compiled step"),
    ],
)
def test_refusals_are_one_line_and_delete_nothing(tmp_path, words, message):
    (tmp_path / "summary.json").write_text("{}")
    asked = config(tmp_path, sweep=words, overwrite=True)
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as caught:
        session.train(asked, experiment(asked))
    assert "\n" not in str(caught.value)
    assert command_line.explain(caught.value, "")[0] == 2  # a wrong command line
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    nowhere = tmp_path / "new" / "run"
    with pytest.raises(command_line.UsageError):
        session.train(config(nowhere, sweep=words), experiment(asked))
    assert not nowhere.exists()


def test_the_best_point():
    nan = math.nan
    assert sweep.best(np.array([[1.0, 2.0], [2.0, 2.0]])) == 1
    assert sweep.best(np.array([[nan, 9.0], [2.0, 2.0], [1.0, 1.0]])) == 1  # none was lost
    assert sweep.best(np.array([[nan, 1.0], [2.0, nan], [nan, nan]])) == 1


def test_a_sweep_to_its_end(tmp_path, capsys):
    """Of three rates the largest diverges: its members are dropped, and the middle one is best."""
    asked = config(tmp_path / "sweep", sweep=("learning_rate=0.001", "0.2", "50"))
    outcome = session.train(asked, experiment(asked))
    assert "not finite, dropped" in capsys.readouterr().err
    summary = json.loads((tmp_path / "sweep" / "summary.json").read_text())
    assert summary["chosen"] == {"learning_rate": 0.2} and summary["dropped_seeds"] == []
    low, best, high = summary["sweep"]
    assert best["score"]["mean"] > low["score"]["mean"] and high["score"]["mean"] is None
    assert best["metrics"]["loss"] == summary["metrics"]["loss"]
    assert len(best["metrics"]["loss"]["per_seed"]) == 2
    assert (tmp_path / "sweep" / "plots" / "sweep.png").exists()
    for steps, values in read_metrics(tmp_path / "sweep").values():
        assert values.shape == (len(steps), 2) and np.isfinite(values).all()

    plain = config(tmp_path / "plain", plots=False)
    found = session.train(plain, experiment(plain)).run
    np.testing.assert_allclose(found.states["weights"], outcome.run.states["weights"], 1e-5)

    again = session.train(asked, experiment(asked))  # nothing left to do
    assert_same(again.run, outcome.run)
    assert len(read_metrics(tmp_path / "sweep")["validation/loss"][0]) == 10

    chosen, metadata = session.saved(asked)
    assert (
        chosen.learning_rate == 0.2 and not chosen.sweep and metadata["sweep"]["members"] == [2, 3]
    )
    run, step = session.restore(chosen, experiment(chosen).task(chosen), devices(1))
    assert run.states["weights"].shape == (2, 3) and step in (18, 20)

    lines = sweep.lines(sweep.Chosen(summary["chosen"], [2, 3], [low, best]), ("loss",))
    assert lines[0].split() == ["learning_rate", "validation", "score", "loss"]
    assert lines[2].startswith("*  0.2") and "±" in lines[2] and not lines[1].startswith("*")
    edge = "learning_rate=0.2 is the largest value of the sweep: a larger one may be better"
    assert lines[4:] == [edge]
    table = [low, best, {**low, "point": high["point"]}]
    whole = sweep.lines(sweep.Chosen(summary["chosen"], [2, 3], table), ("loss",))
    assert whole[-1].startswith("*: chosen by the validation score")  # 50 was tried too
    first = sweep.lines(sweep.Chosen(low["point"], [0, 1], [low, best]), ("loss",))
    assert "learning_rate=0.001 is the smallest value" in first[-1]


@pytest.mark.parametrize(
    "words, good",
    [(("learning_rate=1e-4", "1e-3", "gamma=0.9"), True), (("rollout=8", "16"), False)],
)
def test_what_agents_may_sweep(words, good):
    """An environment and its networks are made anew inside the program that is traced."""
    small = {"features": (8,), "environments": 4, "rollout": 8, "batch_size": 16, "epochs": 1}
    asked = resolved(ppo.Config(sweep=words, num_seeds=2, **small))
    built, plan = training.build(asked, ppo.make), sweep.parse(asked)
    if good:
        _, (values,) = sweep.task(plan, asked, built)
        assert set(values) == {"learning_rate", "gamma"} and len(values["gamma"]) == 4
    else:
        with pytest.raises(ValueError, match="rollout can't be swept"):
            sweep.task(plan, asked, built)


def test_a_sweep_that_has_not_ended_predicts_nothing(tmp_path):
    asked = config(tmp_path, sweep=("learning_rate=0.1", "0.2"))
    for name, text in {"config": run_config.to_json(asked), "metadata": {}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(text))
    with pytest.raises(ValueError, match="has not come to its end, so no value is chosen yet"):
        session.saved(asked)
