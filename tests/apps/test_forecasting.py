"""Forecasting as a command: models, losses, calibration, data, --predict, --evaluate, mistakes."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from dljax.apps import forecasting as app
from dljax.apps.configs.forecasting import Config
from dljax.rnn.forecasting.combination import to_json
from dljax.rnn.forecasting.forecaster import Blend
from dljax.run.command_line import UsageError, explain, help_text, parse
from dljax.run.config import from_json
from dljax.train.files import write_json

QUICK = {
    "steps": 2,
    "num_seeds": 1,
    "batch_size": 8,
    "steps_per_call": 2,
    "features": 4,
    "window": 14,
    "horizon": 3,
    "parallel": "none",
    "plots": False,
    "quiet": True,
}


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


def write(path, rows=200, step=1, columns=("a", "b", "wind"), broken=()):
    rng = np.random.default_rng(0)
    t = np.arange(rows)
    values = 10 + np.sin(2 * np.pi * t / 7)[:, None] + 0.1 * rng.normal(size=(rows, len(columns)))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", *columns])
        for i, row in enumerate(values):
            date = np.datetime64("2023-01-01") + np.timedelta64(step * i, "D")
            writer.writerow([date, *("" if (i, c) in broken else x for c, x in enumerate(row))])
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("table") / "table.csv")


TRAINED = {
    "seq2seq": {"loss": "student", "calibrate": "adaptive", "ema": 0.9, "combine": False},
    "segrnn": {"loss": "mae", "segment": 4, "calendar": False, "dtype": "bfloat16"},
}


def check(config, outcome, series):
    """What every run leaves, whatever its network and loss."""
    summary = json.loads((Path(config.workdir) / "summary.json").read_text())
    assert (outcome.sums["loss"][1] == 40 - 3 + 1).all()  # every window of the last fifth
    assert outcome.sums["mae_by_series"][0].shape == (config.num_seeds, series)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(outcome.run.states.params))
    assert {"last value", "seasonal naive", "drift", "ridge"} <= summary["baselines"].keys()
    assert summary["baselines"].keys() == summary["skill"].keys()
    assert summary["intervals"]["chosen"] == config.calibrate
    assert any(line.startswith("Best ") for line in summary["notes"])
    assert "network" in summary["backtest"]["errors"]
    assert ("combined" in summary["backtest"]["errors"]) == config.combine
    assert ("network_alone" in summary) == ("combination" in summary) == config.combine
    return summary


@pytest.mark.parametrize("model", TRAINED)
def test_two_steps(model, table, tmp_path):
    config = configured(model=model, workdir=tmp_path, dataset=table, **TRAINED[model])
    summary = check(config, app.train(config), series=3)
    assert summary["mean_forecast_of_seeds"]["mae"] == pytest.approx(
        summary["metrics"]["mae"]["mean"], rel=1e-4
    )


@pytest.mark.parametrize(
    "change",
    [
        {"model": "rnn", "loss": "huber"},
        {"model": "lstm", "normalize": "window"},
        {"model": "linear", "smooth": 5, "normalize": "none"},
    ],
)
def test_every_other_model_takes_a_step(change):
    """Shapes alone, without compiling."""
    config = configured(**change)
    task = app.make_task(config, app.make_forecaster(config), app.Shapes(14, 3, 2, 5, 4))
    shapes = {"past": (14, 2), "past_known": (14, 5), "future": (3, 2), "future_known": (3, 4)}
    batch = {n: jax.ShapeDtypeStruct((8, *s), np.float32) for n, s in shapes.items()}
    key = jax.random.key(0)
    state = jax.eval_shape(task.init, key)
    after, _ = jax.eval_shape(task.step, state, batch, key)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    config = configured(
        workdir=workdir, dataset=table, target=("a", "b"), covariates=("wind",), steps=60,
        eval_every=20, steps_per_call=20, num_seeds=2, plots=True, refits=1, learning_rate=1e-2,
        model="gru",
    )  # fmt: skip
    check(config, app.train(config), series=2)
    return workdir


def test_a_run_scores_its_best_step_and_draws(trained):
    summary = json.loads((trained / "summary.json").read_text())
    lines = [json.loads(x) for x in (trained / "metrics.jsonl").read_text().splitlines()]
    losses = {x["step"]: x["validation/quantile_loss"]["mean"] for x in lines}
    assert summary["best_step"] == min(losses, key=losses.get)
    assert {path.stem for path in (trained / "plots").iterdir()} == {
        "backtest", "coverage", "error_by_step", "forecasts", "learning_curves", "residuals",
    }  # fmt: skip
    walk = summary["backtest"]
    assert walk["fits_at_rows"] == [160]
    naive, network = (walk["errors"][name]["mae"] for name in ("last value", "network"))
    assert network < 0.7 * naive  # the week is easily learned
    assert walk["errors"]["combined"]["mae"] < network


def test_predict_goes_on_after_the_end(trained, tmp_path):
    longer = write(tmp_path / "longer.csv", rows=230)
    before = Path(longer).read_text()
    rows = app.predict(configured(workdir=trained, plots=True), longer)
    assert Path(longer).read_text() == before
    assert [row["time"] for row in rows] == ["2023-08-19", "2023-08-20", "2023-08-21"]
    for row, t in zip(rows, (230, 231, 232), strict=True):
        for name in "ab":
            assert row[f"{name}_low"] < row[f"{name}_high"]
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
            assert abs(row[name] - 10 - np.sin(2 * np.pi * t / 7)) < 0.5
    with open(trained / "predictions" / "longer.csv") as file:
        lines = list(csv.DictReader(file))
    assert [line["kind"] for line in lines] == ["observed"] * 230 + ["forecast"] * 3
    assert float(lines[-1]["a"]) == pytest.approx(rows[-1]["a"])
    assert (trained / "predictions" / "longer.png").exists()


WRONG = {
    "a column that is none": ({"target": ("tmp",)}, "tmp"),
    "a horizon beyond the test part": ({"horizon": 50}, "horizon=50 is longer than"),
    "a window beyond the series": ({"window": 190}, "window=190 and horizon=3 need"),
    "a batch beyond the series": ({"batch_size": 500}, "batch_size=500"),
    "ett": ({"protocol": "ett"}, "ETT split"),
    "returns of what is negative": ({"transform": "returns", "target": ("low",)}, "not always"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line_before_anything_is_trained(name, tmp_path):
    path = write(tmp_path / "table.csv", columns=("a", "low"))
    text = Path(path).read_text().splitlines()
    text = [text[0]] + [line.rsplit(",", 1)[0] + f",{i % 5 - 2}" for i, line in enumerate(text[1:])]
    Path(path).write_text("\n".join(text))
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as error:
        app.train(configured(workdir=tmp_path / "run", dataset=path, **change))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_series_that_begins_to_move_late_is_scored(tmp_path):
    """Without a scale for MASE, and with errors of zero, a run still comes to its end."""
    path = write(tmp_path / "late.csv", columns=("a",))
    lines = Path(path).read_text().splitlines()
    still = [f"{line.split(',')[0]},7" for line in lines[1:141]]
    Path(path).write_text("\n".join([lines[0], *still, *lines[141:]]))
    config = configured(
        workdir=tmp_path / "run", dataset=path, model="linear", loss="gaussian", quiet=False
    )
    app.train(config)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["baselines"]["last value"]["mase"] is None
    assert summary["baselines"]["last value"]["mae"] > 0


def test_quantiles_out_of_order_are_refused():
    with pytest.raises(ValueError, match="quantiles must increase"):
        configured(quantiles=(0.5, 0.1))
    assert configured(quantiles=(0.25, 0.75), level=0.9).levels() == (0.05, 0.25, 0.5, 0.75, 0.95)


def test_the_combination_is_what_is_scored_forecast_and_evaluated(trained, table, tmp_path):
    """In the run, of which ridge is the best; then with the weights of the last value alone."""
    summary = json.loads((trained / "summary.json").read_text())
    own, alone = summary["mean_forecast_of_seeds"], summary["network_alone"]
    assert summary["combination"]["weights"]["ridge"] == 1  # the week is linear
    assert own["mse"] < alone["mse"]
    for name in ("mse", "mae", "mase"):  # of each seed, combined
        assert summary["metrics"][name]["per_seed"] == pytest.approx([own[name]] * 2, rel=1e-4)
    texts = [line for line in summary["notes"] if "the combination" in line]
    assert any(x.startswith("Best baseline by mse: ") for x in texts)
    assert any(x.startswith("The network alone: mae ") and "; mse " in x for x in texts)

    shutil.copytree(trained, tmp_path / "run")
    metadata = json.loads((trained / "metadata.json").read_text())
    last = np.zeros((1, 14, 3))
    last[:, -1] = 1
    metadata["combination"] = to_json(Blend(last, np.zeros((1, 3)), 0.0))
    write_json(tmp_path / "run" / "metadata.json", metadata)
    config = configured(workdir=tmp_path / "run")
    values = np.genfromtxt(table, delimiter=",", skip_header=1, usecols=(1, 2))
    rows = app.predict(config, table)
    assert [[row["a"], row["b"]] for row in rows] == [pytest.approx(values[-1], rel=1e-5)] * 3
    found = app.evaluate(config, table)["metrics"]["mae"]["per_seed"]
    ahead = np.stack([values[14 + h : len(values) - 2 + h] for h in range(3)], 1)
    error = np.abs(ahead - values[13:-3][:, None]) / metadata["scaler"][1]
    assert found == pytest.approx([error.mean()] * 2, rel=1e-4)
    with pytest.raises(ValueError, match="once more with --nocombine, which trains nothing again"):
        app.predict(configured(workdir=tmp_path / "run", combine=False), table)


def test_predict_refuses_what_does_not_fit(trained, tmp_path):
    for file, message in {
        write(tmp_path / "short.csv", rows=12): "12 rows: the forecast needs a window of 14",
        write(tmp_path / "other.csv", columns=("a", "c", "wind")): "b",
        write(tmp_path / "slow.csv", step=7): "D|day",
    }.items():
        with pytest.raises(ValueError, match=message) as error:
            app.predict(configured(workdir=trained), file)
        assert "\n" not in str(error.value)


def test_a_hole_in_the_data_ends_in_one_line(tmp_path):
    path = write(tmp_path / "holes.csv", broken={(50, 1)})
    with pytest.raises(ValueError) as caught:
        app.run(configured(workdir=tmp_path / "run", dataset=path))
    code, line = explain(caught.value, "again")
    assert code == 1 and "\n" not in line
    assert line.startswith("error: ") and "holes.csv, line 52: column b" in line


def test_evaluate_scores_every_window_of_another_series(trained, tmp_path, capsys):
    path = write(tmp_path / "other.csv", rows=230)
    found = app.evaluate(configured(workdir=trained), path)
    again = json.loads((trained / "evaluations" / "other.csv.json").read_text())
    assert again["metrics"] == found["metrics"] and found["step"] > 0
    assert f"{path}: quantile_loss" in capsys.readouterr().out
    # The same network on the same rows as in training has the same errors, in the same unit.
    summary = json.loads((trained / "summary.json").read_text())
    assert found["metrics"]["mae"]["mean"] == pytest.approx(
        summary["metrics"]["mae"]["mean"], rel=0.3
    )
    short = write(tmp_path / "short.csv", rows=15)
    with pytest.raises(ValueError, match="need 17 rows; .* has 15"):
        app.evaluate(configured(workdir=trained), short)


def test_a_run_is_continued_on_the_same_data_only(trained):
    saved = json.loads((trained / "config.json").read_text())
    config = from_json(Config, {**saved, "plots": False, "refits": 0})
    before = (trained / "metadata.json").read_text()
    longer = write(trained / "longer.csv", rows=205)
    with pytest.raises(ValueError, match="rows: 200 then, 205 now"):
        app.train(dataclasses.replace(config, dataset=longer))
    assert (trained / "metadata.json").read_text() == before


def test_former_names():
    with pytest.raises(UsageError, match="--told is now --teacher_forcing"):
        parse(Config, ["x", "--told=0.2"])
    with pytest.raises(UsageError, match="'tracked' is now 'adaptive'"):
        parse(Config, ["x", "--calibrate=tracked"])
    old = from_json(Config, {"told": 0.2, "calibrate": "tracked"})
    assert (old.teacher_forcing, old.calibrate) == (0.2, "adaptive")


def test_default_workdirs():
    assert Config().workdir == "runs/forecasting-weather"
    returns = Config(dataset="stocks", transform="returns")
    assert returns.workdir == "runs/forecasting-stocks-returns"


def test_the_help_names_every_flag():
    text = help_text(Config, "Forecasts.", "-m experiments.forecasting")
    assert all(flag in text for flag in ("--horizon", "--[no]calendar", "--quantiles", "--refits"))


def test_several_series_are_no_series_of_a_run_on_one(trained, tmp_path):
    both = Path(write(tmp_path / "one.csv")).read_text().splitlines()
    lines = ["id," + both[0], *(f"{name},{x}" for name in "pq" for x in both[1:])]
    (tmp_path / "both.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"has 2 series \(p, ...\), the run in .* has one"):
        app.predict(configured(workdir=trained), str(tmp_path / "both.csv"))
