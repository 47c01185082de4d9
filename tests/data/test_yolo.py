"""YOLO: what is read, what is said, what is refused by name."""

import numpy as np
import pytest

from dljax.data.sources.vision import load_boxes, truth
from tests.data.annotated_files import SIZE, boxes_of, paint, said, write


def yolo(root, labels, part="train"):
    for name, text in labels.items():
        paint(root / "images" / part / f"{name}.jpg")
        if text is not None:
            write(root / "labels" / part / f"{name}.txt", text)


def test_yolo_boxes_polygons_and_images_without_labels(tmp_path):
    labels = {
        "a": "0 0.5 0.5 1.0 1.0\n1.0 .375 .35 .25 .3\n\n",
        "b": "1 0.1 0.2 0.5 0.2 0.5 0.6\n",
        "c": "",
        "d": None,
        "e": "0 0.98 0.5 0.1 0.5",
    }
    yolo(tmp_path, labels)
    yolo(tmp_path, {"f": "0 0.5 0.5 0.5 0.5"}, "val")
    write(tmp_path / "labels" / "train" / "orphan.txt", "0 0.5 0.5 0.5 0.5")
    names = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
    write(tmp_path / "data.yaml", names)
    for name in (tmp_path, tmp_path / "data.yaml"):
        data = load_boxes(str(name), SIZE)
        found = boxes_of(data.train)
        np.testing.assert_allclose(
            [x[1:] for x in found["a.jpg"]], [[0, 0, 40, 20], [10, 4, 20, 10]]
        )
        assert [x[0] for x in found["a.jpg"]] == ["cat", "dog"]
        np.testing.assert_allclose(found["b.jpg"][0][1:], (4, 4, 20, 12))
        assert found["c.jpg"] == found["d.jpg"] == []
        np.testing.assert_allclose(found["e.jpg"][0][1:], (37.2, 5, 40, 15))
        assert said(data, "no label file", "d.jpg") and said(data, "polygons", "b.txt")
        assert said(data, "clipped", "e.txt") and said(data, "no image", "orphan.txt")
        assert truth(data.train)[0].id == "images/train/a"


def test_yolo_as_exported_with_paths_that_go_up(tmp_path):
    for part in ("train", "valid", "test"):
        paint(tmp_path / part / "images" / "x.jpg")
        write(tmp_path / part / "labels" / "x.txt", "0 0.5 0.5 0.5 0.5")
    names = (
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: [x]\n"
    )
    write(tmp_path / "data.yaml", names)
    data = load_boxes(str(tmp_path), SIZE)
    assert [len(x) for x in (data.train, data.validation, data.test)] == [1, 1, 1]
    assert boxes_of(data.test) == {"x.jpg": [("x", 10, 5, 30, 15)]}
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(ValueError, match="no names of classes: add data.yaml"):
        load_boxes(str(tmp_path), SIZE)
    write(tmp_path / "classes.txt", "x\n")
    assert len(load_boxes(str(tmp_path), SIZE).validation) == 1


def test_yolo_side_by_side_and_by_list_of_images(tmp_path):
    for k in range(5):
        paint(tmp_path / f"{k}.png")
        write(tmp_path / f"{k}.txt", "0 0.5 0.5 0.5 0.5")
    write(tmp_path / "classes.txt", "a thing\n")
    data = load_boxes(str(tmp_path), SIZE)
    assert len(data.train) == 4 and data.classes == ("a thing",) and not said(data, "classes.txt")
    write(tmp_path / "lists" / "t.txt", "0.png\n./../1.png\n")
    write(tmp_path / "lists" / "v.txt", "2.png\n")
    write(tmp_path / "data.yaml", "train: lists/t.txt\nval: [lists/v.txt]\nnames: ['a thing']\n")
    data = load_boxes(str(tmp_path), SIZE)
    assert (len(data.train), len(data.test)) == (2, 1)


YOLO_FAULTS = {
    "class": ("2 0.5 0.5 0.5 0.5", "b.txt, line 1: the class 2 is none of 0 to 1"),
    "negative": ("-1 0.5 0.5 0.5 0.5", "b.txt, line 1: the class -1"),
    "text": ("0 0.5 0.5 0.5 0.5\ncat 0.5 0.5 0.5 0.5", "b.txt, line 2 is no row of numbers"),
    "short": ("0 0.5 0.5 0.5", "b.txt, line 1 has 4 numbers"),
    "prediction": ("0 0.5 0.5 0.5 0.5 0.9", "b.txt, line 1 has six numbers"),
    "pixels": ("0 20 10 5 5", "b.txt, line 1: coordinates are shares .*not 20; pixels"),
    "nan": ("0 nan 0.5 0.5 0.5", "b.txt, line 1: coordinates"),
    "outside": ("0 1.5 0.5 0.5 0.5", "b.txt: the box .* lies mostly outside"),
    "even": ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "b.txt, line 1 has 8 numbers"),
}


@pytest.mark.parametrize("fault", YOLO_FAULTS)
def test_a_fault_of_yolo_is_refused_by_name(tmp_path, fault):
    text, message = YOLO_FAULTS[fault]
    yolo(tmp_path, {"a": "0 0.5 0.5 0.5 0.5", "b": text, "c": "1 0.5 0.5 0.5 0.5"})
    write(tmp_path / "classes.txt", "cat\ndog\n")
    with pytest.raises(ValueError, match=message) as error:
        load_boxes(str(tmp_path), SIZE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\nnames: [a, a]", "has the name 'a' twice"),
        ("train: images/train\nnc: 3\nnames: [a, b]", "nc is 3, but there are 2 names"),
        ("train: images/train\nnames: {0: a, 2: b}", "numbered from 0 without gaps"),
        ("train: nowhere\nnames: [a, b]", "names nowhere, and there is no"),
        ("train: [images", "data.yaml is no readable YAML"),
        ("train: images/train", "has no names of classes"),
    ],
)
def test_a_fault_of_data_yaml_is_refused_by_name(tmp_path, text, message):
    yolo(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"})
    write(tmp_path / "data.yaml", text)
    with pytest.raises(ValueError, match=message):
        load_boxes(str(tmp_path), SIZE)
