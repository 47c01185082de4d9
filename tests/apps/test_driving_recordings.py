"""Driving from recordings as an application: training, scores, --predict, export, mistakes."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from dljax.apps import autonomous_driving as app
from dljax.apps.configs.autonomous_driving import Config, resolved
from dljax.apps.driving import recording_analysis, recordings
from dljax.run import serving as served
from dljax.train import export
from tests.data import driving_files

QUICK = {
    "steps": 2, "num_seeds": 1, "batch_size": 16, "steps_per_call": 2, "parallel": "none",
    "plots": False, "quiet": True, "crop_top": 0.0, "crop_bottom": 0.0, "frame_height": 20,
    "frame_width": 48, "gap": 3, "shift": 0.0, "brightness": 0.0, "shadow": 1.0, "dropout": 0.0,
    "eval_every": 1000, "smooth": 0,
}  # fmt: skip


def configured(**changes):
    return Config(**(QUICK | changes))


def train(**changes):
    return app.train(configured(**changes))


@pytest.fixture(scope="module")
def lap(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drives") / "lap"
    driving_files.udacity(folder, 150, root="C:\\Users\\me\\IMG\\")
    return folder


@pytest.fixture(scope="module")
def trained(lap, tmp_path_factory):
    """A workdir with two seeds that have learnt the teacher's steering."""
    workdir = tmp_path_factory.mktemp("trained")
    train(
        dataset=lap, workdir=workdir, steps=80, num_seeds=2, steps_per_call=20, plots=True,
        learning_rate=3e-3, ema=0.9, crop_top=0.2, camera_correction=0.0, brightness=0.1,
        shadow=0.7,
    )  # fmt: skip
    return workdir


def test_what_a_run_finds(trained):
    summary = json.loads((trained / "summary.json").read_text())
    metrics, simple = summary["metrics"], summary["baselines"]
    assert min(metrics["skill"]["per_seed"]) > 0.5 and metrics["correlation"]["mean"] > 0.8
    assert metrics["mae_degrees"]["mean"] < 0.7 * simple["always straight"]["mae_degrees"]
    assert simple["always straight"]["skill"] == 0
    straight = simple["always straight"]["rmse_degrees"]
    expected = 1 - (metrics["rmse_degrees"]["per_seed"][0] / straight) ** 2
    assert metrics["skill"]["per_seed"][0] == pytest.approx(expected, abs=1e-4)
    found = summary["open_loop"]
    assert found["seeds_averaged"]["skill"]["low"] > 0 and found["window_stamps"] == 11
    assert found["against"]["always straight"] == found["seeds_averaged"]["skill"]
    assert summary["data"]["stamps"] == {"train": 99, "validation": 15, "test": 30}
    notes = " ".join(summary["notes"])
    assert "better than always straight" in notes and "the last 20% of each drive" in notes
    pictures = {path.stem for path in (trained / "plots").iterdir()}
    assert pictures >= {"angles_over_time", "balance", "error_by_angle", "worst_frames"}


def test_predict_a_folder(trained, lap, capsys):
    rows = recordings.predict(configured(workdir=trained, plots=True), str(lap / "IMG"))
    assert len(rows) == 450 and rows[0]["file"].startswith("center_")
    with open(trained / "predictions" / "predictions.csv", newline="") as file:
        assert [x["file"] for x in csv.DictReader(file)] == [x["file"] for x in rows]
    steer = driving_files.drive()[1]
    degrees = np.array([x["degrees"] for x in rows[:150]])
    assert np.corrcoef(degrees[120:], steer[120:])[0, 1] > 0.8
    assert rows[7]["steering"] == pytest.approx(rows[7]["degrees"] / 25, abs=1e-4)
    assert (trained / "predictions" / "frames.png").exists()
    assert "450 pictures, positive is right" in capsys.readouterr().out
    (one,) = recordings.predict(configured(workdir=trained), str(lap / "IMG" / rows[7]["file"]))
    assert one["degrees"] == pytest.approx(rows[7]["degrees"], abs=1e-3)


