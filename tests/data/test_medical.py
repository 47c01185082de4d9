"""Medical images with labels: MedMNIST's layouts, folders, and patients who stay in one part."""

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources.medical import is_classification, medmnist, patients, reading
from dljax.data.sources.npz import medmnist_npz


def write(path, shape=(8, 8), labels=None, parts=("train", "val", "test"), count=6):
    """A .npz of random images; labels: of each part, by default 0, 1, 0, 1, ..."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part in parts:
        given = np.arange(count)[:, None] % 2 if labels is None else labels
        arrays[f"{part}_images"] = rng.integers(0, 256, (len(given), *shape)).astype(np.uint8)
        arrays[f"{part}_labels"] = given
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    "shape, read",
    [
        ((8, 8), (8, 8, 1)),
        ((8, 8, 3), (8, 8, 3)),
        ((8, 9, 1), (8, 9, 1)),
        ((8, 9, 10), (8, 9, 10, 1)),
        ((8, 9, 10, 1), (8, 9, 10, 1)),
        ((8, 9, 3, 3), (8, 9, 3, 3)),
    ],
)
def test_shapes(tmp_path, shape, read):
    data = medmnist.read(write(tmp_path / "a.npz", shape))
    assert {part: x["image"].shape for part, x in data.parts.items()} == {
        part: (6, *read) for part in ("train", "test", "validation")
    }
    assert data.parts["train"]["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert data.classes == ("0", "1") and not data.multi_label


def test_several_labels(tmp_path):
    labels = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0]])
    data = medmnist.read(write(tmp_path / "a.npz", labels=labels))
    assert data.multi_label and data.classes == ("0", "1", "2")
    np.testing.assert_array_equal(data.parts["test"]["label"], labels)


def test_names(tmp_path):
    data = medmnist.read(write(tmp_path / "BreastMNIST_64.npz"))
    assert data.classes == ("malignant", "normal or benign")
    assert "names of MedMNIST's breastmnist" in data.notes[0]
    assert medmnist.read(write(tmp_path / "octmnist.npz")).classes == ("0", "1")  # not its labels
    named = medmnist.read(write(tmp_path / "a.npz"), ("healthy", "ill"))
    assert named.classes == ("healthy", "ill") and not named.notes
    with pytest.raises(ValueError, match="has 2 classes: --class_names=a,b,c must name each once"):
        medmnist.read(write(tmp_path / "a.npz"), ("a", "b", "c"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"shape": (8,)}, r"train_images has the shape \[6, 8\]"),
        ({"labels": np.array([[0, 2], [1, 0]])}, "must hold 0 and 1 .*; it has 0 to 2"),
        ({"labels": np.array([[0, 1], [1, 1]])}, "label 1 is the same for all training images"),
        ({"labels": np.array([0, 2, 0, 2])}, "reach to 2 without 1: number the classes"),
        ({"labels": np.array([0, 0])}, "has one class only"),
        ({"labels": np.array([0, -1])}, "it has -1 to 0"),
        ({"labels": np.array([0.0, 1.0])}, "train_labels is float64; whole numbers"),
        ({"parts": ("train",)}, "has no array 'test_images'"),
    ],
)
def test_bad_files(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        medmnist.read(write(tmp_path / "a.npz", **arguments))


def test_a_class_that_train_lacks(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"{x}_images": rng.integers(0, 9, (3, 4, 4)).astype(np.uint8) for x in
              ("train", "test")}  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays, train_labels=[0, 1, 1], test_labels=[0, 1, 2])
    with pytest.raises(ValueError, match="test_labels holds class 2, which train lacks"):
        medmnist.read(str(tmp_path / "a.npz"))


def test_volumes_are_not_taken_for_images(tmp_path):
    with pytest.raises(ValueError, match=r"\[N, H, W\] or \[N, H, W, 3\] is needed"):
        medmnist_npz(write(tmp_path / "a.npz", (8, 8, 8)))


def paint(root, names):
    """A folder of 4 x 4 images."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(root / name)
    return str(root)


def test_kinds(tmp_path):
    for folder, names, expected in (
        ("classes", ("ill/a.png", "well/b.png"), True),
        ("parts", ("train/ill/a.png", "train/well/b.png", "test/ill/c.png"), True),
        ("masks", ("images/a.png", "masks/a.png"), False),
        ("divided_masks", ("train/images/a.png", "train/labels/a.png"), False),
        ("nnunet", ("imagesTr/a.png", "labelsTr/a.png"), False),
        ("flat", ("a.png", "b.png"), False),
    ):
        assert is_classification(paint(tmp_path / folder, names)) is expected, folder
    (tmp_path / "volumes" / "one").mkdir(parents=True)
    (tmp_path / "volumes" / "one" / "a.nii.gz").write_bytes(b"")
    assert not is_classification(str(tmp_path / "volumes"))
    assert is_classification("missing.npz") and not is_classification("brain")


NAMES = ("ill/p1-1.png", "ill/p1-2.png", "well/p2-1.png")


def test_patients_by_pattern():
    assert patients.patients_of(NAMES) is None
    assert patients.patients_of(NAMES, pattern=r"(\w+)-\d+") == ("p1", "p1", "p2")
    for pattern, message in (
        (r"\w+-\d+", "has 0 groups: one is needed"),
        (r"(", "is no regular expression"),
        (r"ill/(\w+)-", "names no patient of well/p2-1.png: every file needs one"),
    ):
        with pytest.raises(ValueError, match=message):
            patients.patients_of(NAMES, pattern=pattern)
    with pytest.raises(ValueError, match="both name patients"):
        patients.patients_of(NAMES, "table.csv", "(a)")


