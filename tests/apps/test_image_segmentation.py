"""Semantic segmentation as a command: training, --predict, --evaluate, export, mistakes."""

import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from tensorflow_datasets import features as kinds

from dljax.apps import export as exports
from dljax.apps import image_segmentation as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.image_segmentation import LOSSES, MODELS, Config
from dljax.apps.segmentation import prediction, training
from dljax.run.command_line import run_main
from experiments import image_segmentation as script
from tests.data.tfds_set import write_annotated

QUICK = {
    "steps": 2, "num_seeds": 1, "batch_size": 4, "steps_per_call": 2, "parallel": "none",
    "model": "unet", "widths": (4, 8), "plots": False, "quiet": True, "validation": 0.25,
    "optimizer": "adamw",
}  # fmt: skip


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


def paint(folder: Path, count: int, rng, names=("images", "masks")) -> None:
    """Bright squares on dark noise, 24 x 32, and their masks 0 / 255."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = rng.integers(0, 60, (24, 32)).astype(np.uint8)
        mask = np.zeros((24, 32), np.uint8)
        top, left = rng.integers(0, 14), rng.integers(0, 20)
        mask[top : top + 10, left : left + 12] = 255
        image[mask > 0] += 150
        Image.fromarray(image).save(folder / names[0] / f"{i}.png")
        Image.fromarray(mask).save(folder / names[1] / f"{i}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    paint(root / "train", 16, rng)
    paint(root / "test", 6, rng)
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A workdir with a U-Net of two seeds that has learned to find squares, and its Outcome."""
    workdir = tmp_path_factory.mktemp("trained")
    config = configured(
        workdir=workdir, dataset=str(folder), steps=80, num_seeds=2, plots=True, eval_every=40,
        learning_rate=2e-2, jitter=0.0, scale=(1.0, 1.0), steps_per_call=40,
    )  # fmt: skip
    return workdir, app.train(config)


def test_squares_are_found_and_a_run_leaves_pictures(trained):
    workdir, outcome = trained
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["metrics"]["miou"]["mean"] > 0.9
    simple = summary["baselines"]
    # an image has one square: its V_rand says nothing
    assert simple["all background"]["miou"] < 0.5 and simple["all background"]["v_rand"] == 1
    (threshold,) = [x for name, x in simple.items() if name.startswith("Otsu")]
    assert threshold["iou_foreground"] > 0.9
    assert len(summary["metrics"]["v_rand"]["per_seed"]) == 2
    assert summary["segments"]["class"] == "foreground"
    assert summary["metrics"]["iou_foreground"] == summary["iou"]["foreground"]
    assert summary["ensemble"]["boundary_f1"] > 0.8 and len(summary["iou"]) == 2
    assert outcome.sums["confusion"][0].shape == (2, 2, 2)
    pictures = {path.stem for path in (workdir / "plots").iterdir()}
    assert pictures >= {"learning_curves", "confusion", "classes", "examples", "worst"}


def test_predictions_have_the_size_of_the_image(trained, tmp_path, capsys):
    workdir, _ = trained
    big = np.zeros((48, 64), np.uint8)
    big[10:30, 20:44] = 200
    Image.fromarray(big).save(tmp_path / "big.png")
    rows = app.predict(configured(workdir=workdir, plots=True), str(tmp_path / "big.png"))
    folder = workdir / "predictions"
    with Image.open(folder / rows[0]["mask"]) as picture:
        assert picture.mode == "P" and picture.size == (64, 48)
        mask = np.array(picture)
    assert ((mask > 0) == (big > 0)).mean() > 0.9 and set(np.unique(mask)) == {0, 255}
    with open(folder / "predictions.csv", newline="") as file:
        assert next(csv.DictReader(file))["file"] == rows[0]["file"]
    assert (folder / "big_overlay.png").exists() and "checkpoint of step" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for path in (folder, folder / "big.png"):
        with pytest.raises(ValueError, match="lies where its predictions are written"):
            app.predict(configured(workdir=workdir), str(path))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_scored_on_other_images_and_exported(trained, tmp_path, capsys):
    workdir, _ = trained
    paint(tmp_path / "more", 5, np.random.default_rng(5))
    found = app.evaluate(configured(workdir=workdir), str(tmp_path / "more"))
    assert found["metrics"]["miou"]["mean"] > 0.8
    output = capsys.readouterr().out
    assert "all images are scored" in output and "5 images are scored" in output
    path = exports.export(ExportConfig(workdir=str(workdir), platforms=("cpu",)))
    assert path.exists() and "probability" in capsys.readouterr().out


