"""Image classification as a command: every model, every kind of data, --predict, mistakes."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import image_classification as app
from dljax.apps import image_goals
from dljax.apps.configs.image_classification import MODELS, Config
from dljax.cnn.classification import targets
from dljax.data import feed
from dljax.data.class_balance import class_weights
from dljax.run.command_line import run_main
from dljax.train import export
from tests.helpers import stripes

ROOT = Path(__file__).parents[2]
QUICK = {
    "steps": 2,
    "num_seeds": 1,
    "batch_size": 8,
    "steps_per_call": 2,
    "parallel": "none",
    "baselines": False,
    "plots": False,
    "quiet": True,
}


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """A set of 48 + 12 + 12 striped images in MedMNIST's layout."""
    path = tmp_path_factory.mktemp("npz") / "stripes.npz"
    arrays = {}
    for part, count in {"train": 48, "val": 12, "test": 12}.items():
        data = stripes(count, seed=count)
        arrays |= {
            f"{part}_images": data["image"][..., 0],
            f"{part}_labels": data["label"][:, None],
        }
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same kind of images as files: a folder per class in train/ and test/."""
    root = tmp_path_factory.mktemp("folder")
    for part, count in {"train": 48, "test": 12}.items():
        data = stripes(count, seed=count)
        for i, (image, label) in enumerate(zip(data["image"], data["label"], strict=True)):
            target = root / part / ("upright", "level", "sloping")[label]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(target / f"{i}.png")
    return root


TRAINED = {
    "lenet": {"widths": (2, 3)},
    "allconv": {"widths": (4, 4), "flip": True, "cutout": 2, "jitter": 0.1, "ema": 0.9},
    "fastnet": {"widths": (8, 8, 8), "optimizer": "muon", "image_size": 16, "dtype": "bfloat16"},
    "resnet20": {"widths": (2, 2, 2), "cutmix": 1.0, "optimizer": "lion", "accumulate": 2},
}


@pytest.mark.parametrize("model", TRAINED)
def test_two_steps(model, npz, tmp_path):
    config = configured(model=model, workdir=tmp_path, dataset=npz, **TRAINED[model])
    outcome = app.train(config)
    assert int(outcome.run.step) == 2
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(outcome.run.states.params))
    assert outcome.sums["accuracy"][1] == 12
    assert np.isfinite(outcome.summary["metrics"]["loss"]["mean"])


@pytest.mark.parametrize("model", sorted(set(MODELS) - set(TRAINED)))
def test_every_other_model_takes_a_step(model):
    """Shapes alone, without compiling."""
    shape, classes = (8, 8, 1), 10
    config = configured(model=model)
    network = app.network(config, classes, shape)
    task = app.make_task(config, network, lambda x: x, targets.one_class(classes), shape)
    key = jax.random.key(0)
    batch = {
        "image": jax.ShapeDtypeStruct((4, *shape), np.uint8),
        "label": jax.ShapeDtypeStruct((4,), np.int32),
    }
    state = jax.eval_shape(task.init, key)
    after, _ = jax.eval_shape(task.step, state, batch, key)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )


def test_mixup_and_cutmix_exclude_each_other():
    with pytest.raises(ValueError, match="mixup and cutmix exclude each other"):
        configured(mixup=0.2, cutmix=1.0)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A workdir with a net trained on the folder, streamed, well enough to tell stripes apart."""
    workdir = tmp_path_factory.mktemp("trained")
    config = configured(
        workdir=workdir, dataset=str(folder), streaming=True, image_size=8, steps=60, plots=True,
        model="lenet", widths=(4, 8), num_seeds=2, steps_per_call=20, crop=0,
        rotation=0.0, zoom=0.0, shear=0.0, label_smoothing=0.0, learning_rate=1e-2,
    )  # fmt: skip
    app.train(config)
    return workdir


def test_a_run_leaves_pictures_and_a_summary(trained):
    pictures = {path.stem for path in (trained / "plots").iterdir()}
    assert pictures >= {"learning_curves", "confusion", "reliability", "filters", "feature_maps"}
    summary = json.loads((trained / "summary.json").read_text())
    assert "streamed" in summary["dataset"] and summary["baselines"] == {}
    assert summary["metrics"]["accuracy"]["mean"] > 0.9


