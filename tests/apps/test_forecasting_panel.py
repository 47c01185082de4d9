"""Forecasting of several series of one file by one network; runs keep their zone."""

import json
from pathlib import Path

import numpy as np
import pytest

from dljax.apps import forecasting as app
from tests.apps.test_forecasting import configured

# Several series in one file -----------------------------------------------------------------------


def write_long(path, ends=(120, 90, 20), names=("north", "south", "short"), coming=()):
    """Series one below the other, of 7 days' waves at different levels, raised by promotions.

    coming: promo in the rows after the last sales.
    """
    lines = ["shop_id,ds,y,promo"]
    promotions = np.random.default_rng(0).random((len(names), max(ends))) < 0.2  # in no rhythm
    for level, (name, rows) in enumerate(zip(names, ends, strict=True)):
        for i in range(rows + len(coming)):
            day = np.datetime64("2023-01-01") + np.timedelta64(i + 100 * level, "D")
            promo = int(promotions[level, i]) if i < rows else coming[i - rows]
            value = 10.0**level * (10 + np.sin(2 * np.pi * i / 7) + 3 * promo)
            lines.append(f"{name},{day},{f'{value:.5f}' if i < rows else ''},{promo}")
    Path(path).write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    root = tmp_path_factory.mktemp("several")
    path = write_long(root / "long.csv")
    config = configured(
        workdir=root / "run", dataset=path, model="linear", steps=60, steps_per_call=20,
        eval_every=20, learning_rate=3e-2, plots=True, num_seeds=2, known=("promo",),
    )  # fmt: skip
    return root, app.train(config)


def test_one_network_for_several_series(several):
    """Each is split, scaled and scored by itself; one that is too short is named."""
    root, outcome = several
    summary = json.loads((root / "run" / "summary.json").read_text())
    assert summary["data"]["series"] == {"north": 120, "south": 90}
    notes = " ".join(summary["notes"])
    assert "names 3 series" in notes and "too short: 1 of 3 series, short" in notes
    assert {"known covariates", "ridge with known"} <= summary["baselines"].keys()
    assert "mase" in summary["metrics"] and "mase" in summary["baselines"]["ridge"]
    assert set(summary["by_series"]) == {"north", "south"}
    windows = {"north": 24 - 3 + 1, "south": 18 - 3 + 1}  # of the last fifth of each
    assert (outcome.sums["loss"][1] == sum(windows.values())).all()
    for kind in ("mae", "mse"):
        each = [summary["by_series"][name]["combined"][kind] for name in windows]
        mean = np.average(each, weights=list(windows.values()))
        assert mean == pytest.approx(summary["mean_forecast_of_seeds"][kind], rel=1e-4)
        lines = [x for x in summary["notes"] if x.startswith(f"Best baseline by {kind}")]
        assert len(lines) == 1
    for label, levels in summary["mae_in_own_unit"].items():  # south has ten times the level
        assert levels["y"] < {"north": 1, "south": 10}[label]
    assert summary["by_series"]["south"]["network"]["mae"] < 1  # of its own deviations
    drawn = {path.name for path in (root / "run" / "plots").iterdir()}
    assert drawn == {"00_north", "01_south", "learning_curves.png"}
    assert (root / "run" / "plots" / "01_south" / "forecasts.png").exists()


def test_each_of_several_series_is_forecast_in_its_unit(several, capsys):
    """By promotions that are known of the steps to forecast; a file that lacks them is refused."""
    root, _ = several
    names = ("north", "south", "other")
    path = write_long(root / "later.csv", (125, 95, 60), names, coming=(0, 1, 0, 1))
    rows = app.predict(configured(workdir=root / "run"), path)
    assert [row["series"] for row in rows] == ["north"] * 3 + ["south"] * 3 + ["other"] * 3
    assert [rows[i]["time"] for i in (0, 3, 6)] == ["2023-05-06", "2023-07-15", "2023-09-18"]
    levels, raised = np.repeat([10, 100, 1000], 3), [0, 3, 0] * 3
    for row, level, promo in zip(rows, levels, raised, strict=True):
        assert abs(row["y"] - (10 + promo) * level / 10) < 0.3 * level
        assert row["y_low"] <= row["y"] <= row["y_high"]
    other = write_long(
        root / "other.csv", (125,), ("north",), coming=(0, 0, 0)
    )  # without the promotion
    usual = app.predict(configured(workdir=root / "run"), other)
    change = [a["y"] - b["y"] for a, b in zip(rows, usual, strict=False)]
    assert change[1] > 1 and change[0] == change[2] == 0
    assert "Series other is not of the run" in capsys.readouterr().out
    assert (root / "run" / "predictions" / "later_south.csv").exists()
    short = write_long(root / "ends.csv", (125,), ("north",), coming=(0, 1))
    with pytest.raises(ValueError, match="promo must be known for the 3 steps .* has 2 rows after"):
        app.predict(configured(workdir=root / "run"), short)
    with pytest.raises(ValueError, match="is on 2 series, each with its own scale"):
        app.serving(configured(workdir=root / "run"))


def test_refits_are_for_one_series(tmp_path):
    with pytest.raises(ValueError, match="refits retrain on one series"):
        app.build(configured(dataset=write_long(tmp_path / "long.csv"), refits=2))


# Zones --------------------------------------------------------------------------------------------


def test_a_run_keeps_its_zone(tmp_path):
    """Trained across the end of summer time, in UTC; the last rows alone forecast the same."""

    def stamp(hour):
        time = np.datetime64("2021-10-28T00") + np.timedelta64(hour, "h")
        ahead = 2 if time < np.datetime64("2021-10-31T01") else 1
        return f"{str(time + np.timedelta64(ahead, 'h')).replace('T', ' ')}:00:00+0{ahead}:00"

    rows = [f"{stamp(i)},{np.sin(i / 4):.5f}" for i in range(200)]
    whole, recent = tmp_path / "whole.csv", tmp_path / "recent.csv"
    whole.write_text("\n".join(["time,load", *rows]))
    recent.write_text("\n".join(["time,load", *rows[-60:]]))
    config = configured(workdir=tmp_path / "run", dataset=str(whole), model="linear")
    summary = app.train(config).summary
    assert summary["data"]["zone"] == "UTC" and summary["data"]["first"] == "2021-10-28T00:00:00"
    first, second = (app.predict(config, str(path)) for path in (whole, recent))
    assert first == second and first[0]["time"] == "2021-11-05 08:00:00"
    naive = tmp_path / "naive.csv"
    naive.write_text("\n".join(["time,load", *(row[:19] + row[25:] for row in rows[-60:])]))
    with pytest.raises(ValueError, match="no zone is named where the run's stamps are in UTC"):
        app.predict(config, str(naive))