def test_streamed_images_get_the_same_scores(trained, tmp_path, capsys):
    """Those of memory, of one network; and a run of two steps that never holds all images."""
    workdir, _ = trained
    paint(tmp_path / "more", 5, np.random.default_rng(5))
    more = str(tmp_path / "more")
    memory, streamed = (
        app.evaluate(configured(workdir=workdir, streaming=streaming), more)["metrics"]
        for streaming in (False, True)
    )
    assert memory["v_rand"] == streamed["v_rand"] and "iou_foreground" in memory
    for name, values in memory.items():
        np.testing.assert_allclose(values["per_seed"], streamed[name]["per_seed"], rtol=1e-5)
    capsys.readouterr()
    config = configured(
        workdir=tmp_path / "run", dataset=more, streaming=True, class_weights="enet", num_seeds=2
    )
    summary = app.train(config).summary
    assert "streamed" in summary["dataset"] and summary["ensemble"]["boundary_f1"] >= 0
    assert set(summary["baselines"]) == {
        "all background", "most frequent class of each place",
        next(name for name in summary["baselines"] if name.startswith("Otsu")),
    }  # fmt: skip


def test_predict_a_folder_with_a_film_and_a_broken_image(trained, tmp_path, capsys):
    """Frames by number and time; a tall image keeps its aspect; two files of one stem."""
    workdir, _ = trained
    tall = np.zeros((64, 24), np.uint8)
    tall[40:60, 4:20] = 200
    paint(tmp_path / "made", 3, np.random.default_rng(7))
    first, *rest = [Image.open(tmp_path / "made" / "images" / f"{k}.png") for k in range(3)]
    films = tmp_path / "films"
    films.mkdir()
    first.save(films / "a.gif", save_all=True, append_images=rest, duration=[100, 200, 100])
    Image.fromarray(tall).save(films / "b.png")
    Image.fromarray(tall).save(films / "b.bmp")
    (films / "c.png").write_bytes(b"no image")
    rows = app.predict(configured(workdir=workdir), str(films))
    output = capsys.readouterr().out
    assert "skipped: " in output and "c.png" in output
    assert [(row["file"], row["frame"], row["seconds"]) for row in rows] == [
        ("a.gif", 0, 0), ("a.gif", 1, 0.1), ("a.gif", 2, 0.3),
        ("b.bmp", None, None), ("b.png", None, None),
    ]  # fmt: skip
    assert [row["mask"] for row in rows[1:]] == [
        "a_00001.png", "a_00002.png", "b.png", "b_png.png",
    ]  # fmt: skip
    found = np.array(Image.open(workdir / "predictions" / "b.png"))
    assert found.shape == (64, 24) and ((found > 0) == (tall > 0)).mean() > 0.9
    frame = np.array(Image.open(workdir / "predictions" / "a_00001.png"))
    true = np.array(Image.open(tmp_path / "made" / "masks" / "1.png"))
    assert ((frame > 0) == (true > 0)).mean() > 0.9
    with pytest.raises(FileNotFoundError, match="There is no image or folder"):
        app.predict(configured(workdir=workdir), str(tmp_path / "no.png"))
    with pytest.raises(ValueError, match="c.png is no readable image"):
        app.predict(configured(workdir=workdir), str(films / "c.png"))


def test_a_tfds_set(tmp_path):
    """Read and described; its classes are named by a flag."""
    mask = np.zeros((24, 32, 1), np.uint8)
    mask[4:9] = 1
    example = {"image": np.full((24, 32, 3), 90, np.uint8), "segmentation_mask": mask}
    features = {
        "image": kinds.Image(encoding_format="png"),
        "segmentation_mask": kinds.Image(shape=(None, None, 1)),
    }
    write_annotated(tmp_path, "shapes", features, {"train": [example] * 8, "test": [example]})
    config = {"dataset": "tfds:shapes", "data_dir": tmp_path, "classes": ("sky", "sea")}
    experiment = app.build(configured(workdir=tmp_path / "run", **config))
    assert experiment.metadata["classes"] == ("sky", "sea")
    assert "tfds:shapes (6 training, 2 validation, 1 test images)" in experiment.dataset