def test_it_answers_with_the_temperatures_of_validation(trained, tmp_path):
    summary = json.loads((trained / "summary.json").read_text())
    metadata = json.loads((trained / "metadata.json").read_text())
    fitted = metadata["temperatures"]
    assert summary["metrics"]["temperature"]["per_seed"] == fitted and len(fitted) == 2
    assert any(note.startswith("calibration error of the test part") for note in summary["notes"])

    workdir = shutil.copytree(trained, tmp_path / "run")
    (workdir / "metadata.json").write_text(json.dumps(metadata | {"temperatures": [8.0, 4.0]}))
    plain, scaled = (app.serving(configured(workdir=workdir, calibrate=x)) for x in (False, True))
    np.testing.assert_array_equal(plain.weights[1], [1, 1])
    np.testing.assert_array_equal(scaled.weights[1], [8, 4])
    images = {"image": stripes(9)["image"]}
    p, q = (export.answers(x, images)["probability"] for x in (plain, scaled))
    np.testing.assert_array_equal(p.argmax(-1), q.argmax(-1))
    assert (q.max(-1) < p.max(-1)).all()


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_numbers_of_each_class_are_csv_files(trained):
    summary = json.loads((trained / "summary.json").read_text())["metrics"]
    rows = {row.pop("class"): row for row in read_csv(trained / "per_class.csv")}
    assert list(rows)[:3] == ["level", "sloping", "upright"]
    assert float(rows["macro average"]["f1"]) == pytest.approx(
        summary["macro_f1"]["mean"], abs=1e-6
    )
    assert rows["macro average"]["support"] == "12"
    table = read_csv(trained / "confusion.csv")
    hits = sum(int(row[row["true \\ predicted, 2 seeds added up"]]) for row in table)
    assert hits / 24 == pytest.approx(summary["accuracy"]["mean"])


def test_a_folder_in_memory_and_streamed(folder):
    """The same classes and test images; grey files become colour where they are not read before."""
    config = configured(dataset=str(folder), image_size=8)
    memory, streamed = (
        app.build(dataclasses.replace(config, streaming=streaming)) for streaming in (False, True)
    )
    assert (
        memory.metadata["classes"]
        == streamed.metadata["classes"]
        == ("level", "sloping", "upright")
    )
    assert (memory.metadata["image_shape"], streamed.metadata["image_shape"]) == (
        (8, 8, 1),
        (8, 8, 3),
    )

    def images(examples):
        batches = feed.batches(examples)
        parts = [batch["image"][batch["example_mask"] == 1] for batch in batches]
        return np.concatenate(parts)[..., 0]

    np.testing.assert_array_equal(images(memory.test), images(streamed.test))


