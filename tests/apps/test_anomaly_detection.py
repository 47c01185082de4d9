"""Anomaly detection as a command: data, results, --predict, --evaluate, mistakes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dljax.apps import anomaly_detection as app
from dljax.apps.configs.anomaly_detection import Config
from dljax.data.sources.anomaly_corpora import load_labelled
from dljax.data.synthetic import KINDS, inject
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
    assert set(summary["baselines"]) == {"windowed Gaussian", "seasonal z", "levels, no network"}
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


MISTAKES = {
    "unknown": ({"dataset": "digits"}, "give 'injected', nab:FOLDER or a CSV"),
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
