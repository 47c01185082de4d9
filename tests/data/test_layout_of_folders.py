"""Folders as people have them: names of parts, what is not used, what is left out, grey levels."""

import shutil

import numpy as np
import pytest
from PIL import Image

from dljax.data.images import in_memory_images, streamed_images
from dljax.data.sources import load_images, read_images
from dljax.data.sources.layout import natural
from dljax.data.sources.part_names import part_of, resembles_part
from tests.data.test_folder import classes, paint


def load(root, **options):
    return load_images(str(root), quiet=True, **options)


@pytest.mark.parametrize(
    ("train", "test", "validation"),
    [
        ("Training", "Testing", None),
        ("TRAIN", "Test", "Valid"),
        ("training", "test", "Validation"),
        ("train", "testing", "dev"),
    ],
)
def test_parts_in_any_case_and_their_usual_words(tmp_path, train, test, validation):
    classes(tmp_path / train, count=4)
    classes(tmp_path / test, count=2)
    if validation:
        classes(tmp_path / validation, count=1)
    found = load(tmp_path)
    assert found.classes == ("cat", "dog") and found.notes == found.left_out == ()
    assert len(found.train["label"]) == 8 and len(found.test["label"]) == 4
    assert (found.validation is not None) == bool(validation)


def test_two_folders_for_one_part_are_refused(tmp_path):
    for name in ("train", "test", "val", "valid"):
        classes(tmp_path / name, count=2)
    with pytest.raises(ValueError, match=r"has val/ and valid/ for one part: keep one of them"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("seg_train", "seg_test", "seg_pred"), "seg_test/, seg_train/ are named like parts"),
        (("training_set", "test_set"), "training_set/.* are named like parts"),
        (("TrainImages", "holdout"), "are named like parts"),
        (("Test", "cats"), "Test/ with folders in it, but no train/"),
        (("Validation", "Testing"), "with folders in it, but no train/"),
    ],
)
def test_classes_that_are_named_like_parts_are_refused(tmp_path, names, message):
    for name in names:
        classes(tmp_path / name, count=3)
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert {resembles_part(name) for name in ("terrain", "contest", "latest", "valley")} == {None}
    assert part_of("Trainers") is None


def test_parts_without_folders_of_classes_are_refused(tmp_path):
    classes(tmp_path, names=("train", "test"), count=5)
    with pytest.raises(ValueError, match="test/, train/ are named like parts"):
        load(tmp_path)


def test_what_is_ambiguous_is_said(tmp_path):
    """A class named test, and classes that all hold the same folders."""
    classes(tmp_path / "a", names=("control", "test"), count=5)
    found = load(tmp_path / "a")
    assert found.classes == ("control", "test")
    assert any("test is taken for a class" in note for note in found.notes)
    for name in ("berlin", "paris"):
        classes(tmp_path / "b" / name, names=("ill", "well"), count=5)
    found = load(tmp_path / "b")
    assert found.classes == ("berlin", "paris")
    assert any("folders of the same names (ill, well)" in note for note in found.notes)


def test_a_folder_around_the_set_is_named(tmp_path):
    classes(tmp_path / "data" / "train", count=3)
    classes(tmp_path / "data" / "test", count=3)
    with pytest.raises(ValueError, match=r"one class only \(data\).* It holds test/, train/"):
        load(tmp_path)


def test_what_is_not_used_is_named(tmp_path):
    for name in ("train", "test", "extra"):
        classes(tmp_path / name, count=3)
    paint(tmp_path / "loose.png", 3)
    paint(tmp_path / "train" / "also.png", 3)
    found = load(tmp_path)
    assert "not used, beside train/, test/: extra/ (6 images)" in found.left_out
    assert "left out, in no class's folder: 1 images (loose.png)" in found.left_out
    assert "left out, in no class's folder: 1 images (train/also.png)" in found.left_out
    data = in_memory_images(found, 4)
    assert set(found.left_out) <= set(data.record.lines())
    assert data.record.report()["left_out"] == list(found.left_out)


