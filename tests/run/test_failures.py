"""What a user does to a run: kills it, interrupts it, starts it twice, changes its flags.

Each run is a process of its own, as it is in life; the tiny network takes longer to start than to
train, so there are as few of them as can be.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dljax.apps import image_classification as script
from dljax.apps.configs.image_classification import Config
from dljax.run import command_line, session
from dljax.run.config import from_json
from dljax.run.experiment import Outcome
from dljax.train import checkpoint, loop
from tests import helpers
from tests.helpers import assert_same

ROOT = Path(__file__).parents[2]
STEPS = 3000
FLAGS = {
    "model": "lenet",
    "widths": (2, 2),
    "num_seeds": 2,
    "steps": STEPS,
    "batch_size": 8,
    "steps_per_call": 10,
    "eval_every": 200,
    "checkpoint_every": 200,
    "rotation": 0.0,
    "zoom": 0.0,
    "shear": 0.0,
    "plots": False,
    "baselines": False,
    "parallel": "none",
}


def configured(workdir: Path, **changes) -> Config:
    return Config(**(FLAGS | {"workdir": workdir} | changes))


def start(workdir: Path, **changes) -> subprocess.Popen:
    words = shlex.split(command_line.command(configured(workdir, **changes), "-m x"))[3:]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.image_classification", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def newest(workdir: Path) -> int:
    found = (workdir / "checkpoints").glob("*")
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)


def wait_for(process: subprocess.Popen, workdir: Path, step: int) -> None:
    while newest(workdir) < step:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def lines(workdir: Path) -> list[dict]:
    text = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text]


def restored(workdir: Path, config: Config) -> loop.Run:
    experiment = script.build(config)
    with checkpoint.Store(workdir, read_only=True) as store:
        like = loop.abstract_run(
            experiment.task(config), session.seeds(config), experiment.placement
        )
        return store.restore(like)[0]


def test_kills_and_signals_do_not_change_the_result(tmp_path):
    """SIGKILL, SIGTERM and SIGINT, each in the middle, and the same bits in the end."""
    whole, broken = tmp_path / "whole", tmp_path / "broken run"
    process = start(broken)
    wait_for(process, broken, 300)
    process.kill()
    process.communicate()
    killed_at = newest(broken)
    assert 300 <= killed_at < STEPS

    for signum, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start(broken)
        wait_for(process, broken, newest(broken) + 300)
        process.send_signal(signum)
        _, told = process.communicate(timeout=120)
        assert process.returncode == code, told
        assert f"continuing at step {killed_at} of {STEPS}" in told
        last = told.strip().splitlines()[-1]
        said = re.fullmatch(
            rf"{signal.Signals(signum).name}: saved at step (\d+); go on with: (.*)", last
        )
        assert said, told
        killed_at = int(said[1])
        assert killed_at == newest(broken) < STEPS
        config = command_line.parse(Config, shlex.split(said[2])[2:])
        assert config == configured(broken)

    results = []
    for workdir in (broken, whole):  # the whole one in this process: it need not be a new one
        results.append(session.train(configured(workdir), script.build(configured(workdir))))
    assert_same(results[0].run, results[1].run)
    assert_same(restored(broken, configured(broken)), restored(whole, configured(whole)))
    assert lines(broken) == lines(whole)
    assert [line["step"] for line in lines(whole)] == list(range(200, STEPS + 1, 200))
    scores = [json.loads((w / "summary.json").read_text())["metrics"] for w in (broken, whole)]
    assert scores[0] == scores[1]


def train(workdir: Path, change=lambda experiment: experiment, **changes) -> Outcome:
    config = configured(
        workdir, **{"steps": 20, "eval_every": 10, "checkpoint_every": 10} | changes
    )
    return session.train(config, change(script.build(config)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    train(workdir)
    return workdir


def test_summary(trained):
    summary = json.loads((trained / "summary.json").read_text())
    assert {"experiment", "config", "dataset", "device", "versions", "steps", "seconds",
            "steps_per_second", "metrics", "baselines"} <= set(summary)  # fmt: skip
    assert summary["experiment"] == "image_classification" and summary["steps"] == 20
    assert {"compile", "train", "evaluate", "checkpoint"} <= set(summary["seconds"])
    assert summary["seconds"]["compile"] > 0
    accuracy = summary["metrics"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(np.mean(accuracy["per_seed"]))
    assert len(accuracy["per_seed"]) == 2
    assert summary["dropped_seeds"] == [] and summary["best_step"] in (10, 20)
    assert from_json(Config, summary["config"]).steps == 20
    assert list(trained.glob("tensorboard/**/events*"))


def test_another_configuration_in_the_workdir(trained):
    before = sorted(trained.rglob("*"))
    with pytest.raises(ValueError) as error:
        train(trained, learning_rate=0.5, label_smoothing=0.0)
    for text in ("learning_rate: 0.003 in the run, 0.5 now", "label_smoothing: 0.1 in the",
                 "--overwrite"):  # fmt: skip
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(trained.rglob("*")) == before


def test_overwrite_removes_only_what_the_run_left(tmp_path):
    train(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = lines(tmp_path)
    train(tmp_path, learning_rate=0.5, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert [line["step"] for line in lines(tmp_path)] == [10, 20] and lines(tmp_path) != before
    assert json.loads((tmp_path / "config.json").read_text())["learning_rate"] == 0.5
    train(tmp_path, learning_rate=0.5)  # and goes on without the flag


def test_a_damaged_config(trained, tmp_path):
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    (tmp_path / "metadata.json").write_text("{}")
    for text in '{"steps": 2', "[]":
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"damaged config.json .*: --overwrite starts anew"):
            train(tmp_path)


def test_a_workdir_in_use(trained):
    # flock belongs to the open file: a second one meets it in this process too
    message = rf"pid {os.getpid()}\): wait for it"
    with checkpoint.lock(trained), pytest.raises(checkpoint.CheckpointError, match=message):
        train(trained)


def test_a_seed_is_dropped(tmp_path, capsys):
    def sick(experiment):
        return experiment._replace(
            task=lambda config: helpers.sicken(experiment.task(config), seed=1, at=13)
        )

    train(tmp_path, sick, num_seeds=3, on_nan="drop", plots=True)
    assert "not counted, dropped as not finite: seeds [1]" in capsys.readouterr().err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["dropped_seeds"] == [1]
    accuracy = summary["metrics"]["accuracy"]
    assert accuracy["per_seed"][1] is None and accuracy["mean"] > 0
    assert {path.name for path in (tmp_path / "plots").iterdir()} >= {"learning_curves.png"}
    config, _ = session.saved(configured(tmp_path))
    run, step = session.restore(config, script.build(config).task(config), helpers.devices(1))
    assert step in (10, 20)
    kernels = run.states.params["classifier"]["kernel"]
    assert np.isfinite(kernels).all() and len(kernels) == (2 if step == 20 else 3)
