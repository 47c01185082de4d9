"""Anomaly detection as a command: data, results, --predict, --evaluate, mistakes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dljax.apps import anomaly_detection as app
from dljax.apps.configs.anomaly_detection import Config
from dljax.data.sources.anomaly_corpora import load_labelled
from dljax.data.synthetic import CYCLE_KINDS, KINDS, cycles, inject
from dljax.run.command_line import parse
from tests.rnn.corpora import wave, write_nab

QUICK = {
    "steps": 6,
    "batch_size": 2,
    "features": 4,
    "window": 8,
    "steps_per_call": 3,
    "parallel": "none",
    "plots": False,
    "quiet": True,
}


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


def write_csv(path: Path, rows: int = 260, labelled: bool = True) -> str:
    series = wave(rows, 0, windows=[(200, 205)])
    lines = ["when;load;odd" if labelled else "when;load"]
    for i, (time, value) in enumerate(zip(series.time, series.values, strict=True)):
        cells = [str(time).replace("T", " "), f"{value:.4f}".replace(".", ",")]
        lines.append(";".join([*cells, str(int(200 <= i <= 205))][: 3 if labelled else 2]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir with a run over a folder of NAB's layout, of two seeds."""
    root = tmp_path_factory.mktemp("nab")
    corpus = [wave(300, 0, windows=[(200, 209)]), wave(250, 1)]
    dataset = write_nab(root, corpus, others=("realTweets/absent.csv",))
    workdir = tmp_path_factory.mktemp("run")
    config = configured(workdir=workdir, dataset=dataset, num_seeds=2, plots=True)
    return config, app.train(config)


