"""Classification of medical images as a command: training, --predict, --evaluate, export."""

import csv
import json
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import backbones
from dljax.apps import export as exports
from dljax.apps import medical_imaging as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.medical_imaging import Config
from dljax.apps.medical import classification_training as training
from dljax.data.image_scaling import Normalize
from dljax.nn.resnet import ResNet
from dljax.run.command_line import run_main
from tests.helpers import assert_same

QUICK = {
    "steps": 2, "num_seeds": 1, "batch_size": 8, "steps_per_call": 2, "parallel": "none",
    "widths": (4, 8), "plots": False, "quiet": True, "baselines": False, "shift": 0,
    "rotation": 0.0, "zoom": 0.0, "jitter": 0.0, "flip": (), "dropout": 0.0,
}  # fmt: skip


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


def spots(count, seed, volumes=False):
    """Images 12 x 12 (or volumes 8 x 8 x 8): of class 1 a bright spot in the noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    shape = (8, 8, 8) if volumes else (12, 12)
    images = rng.integers(0, 80, (count, *shape))
    for image, label in zip(images, labels, strict=True):
        corner = rng.integers(0, shape[0] - 3, len(shape))
        if label:
            image[tuple(slice(x, x + 3) for x in corner)] += 120
    return images.astype(np.uint8), labels


def write(path, labels=None, volumes=False):
    arrays = {}
    for i, (part, count) in enumerate({"train": 48, "val": 16, "test": 16}.items()):
        images, y = spots(count, i, volumes)
        arrays |= {f"{part}_images": images, f"{part}_labels": labels(y) if labels else y[:, None]}
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return write(tmp_path_factory.mktemp("npz") / "spots.npz")


@pytest.fixture(scope="module")
def trained(npz, tmp_path_factory):
    """A workdir with two seeds that have learned to see spots."""
    workdir = tmp_path_factory.mktemp("trained")
    app.train(
        configured(
            dataset=npz, workdir=workdir, steps=60, num_seeds=2, batch_size=16, learning_rate=1e-2,
            steps_per_call=20, class_names=("none", "spot"), sensitivity=0.9, plots=True,
            baselines=True, flip=("x",),
        )
    )  # fmt: skip
    return workdir


def test_what_a_run_finds(trained):
    summary = json.loads((trained / "summary.json").read_text())
    metrics = summary["metrics"]
    assert metrics["auc"]["mean"] > 0.95 and metrics["accuracy"]["mean"] > 0.85
    assert {"sensitivity", "specificity", "calibration_error"} <= set(metrics)
    point = summary["ensemble"]["operating_points"]["spot"]
    assert point["true_positives"] + point["false_negatives"] == 8
    low, high = point["sensitivity_interval"]
    assert 0 <= low <= point["sensitivity"] <= high <= 1
    assert set(summary["baselines"]) == {"commonest class", "logistic regression"}
    assert summary["baselines"]["commonest class"]["auc"] == 0.5
    pictures = {path.stem for path in (trained / "plots").iterdir()}
    assert {"learning_curves", "roc", "reliability", "gradcam"} <= pictures
    metadata = json.loads((trained / "metadata.json").read_text())
    assert metadata["kind"] == "classification" and len(metadata["temperatures"]) == 2


def test_predict_a_file(trained, npz):
    """The table holds what the run was scored by: its decisions give its sensitivity."""
    rows = app.predict(configured(workdir=trained), npz)
    with open(trained / "predictions" / "predictions.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [row["file"] for row in rows]
    labels = np.arange(16) % 2
    called = np.array([row["called_spot"] for row in rows])
    summary = json.loads((trained / "summary.json").read_text())
    point = summary["ensemble"]["operating_points"]["spot"]
    assert np.mean(called[labels == 1]) == point["sensitivity"]
    p = np.array([(row["probability_none"], row["probability_spot"]) for row in rows])
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    accuracy = np.mean([row["label"] == ("none", "spot")[y] for row, y in
                        zip(rows, labels, strict=True)])  # fmt: skip
    assert accuracy == summary["ensemble"]["accuracy"]


def test_predict_images(trained, tmp_path, capsys):
    images, _ = spots(2, 9)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    rows = app.predict(configured(workdir=trained), str(tmp_path))
    assert [row["label"] for row in rows] == ["none", "spot"]
    assert "skipped: " in capsys.readouterr().out


def test_evaluate(trained, npz, tmp_path, capsys):
    """On the same file the scores are those of the run, but for thresholds of each seed's own."""
    found = app.evaluate(configured(workdir=trained), npz)
    summary = json.loads((trained / "summary.json").read_text())
    for name in ("auc", "accuracy", "calibration_error"):
        assert found["metrics"][name]["mean"] == pytest.approx(summary["metrics"][name]["mean"])
    assert "spot, called from probability" in capsys.readouterr().out
    images, labels = spots(20, 7)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "more" / ("none", "spot")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    found = app.evaluate(configured(workdir=trained), str(tmp_path / "more"))
    assert found["metrics"]["auc"]["mean"] > 0.9
    (tmp_path / "more" / "none").rename(tmp_path / "more" / "other")
    with pytest.raises(ValueError, match="has the class 'other', which is none of the model's"):
        app.evaluate(configured(workdir=trained), str(tmp_path / "more"))
    wrong = write(tmp_path / "volumes.npz", volumes=True)
    with pytest.raises(ValueError, match="the model reads"):
        app.evaluate(configured(workdir=trained), wrong)