def test_export_with_its_preprocessing(trained, tmp_path, lap, capsys):
    """The file reads whole pictures, and steers as --predict does."""
    model = recordings.serving(configured(workdir=trained))
    served.export(tmp_path / "model.zip", model, ("cpu",))
    assert "outputs equal those of --predict" in capsys.readouterr().out
    files = sorted((lap / "IMG").glob("center_*"))[:5]
    pictures = np.stack([np.asarray(Image.open(x)) for x in files])
    found = export.load(tmp_path / "model.zip")(image=pictures)["degrees"]
    rows = recordings.predict(configured(workdir=trained), str(lap / "IMG"))[:5]
    np.testing.assert_allclose(found, [x["degrees"] for x in rows], atol=1e-3)


def test_bins_balance_and_a_given_test_part(tmp_path):
    driving_files.udacity(tmp_path / "set" / "train", 40)
    driving_files.udacity(tmp_path / "set" / "test", 12, seed=1, sides=False, comma=", ")
    outcome = train(
        dataset=tmp_path / "set", workdir=tmp_path / "run", bins=7, balance=0.5, smooth=3,
        shift=0.1, positive="left",
    )  # fmt: skip
    summary = outcome.summary
    assert summary["data"]["stamps"] == {"train": 33, "validation": 4, "test": 12}
    assert "99 training pictures" in summary["dataset"]
    assert np.isfinite(summary["metrics"]["mae_degrees"]["mean"])
    assert len(json.loads((tmp_path / "run" / "metadata.json").read_text())["centres"]) == 7
    (row,) = recordings.predict(
        configured(workdir=tmp_path / "run"),
        str(next((tmp_path / "set" / "test" / "IMG").iterdir())),
    )
    assert abs(row["degrees"]) < 60


def test_evaluate_on_another_recording(trained, tmp_path, capsys):
    """All of it, or its test part where it has one."""
    driving_files.udacity(tmp_path / "set" / "train", 5, seed=6)
    driving_files.udacity(tmp_path / "set" / "test", 60, seed=5)
    whole, part = (
        app.evaluate(configured(workdir=trained), str(tmp_path / x))["metrics"]
        for x in ("set/test", "set")
    )
    assert whole == part
    assert whole["skill"]["mean"] > 0.3 and len(whole["skill"]["per_seed"]) == 2
    said = capsys.readouterr().out
    assert "better than always straight" in said and "evaluations" in said


def test_another_recording_is_another_run(lap, trained, tmp_path):
    driving_files.udacity(tmp_path / "lap", 150, seed=3)
    with pytest.raises(ValueError, match="of another configuration or of other data"):
        train(dataset=tmp_path / "lap", workdir=trained)


def test_mistakes(lap, trained, tmp_path):
    for changes, message in (
        ({"dataset": tmp_path / "no"}, "There is no file or folder .*no: --dataset takes"),
        ({"dataset": lap, "bins": 2}, "--bins takes 3 bins of angles or more"),
        ({"dataset": lap, "crop_top": 0.9, "crop_bottom": 0.9}, "nothing is left of pictures"),
        ({"dataset": lap, "frame_height": 12}, "12x48 are too small for a network of 3"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            train(workdir=tmp_path / "run", **changes)
    driving_files.plain(tmp_path / "set", ["0.png,-12.5", "1.png,3"], "image,angle")
    with pytest.raises(ValueError, match=r"log.csv, line 2: a steering of -12.5 is beyond 1: give"):
        train(dataset=tmp_path / "set", workdir=tmp_path / "run")
    config = resolved(configured(dataset=tmp_path / "set", max_steer_degrees=1.0, validation=0.0))
    with pytest.raises(ValueError, match="no stamps are left for test"):
        recordings.build(config)
    with pytest.raises(FileNotFoundError, match="There is no picture or folder"):
        recordings.predict(configured(workdir=trained), str(tmp_path / "none"))


def test_the_worst_frames_lie_apart():
    error = np.array([1.0, 9, 8, 2, 0, 0, 7, 3])
    assert recording_analysis.apart(error, 3, 4) == [1, 6]
    assert recording_analysis.apart(error, 2, 1) == [1, 2]