def test_files_left_out_are_counted_by_ending_and_jfif_is_jpeg(tmp_path):
    classes(tmp_path, count=10)
    for number in range(5):
        path = tmp_path / "dog" / f"{number:03}.png"
        Image.open(path).save(path.with_suffix(".jfif"), format="JPEG")
        path.unlink()
        (tmp_path / "cat" / f"{number}.HEIC").write_bytes(b"x")
        (tmp_path / "cat" / f"{number}.nii.gz").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "cat" / "Thumbs.db").write_text("x")
    (tmp_path / "cat" / "README").write_text("x")
    found = load(tmp_path)
    assert len(found.train["label"]) + len(found.test["label"]) == 20
    (line,) = found.left_out
    assert "5 .heic (pillow-heif reads them: convert to PNG)" in line
    assert "5 .nii.gz (nibabel reads them" in line
    assert "1 .txt" in line and "1 without ending" in line and ".db" not in line
    shutil.rmtree(tmp_path / "dog")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "1.heic").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"without images: dog \(it has 1 \.heic \(pillow-heif"):
        load(tmp_path)


def test_a_class_that_differs_in_case_is_pointed_at(tmp_path):
    classes(tmp_path / "train", names=("Cat", "Dog"), count=3)
    classes(tmp_path / "test", names=("cat", "dog"), count=2)
    with pytest.raises(
        ValueError, match=r"test has classes that train lacks: cat, dog \(train has"
    ):
        load(tmp_path)


def test_classes_are_counted_in_each_part(tmp_path):
    classes(tmp_path / "train", names=("cat",), count=4)
    classes(tmp_path / "train", names=("dog",), count=2)
    classes(tmp_path / "test", names=("cat", "dog"), count=1)
    lines = in_memory_images(load(tmp_path), 2, validation=0).record.lines()
    assert "train images of each class: cat 4, dog 2" in lines
    assert "test images of each class: cat 1, dog 1" in lines


def test_numbers_in_names_count_as_numbers(tmp_path):
    names = ["frame10.png", "frame2.png", "frame02.png", "frame1.png", "a/frame3.png", "b.png"]
    expected = ["a/frame3.png", "b.png", "frame1.png", "frame02.png", "frame2.png", "frame10.png"]
    assert sorted(names, key=natural) == expected
    for number in (10, 9, 1):
        paint(tmp_path / f"frame{number}.png", number)
    assert read_images(str(tmp_path)).images[:, 0, 0, 0].tolist() == [1, 9, 10]


def grey(path, levels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 5), levels, np.uint16)).save(path)


def test_deep_images_share_the_range_of_their_set(tmp_path):
    """A dark image of 12 bits is as dark beside others as in the file; also when predicted."""
    for name in ("cat", "dog"):
        for number, level in enumerate((0, 100, 800, 4000)):
            grey(tmp_path / name / f"{number}.png", level)
    paint(tmp_path / "dog" / "8bit.png", 77)
    found = load(tmp_path)
    levels = np.concatenate([found.train["image"], found.test["image"]])[:, 0, 0, 0]
    assert sorted(set(levels.tolist())) == [0, 6, 50, 77, 249]  # of 4095
    assert found.levels == (0, 4095)
    assert any("8 of 9 images have grey levels of more than 8 bits, which reach from 0 to 4000: "
               "0..4095 is scaled to 0..255" in note for note in found.notes)  # fmt: skip
    np.testing.assert_array_equal(load(tmp_path, size=(6, 5)).train["image"], found.train["image"])
    alone = read_images(str(tmp_path / "cat" / "2.png"), levels=found.levels)
    assert alone.images[0, 0, 0, 0] == 50 and alone.notes == ()
    assert read_images(str(tmp_path / "cat" / "2.png")).images[0, 0, 0, 0] == 199  # of 1023
    data = streamed_images(str(tmp_path), None, 2, size=(6, 5))
    assert data.levels == found.levels and any("0..4095" in note for note in data.notes)
    assert set(data.train_images["image"][:, 0, 0, 0].tolist()) <= {0, 6, 50, 77, 249}
