"""Driving in the simulator as a command: training, a drive as a film, export, mistakes."""

import csv
import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import autonomous_driving as app
from dljax.apps import export as exports
from dljax.apps.configs.autonomous_driving import Config
from dljax.apps.configs.export import Config as ExportConfig
from dljax.cnn.driving import baselines, closed_loop
from dljax.envs.driving.environment import Settings
from dljax.run.command_line import run_main
from dljax.train import export
from experiments import autonomous_driving as script

QUICK = {
    "steps": 4, "num_seeds": 2, "batch_size": 4, "steps_per_call": 2, "parallel": "none",
    "cars": 2, "memory": 8, "tracks": 2, "laps": 2, "quiet": True, "eval_every": 4,
    "env_params": ("height=32", "width=64", "limit=12"),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("driving")
    config = Config(**QUICK, workdir=str(workdir))
    return config, workdir, app.train(config)


def test_a_run_is_scored_disturbed_and_drawn(trained, capsys):
    _, workdir, outcome = trained
    summary = outcome.summary
    assert set(summary["metrics"]) >= {"completed", "autonomy", "lateral_mean", "jerk"}
    assert set(summary["baselines"]) == {"teacher, pure_pursuit", "lane finder", "straight on"}
    found = summary["disturbances"]
    assert set(found) == set(closed_loop.CONDITIONS)
    assert all(len(x["lateral_mean"]) == 2 for x in found.values())
    for name in ("tracks", "errors_in_bends"):
        with Image.open(workdir / "plots" / f"{name}.png") as picture:
            assert picture.size[0] > 400


def test_play_films_a_drive(trained, capsys):
    config, workdir, _ = trained
    scores = app.play(dataclasses.replace(config, play=1))
    assert 0 < scores["completed"] <= 1
    path = workdir / "predictions" / "drive_1.gif"
    with Image.open(path) as film:
        assert film.n_frames == 3  # every fourth of twelve steps
        assert film.size == (2 * 64 + 84, 84 + 32)  # the wheel, and two lines below it
    assert str(path) in capsys.readouterr().out


def test_predict_and_the_exported_file_steer_alike(trained, tmp_path, capsys):
    config, workdir, _ = trained
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 32, 64, 3), np.uint8)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    rows = app.predict(config, str(tmp_path))
    with (workdir / "predictions" / "predictions.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["0.png", "1.png", "2.png"]
    exports.run(ExportConfig(workdir=config.workdir))
    model = export.load(workdir / "model.zip")
    degrees = model.call({"image": pictures})["degrees"]
    np.testing.assert_allclose([row["degrees"] for row in rows], degrees, atol=1e-4)
    most = np.rad2deg(Settings().vehicle.max_steer)
    assert (np.abs(degrees) <= most + 1e-4).all()


def test_a_driver_that_remembers_and_says_how_fast(tmp_path):
    """A folder of pictures is a drive; the exported file is asked picture by picture."""
    config = Config(**QUICK | {
        "model": "gru", "bins": 5, "sequence": 2, "disturbances": False, "plots": False,
        "env_params": (*QUICK["env_params"], "pedal=true", "dark=0.2"), "baselines": False,
    }, workdir=str(tmp_path / "run"))  # fmt: skip
    metrics = app.train(config).summary["metrics"]
    assert 0 < metrics["speed_mean"]["mean"] <= 8
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), np.uint8)
    frames = tmp_path / "frames"
    frames.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(frames / f"{i}.png")
    rows = app.predict(config, str(frames))
    exports.run(ExportConfig(workdir=config.workdir))
    model, memory = export.load(tmp_path / "run" / "model.zip"), np.zeros((1, 2, 64), np.float32)
    for row, picture in zip(rows, pictures, strict=True):
        found = model.call({"image": picture[None], "memory": memory})
        memory = found["memory"]
        for name in ("degrees", "metres_per_second"):
            np.testing.assert_allclose(row[name], found[name][0], atol=1e-3)
    assert np.abs(memory).max() > 0
    assert app.play(dataclasses.replace(config, play=0))["completed"] >= 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--dataset=nowhere"],
            "nowhere: --dataset takes simulation, or recordings: a driving_log",
        ),
        (["--crop_top=0.2"], "--crop_top has no effect on simulation"),
        (["--env_params=camera=false"], "a network needs the camera"),
        (["--env_params=cars=2"], "teachers know an empty road"),
        (["--env_params=dark=1.0"], "dark is 0.9 at the most"),
        (["--bins=2"], "--bins takes 3 bins of angles or more"),
        (["--model=gru", "--batch_size=40"], "--batch_size=40 is no multiple of --sequence=16"),
        (["--env_params=sped=3"], "driving has no parameter 'sped'"),
        (["--memory=9"], "--memory=9 is no multiple of --rollout=2"),
        (["--model=dave2", "--env_params=height=32"], "too small for a network of 5"),
    ],
)
def test_mistakes_end_in_a_line(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run_main(script.main, Config, script.__doc__, [f"--workdir={tmp_path}", *flags])
    assert end.value.code
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1 and said in lines[0]


def test_lane_finder_steers_to_where_the_road_is():
    picture = np.full((32, 64, 3), (0.3, 0.5, 0.2), np.float32)
    picture[16:, 10:40] = 0.4  # the road, left of the middle
    _, steer = jax.jit(baselines.lane_finder)(0.0, None, picture)
    _, other = jax.jit(baselines.lane_finder)(0.0, None, picture[:, ::-1])
    assert steer[0] > 0.1 and other[0] < -0.1