def test_patients_by_table(tmp_path):
    table = tmp_path / "who.csv"

    def found(text):
        table.write_text(text, encoding="utf-8-sig")
        return patients.patients_of(NAMES, str(table))

    rows = "ill/p1-1.png,Ann\np1-2.png,Ann\np2-1,Bob\n"  # by path, by name, without ending
    assert found(f"file,Patient\n{rows}") == ("Ann", "Ann", "Bob")
    for text, message in (
        (f"image,patient\n{rows}", "has no column 'file'"),
        ("file,patient\np1-1.png,Ann\n", r"names no patient of ill/p1-2.png, well/p2-1.png"),
        ("file,patient\np1-1.png,\n", "line 2: file or patient is empty"),
        (f"file,patient\n{rows}p2-1,Eve\n", "names several patients for well/p2-1.png: Bob, Eve"),
    ):
        with pytest.raises(ValueError, match=message):
            found(text)
    with pytest.raises(FileNotFoundError, match="There is no file .*nowhere.csv"):
        patients.patients_of(NAMES, str(tmp_path / "nowhere.csv"))


def test_a_patient_in_two_parts_is_refused():
    patients.check({"train": ("a", "a", "b"), "test": ("c",)})
    with pytest.raises(ValueError, match=r"patient 'b' has images in train and in test \(and 1"):
        patients.check({"train": ("a", "b"), "test": ("b", "a", "c")})


def test_patients_are_held_out_whole():
    names = [f"p{i // 3}" for i in range(30)]
    held = patients.split(names, 0.2)
    assert held.reshape(10, 3).all(1).sum() == 2 and held.sum() == 6
    again = patients.split([*names, "new"], 0.2)[:30]
    assert (again == held).mean() > 0.75
    assert (patients.split(names, 0.2, "other") != held).any()
    with pytest.raises(ValueError, match="all images are of patient 'a'"):
        patients.split(["a", "a"], 0.5)


def test_a_folder_is_divided_by_patients(tmp_path):
    """Of two classes, where a patient has images in both."""
    names = [f"{kind}/p{i}-{kind}{j}.png" for i in range(12) for kind in ("a", "b") for j in (0, 1)]
    root = paint(tmp_path / "set", names)
    data = reading.hold_out(reading.load(root, pattern=r"(p\d+)-", quiet=True), 0.2)
    counts = {part: (len(x["label"]), len(set(data.patients[part])))
              for part, x in data.parts.items()}  # fmt: skip
    assert counts == {"train": (32, 8), "test": (8, 2), "validation": (8, 2)}
    patients.check(data.patients)
    for part, x in data.parts.items():  # the image of each row is its patient's
        numbers = x["image"][:, 0, 0, 0]
        assert [names[i].split("/")[1].split("-")[0] for i in numbers] == list(data.patients[part])
        assert x["label"].tolist() == ["ab".index(names[i][0]) for i in numbers]
    assert any("a fifth of the patients" in note for note in data.notes)


def test_own_parts_that_share_a_patient(tmp_path):
    names = ["train/a/p1-1.png", "train/b/p2-1.png", "test/a/p1-2.png", "test/b/p3-1.png"]
    root = paint(tmp_path / "set", names)
    with pytest.raises(ValueError, match="patient 'p1' has images in train and in test"):
        reading.load(root, pattern=r"(p\d+)-", quiet=True)
    assert reading.load(root, quiet=True).patients is None


def test_a_part_without_a_class(tmp_path):
    root = paint(tmp_path / "set", ["a/p1-1.png", "a/p1-2.png", "b/p2-1.png", "b/p2-2.png"])
    with pytest.raises(ValueError, match="no patient of class '.' falls in"):
        reading.load(root, pattern=r"(p\d+)-", quiet=True)


def test_parts_for_validation(tmp_path):
    data = reading.load(write(tmp_path / "a.npz"))
    assert reading.hold_out(data, 0.1) is data
    joined = reading.hold_out(data, 0)
    assert set(joined.parts) == {"train", "test"} and len(joined.parts["train"]["label"]) == 12
    data = reading.load(write(tmp_path / "b.npz", parts=("train", "test"), count=20))
    held = reading.hold_out(data, 0.2).parts
    assert np.bincount(held["validation"]["label"]).tolist() == [2, 2]
    labels = np.tile([[0, 1, 1], [1, 0, 0]], (5, 1))
    data = reading.load(write(tmp_path / "c.npz", labels=labels, parts=("train", "test")))
    assert len(reading.hold_out(data, 0.2).parts["validation"]["label"]) == 2


def test_flags_that_do_not_fit(tmp_path):
    path, root = write(tmp_path / "a.npz"), paint(tmp_path / "set", ["a/1.png", "b/2.png"])
    with pytest.raises(ValueError, match="names no files, so --patients"):
        reading.load(path, pattern="(a)")
    with pytest.raises(ValueError, match="--image_size is for folders"):
        reading.load(path, size=(8, 8))
    with pytest.raises(ValueError, match="--class_names is for .npz files"):
        reading.load(root, classes=("a", "b"))