SETTINGS = {
    "small": {"jitter": 0.2},
    "unet": {"crop": (16, 16), "flip": True, "dihedral": True, "window": (16, 16), "overlap": 4},
    "efficientnet_lite0": {"pretrained": False, "aspp": (1, 2)},
    "resnet18": {"class_weights": "enet"},
}


@pytest.mark.parametrize("model, loss", zip(MODELS, LOSSES, strict=True))
def test_every_model_takes_a_step(model, loss):
    """Shapes alone, without compiling."""
    shape, classes = (24, 32, 3), 3
    config = configured(model=model, loss=loss, **SETTINGS[model])
    backbone = app.backbone_of(config)
    network = app.network(config, classes, backbone)
    share = np.array([0.8, 0.2, 0.0])
    task = app.make_task(config, network, lambda x: x, classes, shape, share)
    batch = {
        "image": jax.ShapeDtypeStruct((4, *shape), np.uint8),
        "mask": jax.ShapeDtypeStruct((4, *shape[:2]), np.uint8),
    }
    state = jax.eval_shape(task.init, jax.random.key(0))
    after, _ = jax.eval_shape(task.step, state, batch, jax.random.key(0))
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
    sums = jax.eval_shape(
        task.evaluate, state, batch | {"example_mask": np.ones(4)}, jax.random.key(0)
    )
    assert sums["confusion"][0].shape == (3, 3)


def command(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_main(script.main, Config, script.__doc__, ["script", *words])
    return end.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["--model=segnet"], 2, "model must be one of small, unet, efficientnet_lite0, resnet18"),
        (["--crop=64"], 2, "crop is two numbers"),
        (["--scale=2,1"], 2, "scale names the smallest magnification first"),
        (["--window=64,32"], 2, "--overlap=32 must be below the sides of --window=64,32"),
        (["--model=unet", "--window=64,60"], 2, "--window=64,60: the sides must be multiples of 8"),
        (
            ["--loss=dice", "--class_weights=enet"],
            2,
            "--class_weights has no effect with --loss=dice",
        ),
        (["--loss=focal", "--label_smoothing=0.1"], 2, "--label_smoothing has no effect with"),
        (["--model=unet", "--aspp=2"], 2, "--aspp stands on a backbone"),
        (["--dataset=/nowhere/at/all"], 1, "/nowhere/at/all"),
        (["--dataset=scene"], 1, "scene"),
        (["--classes=a,b"], 1, "names its classes itself"),
        (["--dataset=tfds:no_such_set", "--data_dir=/nowhere"], 1, "tfds:no_such_set is not in"),
        (["--predict=x.png", "--workdir=/nowhere/at/all"], 1, "holds no run: train first"),
    ],
)
def test_mistakes_end_in_one_line(capsys, monkeypatch, tmp_path, words, code, message):
    monkeypatch.chdir(tmp_path)  # where no run lies in the default workdir
    found, printed = command(capsys, "--quiet", *words)
    assert found == code and message in printed and len(printed.splitlines()) == 1


def test_masks_are_written_in_the_ids_of_the_data(tmp_path):
    """Where a byte holds them, each its own; else, and of older runs, in the classes' numbers."""
    assert prediction.writable((7, 33), 2) == (7, 33)
    for ids in ((7, 300), (1, 1), ()):
        assert prediction.writable(ids, 2) == (0, 1)
    palette = np.array([[9, 8, 7], [10, 20, 30]], np.uint8)
    found = np.array([[0, 1], [1, 1]], np.uint8)
    prediction.save_palette(found, palette, (7, 33), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array(image).tolist() == [[7, 33], [33, 33]]
        np.testing.assert_array_equal(np.array(image.convert("RGB")), palette[found])


def test_windows_begin_at_places_of_the_coarsest_map():
    assert training.views_of(configured(widths=(4, 8, 8))).stride == 4
    config = {"model": "small", "widths": (), "window": (48, 64)}
    views = training.views_of(configured(**config, overlap=32))
    assert (views.stride, views.multiple) == (16, 1)
    with pytest.raises(ValueError, match="--overlap=33 must be 16 or more .* --window=48,64"):
        training.views_of(configured(**config, overlap=33))