def test_export(trained, tmp_path, capsys):
    exports.run(ExportConfig(workdir=str(trained), output=str(tmp_path / "model.zip")))
    assert "outputs equal those of --predict" in capsys.readouterr().out


KINDS = {
    "several_labels": {"labels": lambda y: np.stack([y, 1 - y, np.arange(len(y)) % 3 > 0], 1)},
    "grades": {"labels": lambda y: np.arange(len(y))[:, None] % 3},
    "volumes": {"volumes": True},
}
FLAGS = {
    "several_labels": {"mixup": 0.2, "sensitivity": 0.8},
    "grades": {"ordinal": 1.0, "balance": 0.5, "model": "allconv", "standardize": True},
    "volumes": {
        "flip": ("x", "z"), "rotation": 10.0, "zoom": 0.1, "shift": 1, "jitter": 0.1,
        "plots": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds(kind, tmp_path):
    path = write(tmp_path / "set.npz", **KINDS[kind])
    config = configured(dataset=path, workdir=tmp_path / "run", **FLAGS[kind])
    outcome = app.train(config)
    summary = outcome.summary
    assert np.isfinite(summary["metrics"]["auc"]["mean"])
    points = summary["ensemble"]["operating_points"]
    assert len(points) == {"several_labels": 3, "grades": 3, "volumes": 1}[kind]
    assert ("kappa" in summary["metrics"]) == (kind == "grades")
    rows = app.predict(configured(workdir=tmp_path / "run"), path)
    p = np.array([[x for name, x in row.items() if "probability" in name] for row in rows])
    if kind == "several_labels":
        assert np.abs(p.sum(1) - 1).max() > 1e-3
        first = rows[0]
        assert first["label"] == "; ".join(x for x in "012" if first[f"called_{x}"])
    else:
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)


def test_patients_of_a_folder(tmp_path):
    """Twelve patients with an image of each class: intervals are over patients, none is shared."""
    images, labels = spots(48, 1)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "set" / ("none", "spot")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"p{i // 4}-{i}.png")
    outcome = app.train(
        configured(
            dataset=tmp_path / "set", workdir=tmp_path / "run", patient_pattern=r"(p\d+)-",
            validation=0.25,
        )
    )  # fmt: skip
    assert outcome.summary["ensemble"]["intervals_over"] == "2 patients"
    assert any("none is in two parts" in note for note in outcome.summary["notes"])


def test_without_validation(npz, tmp_path):
    outcome = app.train(configured(dataset=npz, workdir=tmp_path, validation=0.0))
    point = outcome.summary["ensemble"]["operating_points"]["1"]
    assert point["threshold"] == 0.5 and outcome.summary["temperatures"] == [1.0]


def run(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_main(app.run, Config, app.__doc__, ["script", *words])
    return end.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--dataset=missing.npz"], "There is no file missing.npz"),
        (["--dataset={npz}", "--positive=tumour"], "--positive=tumour is none of the classes 0, 1"),
        (["--dataset={npz}", "--ordinal=1"], "--ordinal is for three grades or more"),
        (["--dataset={npz}", "--flip=z"], "--flip=z is for volumes"),
        (["--dataset={npz}", "--backbone_rate=0.2"], "is for --model=efficientnet_lite0"),
        (["--dataset={npz}", "--patients=a.csv"], "names no files, so --patients"),
        (["--dataset={npz}", "--batch_size=100000"], "batch_size=100000"),
    ],
)
def test_mistakes_end_in_one_line(capsys, npz, tmp_path, words, message):
    words = [word.format(npz=npz) for word in words]
    code, printed = run(capsys, "--quiet", f"--workdir={tmp_path}", *words)
    assert code == 1 and message in printed and len(printed.splitlines()) == 1, printed


def test_a_pretrained_backbone_stays_as_it_was(npz, tmp_path, monkeypatch):
    encoder = partial(
        ResNet, classes=0, stage_sizes=(1,), widths=(4,), pyramid=True, small_images=False
    )
    weights = encoder().init(jax.random.key(7), np.zeros((1, 12, 12, 3), np.float32))
    found = backbones.Backbone(encoder, (2,), weights, Normalize((0.4,) * 3, (0.2,) * 3))
    monkeypatch.setattr(training.backbones, "load", lambda name, weights=True: found)
    quick = {"workdir": str(tmp_path), "dataset": npz, "model": "efficientnet_lite0", "widths": ()}
    outcome = app.train(configured(**quick, num_seeds=2))
    assert_same(
        jax.tree.map(lambda x: x[1], outcome.run.states.params["encoder"]), weights["params"]
    )
    rows = app.predict(configured(workdir=str(tmp_path)), npz)
    assert len(rows) == 16 and all(0 <= row["probability_1"] <= 1 for row in rows)
    with pytest.raises(ValueError, match="--widths has no effect with --model=efficientnet_lite0"):
        app.train(configured(**quick | {"widths": (4,), "workdir": str(tmp_path / "other")}))


def test_a_network_of_images_reads_no_volumes():
    with pytest.raises(ValueError, match="for volumes take --model=pooled"):
        training.network(configured(model="resnet20"), 2, (8, 8, 8, 1))
    with pytest.raises(ValueError, match="for volumes take --model=pooled"):
        training.network(configured(model="efficientnet_lite0"), 2, (8, 8, 8, 1))
    assert training.network(configured(), 2, (56, 56, 1)).stride == 2
    assert training.network(configured(), 2, (28, 28, 28, 1)).stride == 2