def test_a_run_over_nab(trained):
    config, outcome = trained
    summary = json.loads((Path(config.workdir) / "summary.json").read_text())
    assert "2 series, 550 rows, 1 labelled windows" in summary["dataset"]
    for name in ("nab_standard", "nab_reward_low_FN_rate", "nab_held_out", "nab_alarm", "auc_pr",
                 "vus_pr", "point_f1", "range_f1"):  # fmt: skip
        assert len(summary["metrics"][name]["per_seed"]) == 2
    assert 80 < summary["metrics"]["nab_standard"]["mean"] <= 100  # its window is plain to see
    assert set(summary["baselines"]) == {
        "windowed Gaussian", "seasonal z", "levels, no network", "levels and shapes, no network",
    }  # fmt: skip
    assert set(summary["groups"]["standard"]) == {"waves"}
    assert outcome.run.states.errors.shape == (2, 2, 300)
    pictures = {path.stem for path in (Path(config.workdir) / "plots").iterdir()}
    assert pictures == {"00_waves_0", "01_waves_1", "learning_curves"}
    assert summary["data"]["rows"] == 550 and summary["data"]["labelled windows"] == 1
    with open(Path(config.workdir) / "predictions" / "detections.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == summary["detections"] and any(row["in_window"] == "1" for row in rows)
    assert rows[0]["series"] == "waves/0.csv" and float(rows[0]["surprise"]) > 0


def test_predict_runs_the_detector_over_a_new_file(trained, tmp_path, capsys):
    config, _ = trained
    path = write_csv(tmp_path / "new.csv", labelled=False)
    rows = app.predict(configured(workdir=config.workdir, predict=path, alarm=6.0), path)
    assert 200 in [row["row"] for row in rows] and "in_window" not in rows[0]
    written = Path(config.workdir) / "predictions" / "new.csv"
    with open(written) as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert f"{len(rows)} detections in {written}" in capsys.readouterr().out


def test_evaluate_scores_the_settings_on_labelled_data(trained, tmp_path, capsys):
    """On the data of the run itself its metrics are found again."""
    config, outcome = trained
    found = app.evaluate(configured(workdir=config.workdir), config.dataset)
    assert found["metrics"] == outcome.summary["metrics"]
    name = config.dataset.rpartition("/")[2]
    written = Path(config.workdir) / "evaluations" / f"{name}.json"
    assert json.loads(written.read_text())["metrics"] == found["metrics"]
    assert f"{config.dataset}: nab_standard" in capsys.readouterr().out
    path = write_csv(tmp_path / "new.csv", labelled=False)
    with pytest.raises(ValueError, match="no labelled anomalies: name their column with --labels"):
        app.evaluate(configured(workdir=config.workdir), path)


def test_a_csv_without_labels_gets_detections_alone(tmp_path):
    path = write_csv(tmp_path / "load.csv", labelled=False)
    config = configured(workdir=tmp_path / "run", dataset=path, detector="autoencoder")
    summary = app.train(config).summary
    assert set(summary["metrics"]) == {"loss"} and not summary["baselines"]
    assert "no labels" in summary["dataset"] and "threshold" not in summary
    assert summary["detections"] >= 1


def test_a_csv_with_labels(tmp_path):
    path = write_csv(tmp_path / "load.csv")
    corpus, notes, _ = load_labelled(path, labels="odd", targets=("load",))
    assert [s.windows for s in corpus] == [((200, 205),)]
    np.testing.assert_allclose(corpus[0].values, wave(260, 0, windows=[(200, 205)]).values, 1e-4)
    assert any("semicolons" in note for note in notes)
    experiment = app.build(configured(dataset=path, labels="odd", cell="lstm"))
    assert "1 labelled windows" in experiment.dataset


def table(tmp_path, columns, name="odd.csv"):
    """A file of 260 hours with these columns beside the time and the value."""
    series = wave(260, 0)
    cells = {"time": series.time.astype(str), "value": series.values.round(4), **columns}
    rows = zip(*(list(map(str, column)) for column in cells.values()), strict=True)
    path = tmp_path / name
    path.write_text("\n".join([",".join(cells), *map(",".join, rows)]))
    return str(path)


def test_labels_as_scikit_learn_writes_them(tmp_path):
    marks = [-1 if 200 <= i <= 205 else 1 for i in range(260)]
    path = table(tmp_path, {"label": marks})
    corpus, notes, _ = load_labelled(path, labels="label")
    assert [s.windows for s in corpus] == [((200, 205),)]
    assert any("-1 is anomalous" in note for note in notes)
    (tmp_path / "all.csv").write_text(Path(path).read_text().replace(",-1", ",0"))
    with pytest.raises(ValueError, match="calls 98% of the rows anomalous"):
        load_labelled(str(tmp_path / "all.csv"), labels="label")


def test_labels_flags_and_second_times_are_not_judged(tmp_path):
    seconds = wave(260, 0).time.astype(np.int64)
    more = {"is_anomaly": [0, 1] * 130, "holiday": [0, 0, 1, 0] * 65, "unix": seconds}
    corpus, notes, zone = load_labelled(table(tmp_path, more))
    assert [series.name for series in corpus] == ["value"] and zone == ""
    text = " ".join(notes)
    assert "--labels=is_anomaly" in text and "holiday" in text and "unix" in text


def test_several_series_in_rows_are_a_corpus(tmp_path):
    one = Path(table(tmp_path, {"fault": [0] * 250 + [1] * 10})).read_text().splitlines()
    lines = ["sensor_id," + one[0], *(f"{name},{row}" for name in "pq" for row in one[1:])]
    (tmp_path / "two.csv").write_text("\n".join(lines))
    corpus, notes, _ = load_labelled(str(tmp_path / "two.csv"), labels="fault")
    assert [series.name for series in corpus] == ["p/value", "q/value"]
    assert [series.windows for series in corpus] == [((250, 259),)] * 2
    assert any("names 2 series: p (260 rows)" in note for note in notes)
    record = app.build(configured(dataset=str(tmp_path / "two.csv"), labels="fault")).data
    shown = "\n".join(record.lines())
    assert "first: 2024-01-01T00:00:00" in shown and "3600 s" in shown and "none named" in shown


def test_newest_first_files_are_reversed_and_sentinels_told(tmp_path):
    path = Path(table(tmp_path, {}))
    head, *rows = path.read_text().splitlines()
    for i in (40, 90, 140):
        rows[i] = rows[i].rpartition(",")[0] + ",-999"
    path.write_text("\n".join([head, *rows[::-1]]))
    corpus, notes, _ = load_labelled(str(path))
    assert corpus[0].values[40] == -999 and (np.diff(corpus[0].time).astype(int) > 0).all()
    assert any("--missing=-999" in note for note in notes)
    read = app.read(configured(dataset=str(path), missing=("-999",)), str(path))
    assert len(read.series[0].values) == 257 and any("3 rows without" in x for x in read.notes)


MISTAKES = {
    "unknown": ({"dataset": "digits"}, "give 'cycles', 'injected', nab:FOLDER or a CSV"),
    "no folder": ({"dataset": "nab:{0}/none"}, "not a folder of NAB"),
    "no file": ({"dataset": "{0}/none.csv"}, "There is no file"),
    "column": ({"dataset": "{0}/load.csv", "target": ("laod",)}, "did you mean load"),
    "labels": ({"dataset": "{0}/load.csv", "labels": "lables"}, "no column 'lables'"),
    "short": ({"dataset": "{0}/short.csv"}, "has 50 values: .* needs 200 or more"),
    "unsorted": ({"dataset": "{0}/back.csv"}, "line 4: the time goes back"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake, tmp_path):
    write_csv(tmp_path / "load.csv")
    write_csv(tmp_path / "short.csv", rows=50)
    lines = (tmp_path / "load.csv").read_text().splitlines()
    lines[2], lines[3] = lines[3], lines[2]
    (tmp_path / "back.csv").write_text("\n".join(lines))
    changes, message = MISTAKES[mistake]
    changes = changes | {"dataset": changes["dataset"].format(tmp_path)}
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        app.build(configured(**changes))
    assert "\n" not in str(caught.value)


def test_flags():
    config = parse(Config, ["x", "--detector=autoencoder", "--target=a,b"])
    assert config.detector == "autoencoder" and config.target == ("a", "b")


def test_the_embedded_corpus_is_real_series_with_injected_anomalies():
    corpus, again, other = (load_labelled("injected", seed=seed).series for seed in (3, 3, 4))
    assert len(corpus) == 8 and all(len(s.windows) == 5 for s in corpus)
    for one, same, different in zip(corpus, again, other, strict=True):
        np.testing.assert_array_equal(one.values, same.values)
        assert one.windows == same.windows != different.windows


def test_cycles_and_their_anomalies():
    """Of lengths that no calendar names; an anomaly is hardly larger than what was there before."""
    corpus, again = (load_labelled("cycles", seed=3).series for _ in range(2))
    assert len(corpus) == 6 and all(len(s.windows) == len(CYCLE_KINDS) for s in corpus)
    for i, (one, same) in enumerate(zip(corpus, again, strict=True)):
        np.testing.assert_array_equal(one.values, same.values)
        clean = cycles(len(one.values), 3 + i)
        spectrum = np.abs(np.fft.rfft(clean - clean.mean()))
        period = len(clean) / spectrum.argmax()
        assert 12 / 3.5 < period < 34  # of the cycle or of a harmonic
        for first, last in one.windows:
            usual, part = clean[:first], one.values[first : last + 1]
            assert usual.min() - 0.5 < part.min() and part.max() < usual.max() + 0.5
            assert np.abs(part - clean[first : last + 1]).max() > usual.std()


def test_injection():
    clean = wave(1000, 0)
    found = inject(clean, seed=0)
    changed = np.flatnonzero(found.values != clean.values)
    inside = np.concatenate([np.arange(a, b + 1) for a, b in found.windows])
    assert np.isin(changed, inside).all() and changed.min() > 200
    assert all(np.isin(range(a, b + 1), changed).any() for a, b in found.windows)
    assert len({b - a for a, b in found.windows}) == 1 and len(found.windows) == len(KINDS)
    with pytest.raises(ValueError, match="too short for 5 anomalies"):
        inject(wave(40, 0), seed=0)
