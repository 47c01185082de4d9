"""The ledger of results, the page made from it, and running an entry again."""

import dataclasses
import datetime
import json
import math
import sys
import types

import pytest

from benchmarks import ledger, reproduce
from dljax.run import config as run_config

RESULT = ledger.Result(
    name="probe",
    command="python -m probe --steps=3",
    metric="metrics.accuracy",
    mean=0.98765,
    spread=0.0123,
    seeds=4,
    machine="2 cores",
    seconds=61.2,
    date=datetime.date(2024, 2, 29),
    unit="%",
    baseline="neighbours 96 %",
    note='a "note" with \\ and é',
)


def summary(mean: float | None = 0.98, per_seed=(0.97, 0.99)) -> dict:
    return {
        "experiment": "probe",
        "device": "cpu",
        "config": run_config.to_json(run_config.Config(steps=3, workdir="x", quiet=True)),
        "seconds": {"compile": 1.0, "train": 2.0, "evaluate": 0.5},
        "steps_per_second": 12.5,
        "baselines": {"neighbours": {"accuracy": 0.9601, "loss": 0.2}, "chance": {"loss": 2.3}},
        "metrics": {"accuracy": {"mean": mean, "std": 0.01, "per_seed": list(per_seed)}},
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A ledger, a page and a finished run of their own, in place of the project's."""
    page, results = tmp_path / "results.md", tmp_path / "results.toml"
    page.write_text(f"Above\n{ledger.BEGIN}\nold\n{ledger.END}\nBelow\n")
    results.write_text("# Head.\n")
    run = tmp_path / "run"
    run.mkdir()
    (run / "summary.json").write_text(json.dumps(summary()))
    gallery = tmp_path / "gallery.md"
    gallery.write_text("Nothing yet.\n")
    monkeypatch.setattr(ledger, "PAGE", page)
    monkeypatch.setattr(ledger, "GALLERY", gallery)
    monkeypatch.setattr(ledger, "RESULTS", results)
    module = types.SimpleNamespace(Config=run_config.Config)
    monkeypatch.setitem(sys.modules, "dljax.apps.configs.probe", module)
    return types.SimpleNamespace(page=page, results=results, run=run)


def test_the_page_prints_the_ledger():
    assert ledger.main(["--check"]) == 0


def test_save_and_load_are_inverse(tmp_path):
    path = tmp_path / "results.toml"
    path.write_text("# Head.\n# Second line.\n\n[[result]]\nname = 'to be replaced'\n")
    other = dataclasses.replace(RESULT, name="other", mean=-1e-7, better="lower", note="")
    ledger.save([RESULT, other], path)
    assert ledger.load(path) == [RESULT, other]
    assert path.read_text().startswith("# Head.\n# Second line.\n\n[[result]]\nname = ")
    assert "to be replaced" not in path.read_text()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "two words"}, "a name is"),
        ({"command": "rm -rf /"}, "python -m"),
        ({"command": "python -m probe --workdir=x"}, "workdir"),
        ({"mean": math.nan}, "finite"),
        ({"spread": -0.1}, "spread"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": "4"}, "seeds = '4' has a wrong type"),
        ({"better": "bigger"}, "better"),
    ],
)
def test_an_invalid_entry_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RESULT, **change)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[[result]\n", "results.toml"),
        ("[[result]]\nname = 'x'\n", "missing"),
        ("[[results]]\nname = 'x'\n", "unknown table results"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused(tmp_path, text, message):
    path = tmp_path / "results.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        ledger.load(path)
    assert "\n" not in str(caught.value)


def test_two_entries_of_one_name_are_refused(tmp_path):
    path = tmp_path / "results.toml"
    ledger.save([RESULT, RESULT], path)
    with pytest.raises(ValueError, match="two results are called 'probe'"):
        ledger.load(path)


@pytest.mark.parametrize(
    "change, text",
    [
        ({}, "98.8 ± 1.2 % (4 seeds)"),
        ({"spread": 0.00123}, "98.77 ± 0.12 % (4 seeds)"),
        ({"unit": "", "mean": 475.2, "spread": 31.0}, "475 ± 31 (4 seeds)"),
        ({"unit": "ms", "mean": 0.5, "spread": 0.0, "seeds": 1}, "0.5 ms (1 seed)"),
        ({"command": "python -m benchmarks.steps"}, "98.8 ± 1.2 % (4 repetitions)"),
    ],
)
def test_a_number_is_shown_as_precisely_as_it_is_known(change, text):
    assert ledger.shown(dataclasses.replace(RESULT, **change)) == text


def test_the_table():
    lower = dataclasses.replace(RESULT, name="other", better="lower", baseline="")
    text = ledger.table([dataclasses.replace(RESULT, machine="a|b"), lower])
    assert text.splitlines() == [
        "| result | measured | baselines | seconds | machine |",  # nothing is published
        "| --- | --- | --- | --- | --- |",
        "| probe | accuracy ↑ 98.8 ± 1.2 % (4 seeds) | neighbours 96 % | 61 | a\\|b |",
        "| other | accuracy ↓ 98.8 ± 1.2 % (4 seeds) |  | 61 | 2 cores |",
        "",
        f"- probe: `python -m probe --steps=3` (2024-02-29; {RESULT.note})",
        f"- other: `python -m probe --steps=3` (2024-02-29; {RESULT.note})",
    ]


def test_a_topic_is_that_of_the_script_unless_it_is_named():
    def heading(command: str, topic: str = "") -> str:
        return dataclasses.replace(RESULT, command=command, topic=topic).heading()

    assert heading("python -m experiments.video_gan --steps=3") == "Generative adversarial networks"
    assert heading("python -m experiments.object_detection") == "Object detection"
    assert heading("python -m benchmarks.loop --repeats=2") == "Speed"
    assert heading("python -m benchmarks.loop", topic="Compilation") == "Compilation"


def test_the_page_has_a_table_a_topic_and_speed_at_the_end():
    named = {
        "benchmarks.loop": "a", "experiments.ppo": "b", "experiments.new_one": "c",
        "experiments.forecasting": "d", "experiments.sac": "e",
    }  # fmt: skip
    results = [
        dataclasses.replace(RESULT, name=name, command=f"python -m {module}")
        for module, name in named.items()
    ]
    text = ledger.page(results)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["## Forecasting", "## Reinforcement learning", "## New one", "## Speed"]
    a, b, c, d, e = results
    tables = [ledger.table(group) for group in ([d], [b, e], [c], [a])]
    parts = zip(headings, tables, strict=True)
    assert text == "\n\n".join(f"{heading}\n\n{table}" for heading, table in parts)
    assert ledger.page([]) == "No results yet."


def test_each_script_belongs_to_one_topic():
    scripts = [script for group in ledger.TOPICS.values() for script in group]
    assert len(scripts) == len(set(scripts))
    assert all((ledger.ROOT / "experiments" / f"{script}.py").exists() for script in scripts)


def test_only_what_lies_between_the_markers_is_replaced():
    text = f"Above\n{ledger.BEGIN}\nold\n{ledger.END}\nBelow\n"
    once = ledger.updated(text, [RESULT])
    assert once == f"Above\n{ledger.BEGIN}\n{ledger.page([RESULT])}\n{ledger.END}\nBelow\n"
    assert ledger.updated(once, [RESULT]) == once
    with pytest.raises(ValueError, match="once each"):
        ledger.updated("no markers", [RESULT])


def test_the_gallery_has_number_time_and_command_of_each_picture():
    begin = "<!-- result:{} -->\n"
    places = f"# A\n{begin.format('probe')}{{}}<!-- /result -->\n# B\n"
    places += f"{begin.format('other')}{{}}<!-- /result -->"
    shown = "`{}`: accuracy {} ± 1.2 % (4 seeds), {} s on 2 cores\n\n"
    shown += "```\npython -m probe --steps=3\n```\n"
    other = dataclasses.replace(RESULT, name="other", better="lower", seconds=3.0)
    filled = places.format(shown.format("probe", "↑ 98.8", 61), shown.format("other", "↓ 98.8", 3))
    for before in (places.format("", ""), places.format("", "`other`: old\n"), filled):
        assert ledger.with_numbers(before, [other, RESULT]) == filled
    with pytest.raises(ValueError, match="the gallery shows 'other', which the ledger lacks"):
        ledger.with_numbers(filled, [RESULT])


def test_metrics_of_a_summary():
    assert ledger.read_metric(summary(), "metrics.accuracy") == (0.98, 0.01, 2)
    assert ledger.read_metric(summary(), "steps_per_second") == (12.5, 0.0, 1)
    # a seed that was dropped is null or NaN
    assert ledger.read_metric(summary(per_seed=(0.9, None, math.nan)), "metrics.accuracy")[2] == 1
    with pytest.raises(ValueError, match=r"'auc' there is accuracy"):
        ledger.read_metric(summary(), "metrics.auc")
    with pytest.raises(ValueError, match="finite for no seed"):
        ledger.read_metric(summary(mean=None), "metrics.accuracy")
    with pytest.raises(ValueError, match="no number"):
        ledger.read_metric(summary(), "device")


def test_a_run_is_entered_and_the_page_follows(files, capsys):
    assert ledger.main(["add", "probe", str(files.run), "--unit=%", "--note=first"]) == 0
    (entry,) = ledger.load(files.results)
    assert entry.command == "python -m experiments.probe --steps=3"
    assert (entry.mean, entry.spread, entry.seeds) == (0.98, 0.01, 2)
    assert (entry.machine, entry.seconds, entry.unit) == ("cpu", 3.5, "%")
    assert entry.baseline == "neighbours 96.01 %"
    assert entry.date == datetime.date.fromtimestamp(files.run.stat().st_mtime)
    assert files.results.read_text().startswith("# Head.\n")

    assert ledger.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert ledger.main([]) == 0
    assert ledger.main(["--check"]) == 0
    assert "accuracy ↑ 98.0 ± 1.0 % (2 seeds)" in files.page.read_text()
    assert files.page.read_text().endswith(f"{ledger.END}\nBelow\n")


def test_a_second_run_of_the_same_name_takes_the_place_of_the_first(files):
    ledger.main(["add", "probe", str(files.run), "--note=first"])
    ledger.main(["add", "other", str(files.run), "--metric=steps_per_second"])
    (files.run / "summary.json").write_text(json.dumps(summary(mean=0.5)))
    ledger.main(["add", "probe", str(files.run), "--machine=a big one"])
    first, second = ledger.load(files.results)
    assert (first.name, first.mean, first.note, first.machine) == (
        "probe",
        0.5,
        "first",
        "a big one",
    )
    assert (second.name, second.mean, second.seeds) == ("other", 12.5, 1)


def test_a_run_that_is_not_finished_is_not_entered(files, tmp_path, capsys):
    assert ledger.main(["add", "probe", str(tmp_path / "none")]) == 1
    assert "is the run finished?" in capsys.readouterr().err
    assert ledger.load(files.results) == []


@pytest.mark.parametrize(
    "better, mean, good",
    [
        # tolerance with 4 and 4 seeds: 2 * 0.0123 * sqrt(1/2) = 0.0174
        ("higher", 0.98765 - 0.0173, True),
        ("higher", 0.98765 - 0.0175, False),
        ("higher", 2.0, True),
        ("lower", 0.98765 + 0.0173, True),
        ("lower", 0.98765 + 0.0175, False),
        ("lower", 0.0, True),
        ("higher", math.nan, False),
    ],
)
def test_when_a_number_holds(better, mean, good):
    assert reproduce.holds(dataclasses.replace(RESULT, better=better), mean, 4) is good


def test_without_a_spread_a_thousandth_is_allowed():
    single = dataclasses.replace(RESULT, mean=1.0, spread=0.0, seeds=1)
    assert reproduce.holds(single, 0.9991, 1)
    assert not reproduce.holds(single, 0.9989, 1)


@pytest.mark.parametrize("mean, code, word", [(0.98, 0, "\nholds"), (0.1, 1, "DOES NOT HOLD")])
def test_a_command_is_run_again(files, monkeypatch, capfd, mean, code, word):
    root = files.results.parent
    (root / "again.py").write_text(
        "import json, pathlib, sys\n"
        "steps, workdir = sys.argv[1:]\n"
        "assert steps == '--steps=3'\n"
        f"value = {summary(mean)!r}\n"
        "path = pathlib.Path(workdir.removeprefix('--workdir='))\n"
        "(path / 'summary.json').write_text(json.dumps(value))\n"
    )
    monkeypatch.setattr(ledger, "ROOT", root)
    monkeypatch.setattr(reproduce.tempfile, "tempdir", str(root))
    ledger.save([dataclasses.replace(RESULT, command="python -m again --steps=3")])
    assert reproduce.main(["probe"]) == code
    assert word in capfd.readouterr().out
    assert len(list(root.glob("probe-*"))) == code  # kept only where it does not hold


def test_a_command_that_fails_and_a_name_that_is_none(files, monkeypatch, capfd):
    monkeypatch.setattr(ledger, "ROOT", files.results.parent)
    ledger.save([dataclasses.replace(RESULT, command="python -m no_such_module")])
    assert reproduce.main(["probe"]) == 1
    assert "error: " in capfd.readouterr().err
    assert reproduce.main(["prob"]) == 2
    assert "names: probe" in capfd.readouterr().err
