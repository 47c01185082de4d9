"""What a run knows of its data and its workdir, when it stops early, and what it keeps."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import optax
import pytest

from dljax.data import feed
from dljax.data.record import DataRecord
from dljax.data.record_kinds import images_record
from dljax.run import process, session
from dljax.run.config import DataConfig, field, override
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.run.workdirs import predictions_folder
from dljax.train import native
from tests import helpers
from tests.helpers import assert_same, devices


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig):
    name: ClassVar[str] = "toy"

    steps = override(20)
    learning_rate = override(0.1)
    eval_every = override(2)
    batch_size: int = field(4, "none", formerly="size")


def record(rows: int = 10, value: float = 1.0) -> DataRecord:
    digest = f"{hash(value):x}"
    return DataRecord({"rows": rows, "columns": {"a": [0.0, 1.0]}}, {"values": digest}).deriving(
        scaler=[value, 2.0], classes=["cat", "dog"]
    )


def experiment(config: Config, **changes) -> Experiment:
    made = Experiment(
        name="toy",
        dataset="none",
        task=lambda config: helpers.toy(optax.sgd(config.learning_rate)),
        feed=feed.empty(),
        placement=devices(1),
        data=record(),
        validation=helpers.episodes(4, 4),
        choose_by="min:loss",
        test=helpers.episodes(5, 5),
        metadata={"classes": ["cat", "dog"]},
        analyze=lambda run, metrics, baselines: Analysis({}, metadata={"radius": 3}),
    )
    return made._replace(**changes)


def train(workdir: Path, changes: dict | None = None, **flags) -> Outcome:
    config = Config(**({"workdir": workdir, "quiet": True, "plots": False} | flags))
    return session.train(config, experiment(config, **(changes or {})))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("toy")
    train(workdir, dataset="a.csv")
    return workdir


def content(workdir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workdir.glob("*.json*")}


@pytest.mark.parametrize(
    "data, text",
    [
        (record(rows=12), "rows: 10 then, 12 now"),
        (record(value=2.0), "scaler: 1.0, 2.0 then, 2.0, 2.0 now"),
        (record().deriving(classes=["cat", "fox"]), "classes: cat, dog then, cat, fox now"),
        (record()._replace(digests={"values": "0"}), "other content: values"),
    ],
)
def test_other_data_is_refused_and_nothing_changes(trained, data, text):
    before = content(trained)
    with pytest.raises(ValueError, match="or of other data") as caught:
        train(trained, {"data": data}, dataset="a.csv")
    assert text in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"dataset: 'a.csv' then, 'b.csv' now"):
        train(trained, {"data": data}, dataset="b.csv")
    assert content(trained) == before


def test_the_same_data_elsewhere_is_the_same_run(trained):
    outcome = train(trained, dataset="copy/of/a.csv")
    assert outcome.summary["steps"] == 20
    # a scaler that another processor rounded otherwise
    train(trained, {"data": record().deriving(scaler=[1.0 + 1e-7, 2.0])}, dataset="a.csv")


def test_metadata_keeps_what_was_derived_and_found(trained):
    metadata = json.loads((trained / "metadata.json").read_text())
    assert metadata["experiment"] == "toy" and metadata["radius"] == 3
    assert metadata["data"]["derived"]["classes"] == ["cat", "dog"]
    assert metadata["data"]["summary"]["rows"] == 10


def test_a_workdir_of_another_experiment_is_named(trained):
    with pytest.raises(ValueError, match="holds a run of toy, not of other: name another"):
        train(trained, {"name": "other"}, dataset="a.csv")

    @dataclass(frozen=True, kw_only=True)
    class Other(Config):
        name: ClassVar[str] = "other"

    with pytest.raises(ValueError, match="holds a run of toy, not of other"):
        session.saved(Other(workdir=trained))
    assert session.experiment_name(trained) == "toy"


def test_what_needs_no_data_is_refused_before_it_is_read(trained, tmp_path, monkeypatch):
    def build(config: Config) -> Experiment:
        raise AssertionError(f"data is read for {config.workdir}")

    def start(workdir: Path, **flags) -> None:
        session.train(Config(workdir=workdir, quiet=True, plots=False, **flags), build)

    before = content(trained)
    with pytest.raises(ValueError, match=r"learning_rate: 0.1 in the run, 0.5 now"):
        start(trained, learning_rate=0.5)
    (tmp_path / "file").touch()
    for workdir in tmp_path / "file", tmp_path / "file" / "deep" / "run":
        with pytest.raises(NotADirectoryError, match="a workdir is a folder, not a file"):
            start(workdir)
    with monkeypatch.context() as closed, pytest.raises(PermissionError, match="cannot be written"):
        closed.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write anywhere
        start(tmp_path / "deep" / "run")
    for workdir, flags in (trained, {"overwrite": True}), (tmp_path / "deep" / "run", {}):
        with pytest.raises(AssertionError, match="data is read"):
            start(workdir, learning_rate=0.5, **flags)
    assert content(trained) == before and not (tmp_path / "deep").exists()


def test_runs_of_older_code_go_on(tmp_path):
    """Under the names of then: facts.json without data, a flag that has another name now."""
    train(tmp_path, dataset="a.csv")
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    del metadata["data"]
    (tmp_path / "facts.json").write_text(json.dumps(metadata))
    (tmp_path / "metadata.json").unlink()
    values = json.loads((tmp_path / "config.json").read_text())
    values["size"] = values.pop("batch_size")
    (tmp_path / "config.json").write_text(json.dumps(values | {"predict": ""}))
    found, facts = session.saved(Config(workdir=tmp_path))
    assert found.batch_size == 4 and facts["radius"] == 3
    with pytest.raises(ValueError, match="dataset: 'a.csv' then, 'b.csv' now"):
        train(tmp_path, dataset="b.csv")
    train(tmp_path, dataset="./a.csv")
    assert json.loads((tmp_path / "metadata.json").read_text())["data"]["summary"]["rows"] == 10


def test_the_summary_says_what_was_read_and_how_it_was_made(trained, capsys):
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["data"]["rows"] == 10 and summary["data"]["left_out"] == []
    assert summary["headline"] == ["loss"]
    assert summary["command"].startswith("python -m experiments.toy --workdir=")
    if Path("/proc/self/stat").exists():
        first = summary["seconds_to_first_step"]
        assert first["imports_and_data"] > 0 and first["compile_and_step"] > 0
        assert sum(first.values()) <= process.age()
    assert summary["commit"] is None or len(summary["commit"].rstrip("+")) == 12
    train(trained, dataset="a.csv", quiet=False)
    assert "rows: 10\n" in capsys.readouterr().err


@pytest.mark.parametrize("steps_per_call", [1, 5])
def test_patience_ends_a_run(tmp_path, steps_per_call):
    """The loss falls, and is to be large: the first evaluation stays the best."""

    def go(workdir, patience=3):
        config = Config(
            workdir=tmp_path / workdir, quiet=True, plots=False, patience=patience,
            choose_by="max:loss", steps_per_call=steps_per_call,
        )  # fmt: skip
        return session.train(config, experiment(config))

    stopped = go("a")
    assert stopped.summary["steps"] == 8 and stopped.summary["best_step"] == 2
    assert int(stopped.run.step) == 8
    again = go("a")  # a second start trains nothing more
    assert again.summary["steps"] == 8
    assert_same(again.run, stopped.run)
    longer = go("a", patience=5)  # and more patience goes on
    assert longer.summary["steps"] == 12
    whole = go("b", patience=5)
    assert_same(longer.run, whole.run)


@pytest.mark.parametrize(
    "changes, flags, scored, line",
    [
        ({}, {}, (20, True, True), "last and best checkpoint, step 20"),
        ({"validation": None}, {}, (20, False, True), "last checkpoint, step 20"),
        ({}, {"choose_by": "max:loss"}, (20, False, True),
         "last checkpoint, step 20 (best by validation: step 2)"),
        ({"use_best": True}, {"choose_by": "max:loss"}, (2, True, False),
         "best checkpoint, step 2"),
    ],
)  # fmt: skip
def test_the_checkpoint_that_is_scored_is_named(tmp_path, capsys, changes, flags, scored, line):
    for _ in range(1 + ("use_best" in changes)):  # a second start trains nothing and says the same
        outcome = train(tmp_path, changes, quiet=False, **flags)
        step, best, last = scored
        assert outcome.summary["checkpoint"] == {"step": step, "best": best, "last": last}
        shown = capsys.readouterr().err.splitlines()
        assert [x.endswith(f"; {line}") for x in shown if x.startswith("test: loss ")] == [True]


def test_what_chooses_is_named_or_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no validation metric 'accuracy', but loss"):
        train(tmp_path / "a", choose_by="max:accuracy")
    for flags in ({"patience": 2}, {"choose_by": "min:loss"}):
        with pytest.raises(ValueError, match="needs a validation part"):
            train(tmp_path / "b", {"validation": None}, **flags)


def test_checkpoints_that_are_kept(tmp_path):
    train(tmp_path, keep=1, keep_every=6, choose_by="max:loss")
    steps = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert steps == [2, 6, 12, 18, 20]  # the best, every sixth, the newest


def test_a_checkpoint_is_scored_on_other_examples(trained, capsys):
    config, _ = session.saved(Config(workdir=trained))
    task = experiment(config).task(config)
    found = session.evaluate(config, task, helpers.episodes(7, 7), data="/somewhere/other.csv")
    written = json.loads((trained / "evaluations" / "other.csv.json").read_text())
    assert written == found and found["step"] == 20 and found["metrics"]["loss"]["mean"] >= 0
    assert capsys.readouterr().out.startswith("/somewhere/other.csv: loss ")
    again = session.evaluate(config, task, helpers.episodes(7, 7), data="/elsewhere/other.csv")
    assert json.loads((trained / "evaluations" / "other.csv.json").read_text()) == found
    more = json.loads((trained / "evaluations" / "elsewhere_other.csv.json").read_text())
    assert more == again
    session.evaluate(config, task, helpers.episodes(7, 7), data=".")  # the folder's own name
    assert (trained / "evaluations" / f"{Path.cwd().name}.json").exists()


def test_wandb_is_refused_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="--wandb needs the package wandb: pip install wandb, or"):
        train(tmp_path / "run", wandb="project")
    assert not (tmp_path / "run").exists()


def test_flags_that_the_numbers_do_not_depend_on_count_for_a_trained_run(trained):
    found, _ = session.saved(Config(workdir=trained, eval_every=7, batch_size=2, plots=False))
    assert (found.eval_every, found.batch_size, found.plots) == (7, 4, False)
    assert session.saved(Config(workdir=trained))[0].eval_every != 7


def test_images_have_a_record():
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3, 1)
    part = {"image": images, "label": np.array([0, 1, 1, 0])}
    found = images_record({"train": part, "validation": None, "test": part}, ("cat", "dog"))
    assert found.summary["images"] == {"train": 4, "test": 4}
    assert found.summary["classes"] == {"cat": 4, "dog": 4}
    assert found.summary["range"] == [0, 35] and found.summary["shape"] == [3, 3, 1]
    renamed = images_record({"train": part, "test": part}, ("dog", "cat"))
    assert renamed.fingerprint() != found.fingerprint()
    changed = {**part, "image": images.copy()}
    changed["image"][2, 1, 1] += 1
    other = images_record({"train": changed, "test": part}, ("cat", "dog"))
    assert other.digests["train images"] != found.digests["train images"]
    assert other.digests["test images"] == found.digests["test images"]


def test_predictions_never_lie_among_what_they_are_of(tmp_path, monkeypatch):
    folder = tmp_path / "run" / "predictions"
    assert predictions_folder(tmp_path / "run", folder) == folder  # there is nothing yet
    (folder / "deeper").mkdir(parents=True)
    (folder / "0.png").touch()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    for path in (folder, folder / "0.png", tmp_path / "link", ".", "0.png"):
        with pytest.raises(ValueError, match="lies where its predictions are written, in .*run"):
            predictions_folder(tmp_path / "run", path)
    for path in (tmp_path, folder / "deeper", folder / "missing.png", "digits"):
        assert predictions_folder(tmp_path / "run", path) == folder


def absent(folder):
    raise native.BuildError("there is no C++ compiler (c++)")


@pytest.mark.parametrize(
    ("then", "now", "form", "line"),
    [
        ("", "native", "native", ""),
        ("", "xla", "xla", ""),
        ("", "none", "xla", "convolutions by XLA, not native: there is no C++ compiler (c++)"),
        ("xla", "native", "xla", "convolutions by XLA, not native: so the run began"),
        ("none", "native", "xla", "convolutions by XLA, not native: so the run began"),
        ("native", "native", "native", ""),
        ("native", "xla", "native", "convolutions native, not by XLA: so the run began"),
        ("native", "none", "native", "the run began with native ones, its numbers go on up to"),
    ],
)
def test_a_run_goes_on_with_the_convolutions_it_began_with(
    tmp_path, monkeypatch, then, now, form, line
):
    """Or says why not, in one line that summary.json keeps. none: there is no compiler."""

    def start(way):
        monkeypatch.setattr(native, "library", absent if way == "none" else str)
        return train(tmp_path, steps=2, convolution="xla" if way == "xla" else "native")

    if then:
        start(then)
    notes = start(now).summary["notes"]
    assert json.loads((tmp_path / "metadata.json").read_text())["convolution"] == form
    assert [line in note for note in notes] == ([True] if line else [])


def test_a_start_without_native_convolutions_does_not_change_what_the_run_began_with(
    tmp_path, monkeypatch
):
    for library, said in ((str, 0), (absent, 1), (str, 0)):
        monkeypatch.setattr(native, "library", library)
        outcome = train(tmp_path, steps=2, convolution="native")
        assert len(outcome.summary["notes"]) == said


def test_a_run_that_recorded_no_convolutions_had_those_of_xla(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "library", str)
    train(tmp_path, steps=2, convolution="native")
    path = tmp_path / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["convolution"]
    path.write_text(json.dumps(metadata))
    notes = train(tmp_path, steps=2, convolution="native").summary["notes"]
    assert notes == ["convolutions by XLA, not native: so the run began"]


def test_the_environment_switches_native_convolutions_off(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "library", str)
    monkeypatch.setenv("DLJAX_NATIVE", "0")
    assert train(tmp_path / "0", steps=2, convolution="native").summary["notes"] == []
    monkeypatch.delenv("DLJAX_NATIVE")
    train(tmp_path / "1", steps=2, convolution="native")
    monkeypatch.setenv("DLJAX_NATIVE", "0")
    (note,) = train(tmp_path / "1", steps=2, convolution="native").summary["notes"]
    assert "they are switched off; the run began with native ones" in note


def test_native_convolutions_are_for_one_device(tmp_path):
    changes = {"placement": devices(2), "test": helpers.episodes(4, 4)}
    notes = train(tmp_path, changes, convolution="native", steps=2).summary["notes"]
    assert "do not divide a batch" in notes[0]
