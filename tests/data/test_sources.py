"""What all sources share: dispatch, the embedded digits, the stratified split, MedMNIST files."""

import importlib.util
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from dljax.data.sources import Columns, digits, letters, load_images, split

ROOT = Path(__file__).parents[2]


def test_digits_have_the_documented_split():
    from sklearn.datasets import load_digits

    dataset = load_images("digits")
    assert dataset.train["image"].shape == (1437, 8, 8, 1)
    assert dataset.test["image"].shape == (360, 8, 8, 1)
    assert dataset.train["image"].dtype == np.uint8 and dataset.train["label"].dtype == np.int32
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(1797)
    np.testing.assert_array_equal(dataset.test["label"], labels[order[-360:]])
    levels = dataset.train["image"].reshape(1437, 64).astype(float) * 16 / 255
    np.testing.assert_array_equal(np.round(levels), images[order[:1437]])
    assert dataset.train["image"].max() == 255 and dataset.classes[7] == "7"


def test_digits_where_their_file_lies_elsewhere(monkeypatch):
    import sklearn.datasets  # noqa: F401  before what finds packages finds none

    images, labels = digits.scans()
    elsewhere = types.SimpleNamespace(submodule_search_locations=["elsewhere"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: elsewhere)
    again = digits.scans()
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)
    assert again[1].dtype == labels.dtype and again[0].dtype == images.dtype


def test_digits_do_not_import_scikit_learn():
    words = "import sys; from dljax.data.sources import digits; digits.scans(); "
    words += "print('sklearn' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, check=True)
    assert shown.stdout.split() == [b"False"]


def test_letters_fill_the_picture_and_their_fonts_are_apart(monkeypatch):
    assert (len(letters.FONTS), len(letters.TEST_FONTS), letters.VARIANTS) == (18, 4, 8)
    monkeypatch.setattr(letters, "VARIANTS", 2)
    dataset = load_images("letters")
    for arrays, count in ((dataset.train, 7488 // 4), (dataset.test, 1664 // 4)):
        images, labels = arrays["image"], arrays["label"]
        assert images.shape == (count, 8, 8, 1) and images.dtype == np.uint8
        # Tall as the picture, dark at its sides, and no two alike.
        assert images[:, [0, 7]].max((2, 3)).min() > 0
        assert images[:, :, [0, 7]].mean() < 20 < images[:, :, 2:6].mean()
        assert len({image.tobytes() for image in images}) > 0.99 * count
        # C, small or large, is one letter; A and a are two.
        counts = dict(zip(dataset.classes, np.bincount(labels), strict=True))
        assert counts["C"] == 2 * counts["A"] == 2 * counts["a"]
    again = load_images("letters", channels=3)
    np.testing.assert_array_equal(
        np.tile(dataset.train["image"], (1, 1, 1, 3)), again.train["image"]
    )


def test_letters_of_another_size(monkeypatch):
    monkeypatch.setattr(letters, "FONTS", letters.FONTS[:1])
    monkeypatch.setattr(letters, "TEST_FONTS", letters.TEST_FONTS[:1])
    monkeypatch.setattr(letters, "VARIANTS", 1)
    images = load_images("letters", size=(28, 20)).train["image"]
    assert images.shape == (52, 28, 20, 1)
    assert min(images[:, :2].max((1, 2)).min(), images[:, -2:].max((1, 2)).min()) > 0


def test_digits_of_another_size_and_in_colour():
    dataset = load_images("digits", size=(16, 12), channels=3)
    assert dataset.test["image"].shape == (360, 16, 12, 3)
    np.testing.assert_array_equal(dataset.test["image"][..., 0], dataset.test["image"][..., 2])


def test_split_takes_the_same_share_of_every_class():
    labels = np.array([0] * 40 + [1] * 20 + [2] * 2 + [3])
    arrays = {"image": np.arange(63), "label": labels}
    rest, held = split(arrays, 0.1, seed=4)
    assert np.bincount(held["label"]).tolist() == [4, 2, 1]
    assert sorted(np.concatenate([rest["image"], held["image"]])) == list(range(63))
    assert np.all(np.diff(held["image"]) > 0)
    np.testing.assert_array_equal(labels[held["image"]], held["label"])
    again, other = split(arrays, 0.1, seed=4)[1], split(arrays, 0.1, seed=5)[1]
    np.testing.assert_array_equal(again["image"], held["image"])
    assert not np.array_equal(other["image"], held["image"])


def test_split_refuses_what_leaves_a_part_empty():
    arrays = {"label": np.array([0, 1])}
    with pytest.raises(ValueError, match="No class has two examples"):
        split(arrays, 0.5)
    for fraction in (0, 1, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            split(arrays, fraction)


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (
            "nonsense",
            ValueError,
            "Unknown data set 'nonsense': --dataset takes 'digits', 'letters', 'tfds:",
        ),
        ("./nonsense", FileNotFoundError, "There is no folder or file ./nonsense"),
        ("~/nonsense.npz", FileNotFoundError, "There is no file"),
    ],
)
def test_unknown_values_list_what_is_accepted(dataset, error, message):
    with pytest.raises(error, match=message) as caught:
        load_images(dataset)
    assert "\n" not in str(caught.value)


def test_other_files_and_formats_are_refused(tmp_path):
    (tmp_path / "data.txt").write_text("a,b\n")
    with pytest.raises(ValueError, match="is a file that is not read here"):
        load_images(str(tmp_path / "data.txt"))
    with pytest.raises(ValueError, match="1 .grey. or 3"):
        load_images("digits", channels=2)
    with pytest.raises(ValueError, match="two positive numbers"):
        load_images("digits", size=(0, 4))


def medmnist(count=6, shape=(5, 4), classes=3, parts=("train", "val", "test")):
    random = np.random.RandomState(0)
    arrays = {}
    for part in parts:
        arrays[f"{part}_images"] = random.randint(0, 256, (count, *shape)).astype(np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % classes)[:, None].astype(np.uint8)
    return arrays


def save(tmp_path, arrays):
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    return str(tmp_path / "set.npz")


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 1)])
def test_medmnist_files(tmp_path, shape):
    arrays = medmnist(shape=shape)
    dataset = load_images(save(tmp_path, arrays))
    channels = shape[2] if len(shape) == 3 else 1
    expected = arrays["val_images"].reshape(6, 5, 4, channels)
    np.testing.assert_array_equal(dataset.validation["image"], expected)
    assert dataset.test["label"].tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.test["label"].dtype == np.int32 and dataset.classes == ("0", "1", "2")