def predict(workdir, path, capsys):
    rows = app.predict(configured(workdir=workdir, plots=True), str(path))
    with open(Path(workdir) / "predictions" / "predictions.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["file"] for row in written] == [row["file"] for row in rows]
    return rows, capsys.readouterr().out


def test_predict_an_image(trained, tmp_path, capsys):
    upright = np.tile(np.uint8([20, 180]), (24, 12))  # 24 x 24: resized to what the net knows
    Image.fromarray(upright[:8, :8]).save(tmp_path / "one.png")
    rows, printed = predict(trained, tmp_path / "one.png", capsys)
    assert rows[0]["label"] == "upright" and rows[0]["probability"] > 0.5
    assert "one.png: upright (0." in printed or "one.png: upright (1." in printed
    assert "1 of 1 pictures: 8x8 grey became 8x8 colour" in printed
    assert f"training images: {trained}/plots/training_images.png" in printed
    assert list((trained / "predictions").glob("*one.png"))


def test_predict_a_folder_with_a_broken_file(trained, folder, tmp_path, capsys):
    for name, file in {"a": "upright", "b": "level"}.items():
        (tmp_path / name).mkdir()
        source = next((folder / "test" / file).iterdir())
        (tmp_path / name / "same.png").write_bytes(source.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows, printed = predict(trained, tmp_path, capsys)
    assert [row["label"] for row in rows] == ["upright", "level"]
    assert "skipped: " in printed and "broken.png" in printed
    assert len(list((trained / "predictions").glob("*same.png"))) == 2


def test_predict_what_is_not_there(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no image or folder"):
        app.predict(configured(workdir=trained), str(tmp_path / "missing.png"))
    with pytest.raises(ValueError, match="has no readable image"):
        app.predict(configured(workdir=trained), str(tmp_path))


def test_the_model_is_scored_on_other_images(trained, tmp_path, capsys):
    """Of a folder with two of the classes, in another order; a class of its own is refused."""
    data, names = stripes(40, seed=9), ("upright", "level", "sloping")
    for i, (image, label) in enumerate(zip(data["image"], data["label"], strict=True)):
        if label < 2:
            target = tmp_path / "more" / names[label]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(target / f"{i}.png")
    found = app.evaluate(configured(workdir=trained), str(tmp_path / "more"))
    assert found["metrics"]["accuracy"]["mean"] > 0.8
    assert json.loads((trained / "evaluations" / "more.json").read_text()) == found
    assert "more: accuracy " in capsys.readouterr().out
    rows = read_csv(trained / "evaluations" / "more_per_class.csv")
    assert [row["class"] for row in rows[:3]] == ["level", "sloping", "upright"]
    assert (rows[1]["support"], rows[1]["recall"]) == ("0", "")
    level, _, upright, both, _ = (int(row["support"]) for row in rows)
    assert min(level, upright) > 0 and level + upright == both
    assert (trained / "evaluations" / "more_confusion.csv").exists()
    (tmp_path / "more" / "level").rename(tmp_path / "more" / "dotted")
    with pytest.raises(ValueError, match="has the class 'dotted', which is none of the model's"):
        app.evaluate(configured(workdir=trained), str(tmp_path / "more"))


def test_a_run_knows_its_classes_and_images(trained, folder, tmp_path):
    """The same command on a folder whose class was renamed, or that has an image more."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = configured(workdir=tmp_path / "run", dataset=str(copy), image_size=8, model="lenet",
                        widths=(2, 3))  # fmt: skip
    app.train(config)
    before = (tmp_path / "run" / "metadata.json").read_bytes()
    app.train(dataclasses.replace(config, dataset=f"{copy}/../copy/"))  # the same, spelt otherwise
    for part in ("train", "test"):
        (copy / part / "level").rename(copy / part / "across")
    with pytest.raises(ValueError, match=r"classes: .*level .* then, absent now"):
        app.train(config)
    for part in ("train", "test"):
        (copy / part / "across").rename(copy / part / "level")
    picture = next((copy / "test" / "level").iterdir())
    shutil.copy(picture, picture.with_name("one_more.png"))
    with pytest.raises(ValueError, match="test 12 then, 13 now"):
        app.train(config)
    assert (tmp_path / "run" / "metadata.json").read_bytes() == before


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """tags.csv and width.csv beside 40 images of stripes: several labels, and a number, of each."""
    root, data = tmp_path_factory.mktemp("tables"), stripes(40, seed=5)
    tags, width = ["file,tags"], ["file,width,split"]
    for i, (image, label) in enumerate(zip(data["image"], data["label"], strict=True)):
        Image.fromarray(image[..., 0]).save(root / f"{i}.png")
        tags.append(f"{i}.png,{('up', 'up|down', 'down')[label]}")
        width.append(f"{i}.png,{label * 2.5},{('train', 'train', 'test', 'val')[i % 4]}")
    (root / "tags.csv").write_text("\n".join(tags))
    (root / "width.csv").write_text("\n".join(width))
    return root


SMALL = {"model": "lenet", "widths": (2, 3), "crop": 0, "rotation": 0.0, "zoom": 0.0, "shear": 0.0}


def test_several_labels(tables, tmp_path, capsys):
    dataset, workdir = str(tables / "tags.csv"), tmp_path / "run"
    config = configured(workdir=workdir, dataset=dataset, plots=True, balance=0.5, **SMALL)
    summary = app.train(config).summary
    assert {"auc", "map", "macro_f1", "exact_match"} <= set(summary["metrics"])
    assert {x.stem for x in (workdir / "plots").iterdir()} >= {"precision_recall", "most_wrong"}
    assert [row["class"] for row in read_csv(workdir / "per_class.csv")[:2]] == ["down", "up"]
    rows, _ = predict(workdir, tables / "0.png", capsys)
    p = [rows[0][f"probability_{name}"] for name in ("down", "up")]
    called = [name for name, x in zip(("down", "up"), p, strict=True) if x > 0.5]
    assert rows[0]["label"] == "|".join(called)
    app.evaluate(configured(workdir=workdir), dataset)
    assert "40 of 40 images are scored" in capsys.readouterr().out  # the file names no parts
    rows = read_csv(workdir / "evaluations" / "tags.csv_per_class.csv")
    assert int(rows[0]["support"]) == (stripes(40, seed=5)["label"] > 0).sum()
    for word in ("balanced_sampling", "classes"):
        value = ("up", "down") if word == "classes" else 1.0
        with pytest.raises(ValueError, match=f"--{word} is for one class an image"):
            app.build(configured(dataset=dataset, **{word: value}))


def test_a_number(tables, tmp_path, capsys):
    dataset, workdir = str(tables / "width.csv"), tmp_path / "run"
    given = {"dataset": dataset, "label_column": ("width",), "problem": "regression"}
    config = configured(workdir=workdir, baselines=True, **given, **SMALL)
    summary = app.train(config).summary
    assert summary["metrics"]["mae"]["mean"] < 10 and "r2" in summary["metrics"]
    assert summary["baselines"]["mean of train"]["r2"] <= 0
    rows, printed = predict(workdir, tables / "0.png", capsys)
    assert f"0.png: width {rows[0]['width']:.5g}" in printed
    with pytest.raises(ValueError, match="--balance is for classes or labels"):
        app.build(configured(balance=1.0, **given))
    with pytest.raises(ValueError, match="--problem=regression predicts them"):
        app.build(configured(dataset=dataset, label_column=("width",)))


def test_weights_and_draws_by_class_frequency(npz):
    """Of a set whose last class is rare."""
    data = np.load(npz)
    rare = np.flatnonzero((data["train_labels"][:, 0] < 2) | (np.arange(48) % 8 == 0))
    path = Path(npz).with_name("rare.npz")
    arrays = {name: data[name][rare] if name.startswith("train") else data[name] for name in data}
    np.savez(path, **arrays)
    plain = app.build(configured(dataset=str(path)))
    even = app.build(configured(dataset=str(path), balanced_sampling=1.0))
    label = arrays["train_labels"][:, 0]
    drawn = [np.bincount(label[x.feed.chunk(0, 0, len(rare)).ravel()]) for x in (plain, even)]
    assert drawn[0][2] == 8 * np.bincount(label)[2] and np.ptp(drawn[1]) <= 3 * 8
    logits, encoded = np.zeros((3, 3), np.float32), np.eye(3, dtype=np.float32)
    config, goal = (
        configured(balance=1.0, label_smoothing=0.0),
        image_goals.saved({"classes": "abc"}),
    )
    losses = image_goals.target_of(config, goal, label).losses(logits, encoded)
    np.testing.assert_allclose(losses, np.log(3) * class_weights(label, 3, 1.0), rtol=1e-5)


def test_predict_before_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run: train first"):
        app.predict(configured(workdir=tmp_path / "new"), str(ROOT))
    assert not (tmp_path / "new").exists()


def run(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_main(app.run, Config, app.__doc__, ["script", *words])
    return end.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["--modle=lenet"], 2, "did you mean --model?"),
        (["--model=vgg"], 2, "model must be one of lenet, allconv"),
        (["--dataset=/nowhere/at/all"], 1, "/nowhere/at/all"),
        (["--dataset=digit"], 1, "digit"),
        (["--batch_size=100000"], 1, "batch_size=100000"),
        (["--model=fastnet"], 1, "fastnet needs images of 9x9 pixels or more: set --image_size"),
        (["--streaming", "--dataset=."], 1, "--image_size"),
        (["--balance=1", "--balanced_sampling=1"], 2, "do the same: set one of them to 0"),
        (["--streaming", "--balance=1"], 2, "balance is for a set in memory"),
        (["--label_column=x"], 1, "--label_column is for a .csv"),
        (["--problem=regression"], 1, "is for a .csv or .npz: digits has one class an image"),
        (["--parallel=data", "--batch_size=12"], 1, "not a multiple of the 8 devices"),
        (["--predict=x.png", "--workdir=/nowhere/at/all"], 1, "holds no run: train first"),
    ],
)
def test_mistakes_end_in_one_line(capsys, monkeypatch, tmp_path, words, code, message):
    monkeypatch.chdir(tmp_path)  # where no run lies in the default workdir
    found, printed = run(capsys, "--quiet", *words)
    assert found == code, printed
    assert message in printed and len(printed.splitlines()) == 1 and printed.startswith("error: ")


def test_the_command(npz, tmp_path):
    words = [f"--dataset={npz}", f"--workdir={tmp_path}", "--steps=2", "--model=lenet"]
    words += ["--widths=2,3", "--batch_size=8", "--noplots"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.image_classification", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "step 2/2" in done.stderr and "test: accuracy" in done.stderr
    assert "baseline 3 nearest neighbours: accuracy" in done.stderr
    assert {p.name for p in tmp_path.iterdir()} >= {"config.json", "summary.json", "metrics.jsonl"}
