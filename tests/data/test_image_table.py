"""Labels of images from a CSV, and images in a zip: what is read, and what is refused how."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dljax.data.images import in_memory_images, streamed_images
from dljax.data.sources import Columns, load_images
from dljax.data.sources.dataset import align_classes

AUTO = Columns(problem="auto")
FILES = [f"{i}.png" for i in range(12)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Twelve grey images, each of one level of its own."""
    root = tmp_path_factory.mktemp("images")
    for i, name in enumerate(FILES):
        Image.fromarray(np.full((4, 5), 20 * i, np.uint8)).save(root / name)
    return root


def table(images, header: str, cells, columns: Columns = AUTO, more: str = ""):
    """The set of a table in the folder of the images; cells: row -> what follows the file."""
    path = images / "table.csv"
    rows = [f"{name},{cells(i)}" for i, name in enumerate(FILES)]
    path.write_text("\n".join([header, *rows, *([more] if more else [])]) + "\n")
    return load_images(str(path), columns=columns, quiet=True)


def levels(arrays) -> list[int]:
    return (arrays["image"][:, 0, 0, 0] // 20).tolist()


def test_classes_and_a_split_column(images):
    parts = ["train", "Training", "test", "val"]
    data = table(images, "file,label,split", lambda i: f"{('b', '10', '9')[i % 3]},{parts[i // 3]}")
    assert data.classes == ("b", "9", "10") and data.problem == "classification"
    assert (levels(data.test), levels(data.validation)) == ([6, 7, 8], [9, 10, 11])
    assert levels(data.train) == list(range(6))
    assert data.train["label"].tolist() == [0, 2, 1, 0, 2, 1] == data.test["label"].tolist() * 2
    assert data.train["image"].shape == (6, 4, 5, 1) and data.files["test"][0] == "6.png"


def test_without_a_split_a_fifth_of_each_class_by_hash(images):
    data = table(images, "file,label", lambda i: "ab"[i % 2])
    assert np.bincount(data.test["label"]).tolist() == [1, 1]
    assert "names no test part" in data.notes[0]
    again = table(images, "file,label", lambda i: "ab"[i % 2])
    assert levels(again.test) == levels(data.test)


def test_a_folder_other_names_and_endings_that_are_left_out(images, tmp_path):
    path = tmp_path / "elsewhere.csv"
    rows = [f"{i};{'ab'[i % 2]};{i}" for i in range(12)]
    path.write_text("picture;species;age\n" + "\n".join(rows))
    columns = Columns("picture", ("species",), str(images))
    data = load_images(str(path), columns=columns, quiet=True)
    assert len(levels(data.train)) == 10 and data.left_out == ("columns that are not used: age",)


def test_several_labels_in_one_column_or_in_a_column_each(images):
    bars = table(images, "file,tags", lambda i: ("a", "a|b", "b", "c")[i % 4])
    assert bars.problem == "multi_label" and bars.classes == ("a", "b", "c")
    expected = [([1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1])[i % 4] for i in levels(bars.train)]
    assert bars.train["label"].tolist() == expected
    assert any("--problem=classification takes each cell for a class" in x for x in bars.notes)
    columns = Columns(label=("x", "y"), problem="auto")
    each = table(images, "file,x,y", lambda i: f"{i % 2},{i // 6}.0", columns)
    assert each.classes == ("x", "y")
    assert each.train["label"].tolist() == [[i % 2, i // 6] for i in levels(each.train)]
    turned = align_classes(each, ("y", "z", "x"))
    np.testing.assert_array_equal(turned.test["label"][:, [2, 0]], each.test["label"])
    assert not turned.test["label"][:, 1].any()
    with pytest.raises(ValueError, match="'y', which is none of the model's"):
        align_classes(each, ("x", "z"))
    plain = table(images, "file,tags", lambda i: ("a", "a|b")[i % 2], Columns())
    assert plain.classes == ("a", "a|b") and "'a|b' in tags is taken for a class" in plain.notes[0]


def test_what_is_scored_alone_needs_no_parts(images):
    """All rows, or those for test; paths may be absolute, classes one alone."""
    scored = AUTO._replace(scored=True)
    whole = table(images, "file,label", lambda i: "a", scored)
    assert levels(whole.test) == list(range(12)) and "12 of 12 images" in whole.notes[0]
    part = table(images, "file,label,split", lambda i: f"a,{('val', 'test')[i % 2]}", scored)
    assert levels(part.test) == [1, 3, 5, 7, 9, 11]
    path = images / "absolute.csv"
    rows = [f"{images / name},{'ab'[i % 2]}" for i, name in enumerate(FILES)]
    path.write_text("\n".join(["file,label", *rows]))
    elsewhere = AUTO._replace(folder=str(images.parent))
    assert len(levels(load_images(str(path), columns=elsewhere, quiet=True).test)) == 2


def test_numbers(images):
    columns = Columns(label=("age",), problem="regression")
    data = table(images, "file,age", lambda i: i / 4, columns)
    assert data.problem == "regression" and data.classes == ("age",)
    assert data.train["label"].dtype == np.float32
    np.testing.assert_array_equal(data.train["label"], np.array(levels(data.train)) / 4)
    assert align_classes(data, ("years",)) is data  # whatever the number is called
    record = in_memory_images(data, 4).record
    assert record.summary["number age"] == {"mean": 1.375, "least": 0.0, "greatest": 2.75}


@pytest.mark.parametrize(
    ("header", "cells", "columns", "message"),
    [
        ("file,kind", lambda i: "ab"[i % 2], AUTO, "no column is called label.*--label_column"),
        ("file,label,tags", lambda i: "a,b", AUTO, "each of label, tags may be the label"),
        ("picture,label", lambda i: "ab"[i % 2], AUTO, "no column is called file.*--file_column"),
        ("file,label", lambda i: "a", Columns(label=("lable",)), "'lable': did you mean label"),
        ("file,label", lambda i: "" if i == 3 else "a", AUTO, "line 5: label is empty: write"),
        ("file,label", lambda i: "a", AUTO, "one class only .a."),
        ("file,label", lambda i: i / 4, AUTO, "numbers like 0.0: --problem=regression"),
        ("file,label", lambda i: "ab"[i % 2], Columns(folder="nowhere"), "no folder nowhere"),
        ("file,label,split", lambda i: f"{'ab'[i % 2]},tset", AUTO, "line 2: split is 'tset'"),
        ("file,label,split", lambda i: f"{'ab'[i % 2]},test", AUTO, "has no row for train"),
        ("file,label,split", lambda i: f"{'abc'[i // 5]},{'train' if i < 10 else 'test'}", AUTO,
         "test has classes that train lacks: c"),
        ("file,x,y", lambda i: f"{i % 2},{i}", Columns(label=("x", "y"), problem="auto"),
         "line 4: y is '2'; a column of several holds 0 or 1"),
        ("file,age", lambda i: "NA" if i == 4 else i, Columns(label=("age",), problem="regression"),
         "line 6: age is 'NA', which is no number"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(images, header, cells, columns, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        table(images, header, cells, columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("gone.png,a", "1 of 13 files are not in .*: gone.png in line 14. --images=FOLDER"),
        ("./0.png,a", r"line 14: ./0.png stands in line 2 too"),
        (",a", "line 14: the name of the file is empty"),
    ],
)
def test_files_that_are_absent_or_doubled(images, row, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        table(images, "file,label", lambda i: "ab"[i % 2], more=row)


def test_what_would_have_no_effect_is_refused(images):
    with pytest.raises(ValueError, match="--label_column is for a .csv, and digits is none"):
        load_images("digits", columns=Columns(label=("x",)))
    with pytest.raises(ValueError, match="--problem=regression is for a .csv or .npz"):
        load_images("digits", columns=Columns(problem="regression"))
    table(images, "file,label", lambda i: "ab"[i % 2])
    with pytest.raises(ValueError, match="leave out --streaming"):
        streamed_images(str(images / "table.csv"), None, 4, size=(8, 8))


def packed(path: Path, entries: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return str(path)


def test_a_zip_is_read_as_its_folder(images, tmp_path):
    """With or without a folder around it; nothing stays on the disk."""
    entries = {
        f"{'ab'[i % 2]}/{name}": (images / name).read_bytes() for i, name in enumerate(FILES)
    }
    folder = tmp_path / "folder"
    for name, content in entries.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    plain = load_images(str(folder), quiet=True)
    for around in ("", "photos/"):
        path = packed(tmp_path / "set.zip", {around + name: x for name, x in entries.items()})
        data = load_images(path, quiet=True)
        assert data.name == path and data.classes == ("a", "b") and path in data.notes[0]
        for part in ("train", "test"):
            np.testing.assert_array_equal(
                getattr(data, part)["image"], getattr(plain, part)["image"]
            )
    assert {x.name for x in tmp_path.iterdir()} == {"folder", "set.zip"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../../evil.png", b"x", "leads outside of the archive"),
        ("/evil.png", b"x", "leads outside of the archive"),
        ("C:/evil.png", b"x", "leads outside of the archive"),
        ("a/bomb.png", b"\0" * 5_000_000, "unpacks to 5000000 bytes"),
        ("a/only.png", b"x", "set.zip: 1 of 1 images can't be read|one class only"),
    ],
)
def test_zips_that_are_refused(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_images(packed(tmp_path / "set.zip", {name: content}), quiet=True)
    assert "\n" not in str(caught.value) and not (tmp_path.parent / "evil.png").exists()


def test_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK rubbish")
    with pytest.raises(ValueError, match=r"x.zip is no readable .zip file"):
        load_images(str(tmp_path / "x.zip"))