def test_medmnist_without_validation_and_resized(tmp_path):
    path = save(tmp_path, medmnist(parts=("train", "test")))
    dataset = load_images(path, size=(8, 8), channels=3)
    assert dataset.validation is None and dataset.train["image"].shape == (6, 8, 8, 3)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("test_labels", None, "no array 'test_labels', only test_images, train_images"),
        ("val_images", None, "no array 'val_images'"),
        ("train_images", np.full((6, 5, 4), np.nan), "train_images is float64; uint8"),
        ("train_images", np.zeros((6, 5), np.uint8), r"shape \[6, 5\]"),
        ("test_images", np.zeros((6, 5, 4, 2), np.uint8), r"shape \[6, 5, 4, 2\]"),
        ("test_images", np.zeros((0, 5, 4), np.uint8), "at least one image"),
        ("test_images", np.zeros((6, 9, 9), np.uint8), "differ in shape"),
        ("train_labels", np.zeros((6, 14), np.uint8), "14 labels per image; multi-label"),
        ("train_labels", np.zeros((5, 1), np.uint8), r"shape \[5, 1\] for 6 images"),
        ("train_labels", np.full((6, 1), 0.5), "whole numbers"),
        ("train_labels", np.full((6, 1), -1), "negative label -1"),
        ("test_labels", np.full((6, 1), 7), "test_labels holds class 7, which train lacks"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, key, value, message):
    arrays = {**medmnist(), key: value}
    path = save(tmp_path, {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message) as error:
        load_images(path)
    assert "\n" not in str(error.value)


def test_a_medmnist_file_of_several_labels_or_numbers(tmp_path):
    """Only where these are asked for; of ChestMNIST by name."""
    arrays, labels = medmnist(), np.random.RandomState(1).randint(0, 2, (6, 14))
    rows = {**arrays, **{f"{part}_labels": labels for part in ("train", "val", "test")}}
    path = tmp_path / "chestmnist.npz"
    np.savez(path, **rows)
    data = load_images(str(path), columns=Columns(problem="auto"))
    assert data.problem == "multi_label" and data.classes[:2] == ("atelectasis", "cardiomegaly")
    np.testing.assert_array_equal(data.validation["label"], labels)
    np.savez(path, **{**rows, "test_labels": labels + 1})
    with pytest.raises(ValueError, match="test_labels must hold 0 and 1"):
        load_images(str(path), columns=Columns(problem="auto"))
    number = load_images(save(tmp_path, arrays), columns=Columns(problem="regression"))
    assert number.problem == "regression" and number.train["label"].dtype == np.float32
    assert load_images(save(tmp_path, arrays), columns=Columns(problem="auto")).classes == (
        "0", "1", "2",
    )  # fmt: skip


def test_a_medmnist_file_of_one_class_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one class only"):
        load_images(save(tmp_path, medmnist(classes=1)))


def test_files_that_are_no_npz_and_pickles_are_refused(tmp_path):
    path = tmp_path / "broken.npz"
    save(tmp_path, medmnist())
    whole = (tmp_path / "set.npz").read_bytes()
    objects = {**medmnist(), "train_images": np.array([{}], dtype=object)}
    np.savez(tmp_path / "pickled.npz", **objects)
    for content in (b"", b"text", whole[:200], pickle.dumps([1]),
                    (tmp_path / "pickled.npz").read_bytes()):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"broken\.npz is no readable") as error:
            load_images(str(path))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("labels", "names"), [((0, 2, 5), ("0", "2", "5")), ((1, 2, 3), "123")])
def test_labels_with_gaps_make_no_phantom_classes(tmp_path, labels, names):
    arrays = medmnist()
    for part in ("train", "val", "test"):
        arrays[f"{part}_labels"] = np.array(labels)[arrays[f"{part}_labels"]]
    arrays["test_labels"] = arrays["test_labels"][:, 0]
    arrays["val_labels"][:] = labels[1]  # one class of them
    dataset = load_images(save(tmp_path, arrays))
    assert dataset.classes == tuple(names)
    assert dataset.train["label"].tolist() == dataset.test["label"].tolist() == [0, 1, 2] * 2
    assert set(dataset.validation["label"].tolist()) == {1}
    assert dataset.notes[0].endswith("they are 3 classes, named by these numbers.")
    arrays["test_labels"][0] = 4
    with pytest.raises(ValueError, match="test_labels holds class 4, which train lacks"):
        load_images(save(tmp_path, arrays))
