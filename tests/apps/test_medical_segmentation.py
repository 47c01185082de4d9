"""Medical segmentation as a command: training, --predict, --evaluate, export, mistakes."""

import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import export as exports
from dljax.apps import medical_imaging as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.medical_imaging import Config
from dljax.apps.medical import segmentation, segmentation_analysis
from dljax.data.sources.medical.nifti import read_nifti
from dljax.data.sources.medical.preparation import Preparation
from dljax.data.sources.medical.volume import Volume, VolumeSet
from dljax.run.command_line import run_main
from dljax.train import export
from experiments import medical_imaging as script
from tests.data.medical_files import save, series

QUICK = {
    "steps": 2, "num_seeds": 1, "batch_size": 4, "steps_per_call": 2, "parallel": "none",
    "widths": (4, 8), "plots": False, "quiet": True, "validation": 0.25, "optimizer": "adamw",
}  # fmt: skip
AFFINE = np.array([[-1.0, 0, 0, 30], [0, 2, 0, -20], [0, 0, 1.5, 3], [0, 0, 0, 1]])


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


def cube(rng, sides=(14, 12, 13)):
    """A bright box in noise, and its labels: 0 and 3."""
    label = np.zeros(sides, np.uint8)
    x, y, z = rng.integers(1, 6, 3)
    label[x : x + 6, y : y + 5, z : z + 5] = 3
    return (rng.normal(size=sides) + 4 * (label > 0)).astype(np.float32), label


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("boxes"), np.random.default_rng(0)
    for i in range(10):
        image, label = cube(rng)
        save(root / "imagesTr" / f"p{i}_0000.nii.gz", image, AFFINE)
        save(root / "labelsTr" / f"p{i}.nii.gz", label, AFFINE)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "box": 3}}))
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A workdir with a U-Net of two seeds that has learned to find boxes, and its Outcome."""
    workdir = tmp_path_factory.mktemp("trained")
    config = configured(
        workdir=workdir, dataset=str(folder), steps=200, num_seeds=2, plots=True, eval_every=100,
        steps_per_call=50, learning_rate=1e-2, patch=(8, 8, 8), overlap=0.5, mirror=("0",),
    )  # fmt: skip
    return workdir, app.train(config)


def test_boxes_are_found_and_scored_in_millimetres(trained):
    workdir, _ = trained
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["metrics"]["dice"]["mean"] > 0.85
    assert len(summary["metrics"]["hd95"]["per_seed"]) == 2
    # voxels are 1 x 2 x 1.5 mm: surfaces lie a voxel from each other at most, on average
    assert 0 < summary["metrics"]["assd"]["mean"] < summary["metrics"]["hd95"]["mean"]
    assert summary["metrics"]["assd"]["mean"] < 1.5, summary["metrics"]
    table = summary["structures"]["box"]
    assert len(table["true_ml"]) == 2  # of 10 volumes a fifth
    np.testing.assert_allclose(table["true_ml"], 6 * 5 * 5 * 3 / 1000)
    assert table["states"] == [{"found": 2, "missed": 0, "invented": 0, "absent": 0}] * 2
    assert summary["baselines"]["all background"]["dice"] == 0
    for name in ("worst", "surface_distances", "learning_curves"):
        assert (workdir / "plots" / f"{name}.png").stat().st_size > 5000


def test_predictions_lie_over_their_images(trained, folder):
    workdir, _ = trained
    rng = np.random.default_rng(9)
    image, label = cube(rng, (15, 17, 11))
    inputs = workdir / "new"
    save(inputs / "a_0000.nii.gz", image, AFFINE)
    # the same volume with other axes: it must be segmented the same way
    turn = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    save(inputs / "b_0000.nii.gz", np.transpose(image, (1, 2, 0)), AFFINE @ turn)
    rows = app.predict(Config(workdir=workdir, plots=True), str(inputs))
    found = {}
    for name in "ab":
        voxels, affine = read_nifti(workdir / "predictions" / f"{name}.nii.gz")
        its, same = read_nifti(inputs / f"{name}_0000.nii.gz")
        np.testing.assert_allclose(affine, same, atol=1e-5)
        assert voxels.shape == its.shape and set(np.unique(voxels)) == {0, 3}
        found[name] = voxels[..., 0]
    np.testing.assert_array_equal(np.transpose(found["a"], (1, 2, 0)), found["b"])
    overlap = 2 * ((found["a"] == 3) & (label == 3)).sum() / ((found["a"] == 3).sum() + 150)
    assert overlap > 0.8
    assert rows[0]["box_ml"] == pytest.approx((found["a"] == 3).sum() * 3 / 1000)
    with (workdir / "predictions" / "predictions.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["a", "b"]
    assert (workdir / "predictions" / "a_slices.png").exists()
    before = {path: path.read_bytes() for path in (workdir / "predictions").iterdir()}
    with pytest.raises(ValueError, match="lies where its predictions are written"):
        app.predict(Config(workdir=workdir), str(workdir / "predictions"))
    assert {path: path.read_bytes() for path in (workdir / "predictions").iterdir()} == before


def test_baselines_see_the_window_of_the_network():
    """Tissue of 40 above 0; the wider the levels beside it, the lower its share of their range."""

    def volume(widest):
        image, label = np.zeros((6, 6, 6, 1), np.float32), np.zeros((6, 6, 6), np.uint8)
        image[:2], label[:2] = 40, 1
        image[4], image[5] = -widest, widest
        return Volume("x", image, label, np.eye(4))

    parts = {"train": (volume(100.0),), "test": (volume(400.0),)}
    data = VolumeSet("x", parts, ("background", "tissue"), (0, 1))
    scaled, windowed = (
        segmentation_analysis.simple(data, Preparation(window=window)) for window in ((), (-50, 50))
    )
    assert scaled["grey levels of train"]["dice"] == 0
    assert windowed["grey levels of train"]["dice"] == 1
    flat = segmentation_analysis.simple(data, Preparation((2.0, 2.0, 2.0), (-50, 20)))
    own = [x["grey levels of the test image's own labels"]["dice"] for x in (scaled, flat)]
    np.testing.assert_allclose(own, [1, 2 * 72 / (72 + 108)])  # 40 and 400 are one level: 20


def test_a_dicom_series_becomes_a_nifti_file(trained, tmp_path):
    workdir, _ = trained
    series(tmp_path / "ct", range(0, 36, 3))
    app.predict(Config(workdir=workdir, plots=False), str(tmp_path / "ct"))
    voxels, affine = read_nifti(workdir / "predictions" / "ct.nii.gz")
    assert voxels.shape == (4, 3, 12, 1)
    np.testing.assert_allclose(affine @ [3, 1, 2, 1], [-(10 + 0.75), -(20 + 0.5), 6, 1])


def test_evaluate_and_export(trained, folder, tmp_path):
    workdir, outcome = trained
    found = app.evaluate(Config(workdir=workdir), str(folder))
    assert found["metrics"]["dice"] == outcome.summary["metrics"]["dice"]
    exports.export(
        ExportConfig(workdir=workdir, output=str(tmp_path / "m.zip"), platforms=("cpu",))
    )
    serving = segmentation.serving(Config(workdir=workdir))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 8, 1)).astype(np.float32)
    np.testing.assert_array_equal(
        export.load(tmp_path / "m.zip")(image=x)["probability"],
        export.answers(serving, {"image": x})["probability"],
    )


def test_images_and_masks(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 2)):
        for kind in ("images", "masks"):
            (tmp_path / part / kind).mkdir(parents=True)
        for i in range(count):
            image, label = (x[:, :, 6] for x in cube(rng, (20, 18, 13)))
            picture = np.clip(60 + 25 * image, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / part / "images" / f"{i}.png")
            mask = (label > 0).astype(np.uint8) * 255
            Image.fromarray(mask).save(tmp_path / part / "masks" / f"{i}.png")
    workdir = tmp_path / "run"
    config = configured(workdir=workdir, dataset=str(tmp_path), patch=(8, 8), plots=True)
    outcome = app.train(config)
    assert 0 <= outcome.summary["metrics"]["dice"]["mean"] <= 1
    app.predict(Config(workdir=workdir), str(tmp_path / "test" / "images"))
    mask = Image.open(workdir / "predictions" / "0.png")
    assert mask.size == (18, 20) and mask.mode == "P"


def test_spacing_is_undone(folder, tmp_path):
    config = configured(
        workdir=tmp_path, dataset=str(folder), patch=(4, 4, 4), spacing=(2.0, 2.0, 2.0)
    )
    outcome = app.train(config)
    np.testing.assert_allclose(outcome.summary["structures"]["box"]["true_ml"], 0.45)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"patch": (7, 8, 8)}, "patch=7,8,8: images of 3 axes and a network of 2 widths take 3"),
        ({"patch": (8, 8)}, "take 3 multiples of 2"),
        ({"mirror": ("3",)}, "mirror must be one of 0, 1, 2"),
        ({"window": (5.0, 1.0)}, "window is two numbers, the lower one first"),
        ({"spacing": (1.0,)}, "spacing is three numbers"),
    ],
)
def test_flags_that_do_not_fit(folder, tmp_path, flags, said):
    with pytest.raises(ValueError, match=said):
        app.build(configured(workdir=tmp_path, dataset=str(folder), **flags))


def test_mistakes_end_in_one_line(trained, folder, tmp_path, capsys):
    workdir, _ = trained
    save(tmp_path / "x.nii.gz", np.zeros((4, 4, 4, 2), np.float32), AFFINE)
    for flags, said in (
        ([f"--predict={tmp_path}/none.nii.gz"], "There is no"),
        ([f"--predict={tmp_path}/x.nii.gz"], "x has 2 channels, the run was trained on 1"),
        ([f"--evaluate={tmp_path}"], ""),
    ):
        with pytest.raises(SystemExit) as stopped:
            words = ["script", f"--workdir={workdir}", *flags]
            run_main(script.main, Config, script.__doc__, words)
        assert stopped.value.code
        printed = capsys.readouterr()
        assert said in printed.err + printed.out and "Traceback" not in printed.err


def test_the_brain_as_a_command(tmp_path, monkeypatch):
    from dljax.data.sources.medical import brain

    monkeypatch.setattr(brain, "COUNTS", {"train": 2, "validation": 1, "test": 1})
    monkeypatch.setattr(
        brain, "PARTS", {"train": slice(60, 72), "validation": slice(80, 84), "test": slice(92, 96)}
    )
    config = configured(workdir=tmp_path, patch=(8, 8, 8), strength="mild", optimizer=None)
    outcome = app.train(config)
    assert set(outcome.summary["metrics"]) >= {"dice", "dice_grey", "dice_white", "hd95", "assd"}
    assert jax.tree.leaves(outcome.run.states)[0].shape[0] == 1
    assert Path(tmp_path / "summary.json").exists()
    same, clean = (
        app.evaluate(Config(workdir=tmp_path, strength=strength), "brain")["metrics"]["loss"]
        for strength in ("mild", "none")
    )
    assert same == outcome.summary["metrics"]["loss"] and clean != same
