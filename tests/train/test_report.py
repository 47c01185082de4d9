import csv
import io
import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import dljax
from dljax.plots import canvas
from dljax.train import report
from dljax.train.report import Report, read_metrics
from dljax.train.trackers import WeightsAndBiases


class Terminal(io.StringIO):
    def isatty(self):
        return True


LOSS = {"train/loss": np.array([1.0, 3.0])}


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def table(workdir):
    with open(workdir / "metrics.csv", newline="") as file:
        return list(csv.reader(file))


def events(directory):
    """All events of a TensorBoard run."""
    tensorboard = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(directory.glob("events*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            yield tensorboard.Event.FromString(data[at + 12 : at + 12 + size])
            at += 16 + size


def scalars(directory):
    """(step, tag, value) of all scalars of a TensorBoard run."""
    return [(e.step, v.tag, v.simple_value) for e in events(directory) for v in e.summary.value]


def test_line_by_hand(tmp_path):
    with Report(tmp_path, 10, stream=io.StringIO()) as log:
        log.line(5, LOSS | {"train/confusion": np.ones((2, 3, 3))}, 1.5)
    described = {"mean": 2.0, "std": pytest.approx(2**0.5), "per_seed": [1.0, 3.0]}
    assert lines(tmp_path) == [{"step": 5, "seconds": 1.5, "train/loss": described}]


def test_what_is_not_finite_becomes_null(tmp_path):
    with Report(tmp_path, 10, stream=io.StringIO()) as log:
        log.line(5, {"a": np.array([np.nan, 2.0]), "b": np.array([np.inf, 1.0])}, 0.0)
    (line,) = lines(tmp_path)
    assert line["a"] == {"mean": 2.0, "std": 0.0, "per_seed": [None, 2.0]}
    assert line["b"] == {"mean": None, "std": None, "per_seed": [None, 1.0]}
    assert scalars(tmp_path / "tensorboard") == [(5, "a", 2.0)]
    assert table(tmp_path)[1:] == [["5", "0.0", "0", "", ""], ["5", "0.0", "1", "2.0", "1.0"]]


def test_lines_show_the_headline_within_100_columns():
    stream, values = io.StringIO(), np.array([0.123456, 0.2])
    names = [f"{part}/{name}" for part in ("train", "validation") for name in ("aux", "b", "loss")]
    with Report(None, 1000, headline=("loss", "b"), stream=stream) as log:
        log.line(5, dict.fromkeys(names, values) | {"validation/b": np.full(2, np.nan)}, 1.5)
    (line,) = stream.getvalue().splitlines()
    assert "train: loss 0.1617 ± 0.054, b 0.1617 ± 0.054 | validation: loss 0.1617" in line
    assert "nan" not in line and "aux" not in line

    stream, long = io.StringIO(), [f"a_metric_with_a_long_name_{i}" for i in range(8)]
    with Report(None, 1000, headline=long, stream=stream) as log:
        log.line(5, {f"train/{name}": values for name in long}, 1.5)
    (line,) = stream.getvalue().splitlines()
    assert long[0] in line and len(line) <= 100


def test_the_commit_of_a_checkout(tmp_path, monkeypatch):
    commit = report.git_commit()
    assert commit is None or len(commit.removesuffix("+")) == 12
    monkeypatch.setattr(report, "__file__", str(tmp_path / "dljax" / "train" / "report.py"))
    assert report.git_commit() is None  # an installed package


def test_read_metrics_returns_what_was_written(tmp_path):
    with Report(tmp_path, 10, quiet=True) as log:
        log.line(1, LOSS, 0.1)
        log.line(2, LOSS | {"test/accuracy": np.array([0.5, np.nan])}, 0.2)
    got = read_metrics(tmp_path)
    np.testing.assert_array_equal(got["train/loss"][0], [1, 2])
    np.testing.assert_array_equal(got["train/loss"][1], [[1, 3], [1, 3]])
    np.testing.assert_array_equal(got["test/accuracy"][0], [2])
    np.testing.assert_array_equal(got["test/accuracy"][1], [[0.5, np.nan]])


def test_read_metrics_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_metrics(tmp_path)


def test_rewind_drops_later_lines_and_a_torn_one(tmp_path):
    with Report(tmp_path, 10, quiet=True) as log:
        for step in (1, 2, 3):
            log.line(step, LOSS, 0.1 * step)
    before = lines(tmp_path)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "seco')
    assert len(read_metrics(tmp_path)["train/loss"][0]) == 3
    with Report(tmp_path, 10, quiet=True) as log:
        log.rewind(2)
        assert lines(tmp_path) == before[:2]
        log.line(3, LOSS, 9.0)
    assert [line["seconds"] for line in lines(tmp_path)] == [0.1, 0.2, 9.0]
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"metrics.jsonl", "metrics.csv", "tensorboard"}
    restarts = [e.step for e in events(tmp_path / "tensorboard") if e.HasField("session_log")]
    assert restarts == [3]


def test_a_table_for_spreadsheets(tmp_path):
    """A row for each report and seed; a resumed run ends with what an uninterrupted one has."""
    members = [{"seed": 7, "rate": 0.1}, {"seed": 7, "rate": 1.0}]
    scored = {"validation/accuracy": np.array([0.5, np.nan])}

    def report_of(workdir, first, *steps):
        with Report(workdir, 10, members=members, quiet=True) as log:
            log.rewind(first)
            for step in steps:
                log.line(step, LOSS | (scored if step != 1 else {}), 0.5)

    report_of(tmp_path / "a", 0, 1, 2)  # what comes later has a column from the beginning
    assert table(tmp_path / "a") == [
        ["step", "seconds", "seed", "rate", "train/loss", "validation/accuracy"],
        ["1", "0.5", "7", "0.1", "1.0", ""],
        ["1", "0.5", "7", "1.0", "3.0", ""],
        ["2", "0.5", "7", "0.1", "1.0", "0.5"],
        ["2", "0.5", "7", "1.0", "3.0", ""],
    ]
    report_of(tmp_path / "a", 2, 3)
    report_of(tmp_path / "b", 0, 1, 2, 3, 4)
    with open(tmp_path / "b" / "metrics.csv", "a") as file:
        file.write("4,0.5,7,0.")  # killed here
    report_of(tmp_path / "b", 3)
    written = [(tmp_path / name / "metrics.csv").read_bytes() for name in "ab"]
    assert written[0] == written[1] and written[0].count(b"\n") == 7


def picture(path):
    canvas.save(canvas.figure(1.0, 0.5), path)
    return path.read_bytes()


def test_tensorboard_shows_the_pictures_of_the_last_start(tmp_path):
    image = picture(tmp_path / "plots" / "old.png")
    for name in ("old", "new"):
        (tmp_path / "plots" / "old.png").rename(tmp_path / "plots" / f"{name}.png")
        with Report(tmp_path, 10, quiet=True) as log:
            log.rewind(10)
            log.pictures(10, tmp_path / "plots")
        shown = [
            (event.step, v.tag, v.image.width, v.image.height, v.image.encoded_image_string)
            for event in events(tmp_path / "tensorboard" / "plots")
            for v in event.summary.value
        ]
        assert shown == [(10, f"plots/{name}", 100, 50, image)]


class Wandb(types.ModuleType):
    """In place of the package: keeps what it is told."""

    def __init__(self):
        super().__init__("wandb")
        self.begun, self.logged, self.finished = [], [], 0

    def init(self, **settings):
        self.begun.append(settings)
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1

    def Image(self, path):
        return f"image {Path(path).name}"


def test_wandb_is_told_the_same(tmp_path, monkeypatch):
    stub = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", stub)
    picture(tmp_path / "plots" / "curves.png")
    for _ in range(2):
        tracker = WeightsAndBiases("digits", tmp_path, {"steps": 10})
        with Report(tmp_path, 10, trackers=[tracker], quiet=True) as log:
            log.rewind(0)
            log.line(5, LOSS | {"a": np.full(2, np.nan)}, 1.0)
            log.pictures(10, tmp_path / "plots")
    line = (5, {"train/loss": 2.0, "train/loss_std": pytest.approx(2**0.5)})
    assert stub.logged == 2 * [line, (10, {"plots/curves": "image curves.png"})]
    first, second = stub.begun
    assert first == second  # the id too: the run is continued
    assert first["project"] == "digits" and first["config"] == {"steps": 10} and first["id"]
    assert (first["resume"], first["dir"], stub.finished) == ("allow", str(tmp_path), 2)

    def fails(**settings):
        raise RuntimeError("not logged in")

    stub.init = fails
    with pytest.raises(ValueError, match="--wandb: RuntimeError: not logged in"):
        WeightsAndBiases("digits", tmp_path, {}).begin(0)


def test_tensorboard_has_the_mean_and_each_of_a_few_seeds(tmp_path):
    with Report(tmp_path, 10, quiet=True) as log:
        log.line(5, LOSS, 1.0)
    assert scalars(tmp_path / "tensorboard") == [(5, "train/loss", 2.0)]
    assert scalars(tmp_path / "tensorboard" / "seed_1") == [(5, "train/loss", 3.0)]
    with Report(tmp_path / "one", 10, quiet=True) as log:
        log.line(5, {"train/loss": np.array([1.0])}, 1.0)
    assert not list((tmp_path / "one" / "tensorboard").glob("seed*"))


def test_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with Report(None, 10, stream=stream) as log:
        log.progress(3, LOSS, 5.0)
        assert stream.getvalue() == ""
        log.say("hello")
        log.line(5, LOSS | {"train/accuracy": np.array([0.5, 0.5])}, 1.0)
    assert stream.getvalue().splitlines() == [
        "hello",
        "step 5/10  1.0 s  train: loss 2 ± 1.4, accuracy 0.5 ± 0",
    ]


def test_bar_on_a_terminal_shows_step_rate_time_left_and_metrics():
    stream = Terminal()
    with Report(None, 100, stream=stream) as log:
        log.progress(40, {"loss": np.array([0.25])}, 10.0)
        log.warn("careful")
    shown = stream.getvalue()
    for part in ("40/100", "10 steps/s", "00:06 left", "loss 0.25", "warning: careful\n"):
        assert part in shown


def test_bar_is_not_redrawn_for_every_step(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    stream = Terminal()
    with Report(None, 1000, stream=stream) as log:
        for step in range(1000):
            now[0] += 0.001
            log.progress(step, LOSS, 1.0)
        assert 8 <= stream.getvalue().count("steps/s") <= 12


def test_quiet_prints_only_warnings(tmp_path):
    stream = Terminal()
    with Report(tmp_path, 10, quiet=True, stream=stream) as log:
        log.progress(1, LOSS, 5.0)
        log.line(5, LOSS, 1.0)
        log.say("hello")
        assert stream.getvalue() == ""
        log.warn("careful")
    assert stream.getvalue() == "warning: careful\n"
    assert len(lines(tmp_path)) == 1


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with Report(tmp_path, 10, quiet=True) as log, pytest.raises(OSError, match="metrics.jsonl"):
        log.line(1, LOSS, 0.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_no_hang(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with Report(tmp_path, 10, quiet=True) as log, pytest.raises(OSError, match="No space left"):
        log.line(1, LOSS, 0.0)


@dataclass
class Config:
    steps: int = 3
    workdir: Path = Path("runs") / "x"
    size: tuple[int, int] = (2, 2)


def test_write_json_takes_arrays_and_replaces_atomically(tmp_path):
    path = tmp_path / "deep" / "x.json"
    report.write_json(path, {"old": 1})
    report.write_json(
        path,
        {"a": np.float32(0.5), "b": jnp.arange(2), "c": [np.nan, True, None], 4: Config()},
    )
    assert json.loads(path.read_text()) == {
        "a": 0.5,
        "b": [0, 1],
        "c": [None, True, None],
        "4": {"steps": 3, "workdir": str(Path("runs") / "x"), "size": [2, 2]},
    }
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]
    with pytest.raises(TypeError, match="no form in JSON"):
        report.write_json(path, {"a": object()})
    assert json.loads(path.read_text())["a"] == 0.5


def test_summary_has_the_promised_fields(tmp_path):
    result = report.summary(
        tmp_path,
        experiment="x",
        config=Config(),
        dataset="digits",
        steps=10,
        seconds={"compile": 1.0, "train": 2.0, "evaluate": 0.5},
        steps_per_second=5.0,
        metrics={"accuracy": np.array([0.5, 1.0]), "confusion": np.ones((2, 3, 3))},
        baselines={"nearest neighbour": np.float64(0.25)},
        dropped_seeds=[1],
    )
    assert json.loads((tmp_path / "summary.json").read_text()) == result
    assert list(result) == [
        *("experiment", "config", "dataset", "device", "versions", "steps", "seconds"),
        *("steps_per_second", "metrics", "baselines", "dropped_seeds"),
    ]
    assert list(result["metrics"]) == ["accuracy"]
    assert result["metrics"]["accuracy"]["mean"] == 0.75
    assert result["versions"]["jax"].count(".") >= 2
    assert result["versions"]["dljax"] == dljax.__version__
    assert result["device"]
