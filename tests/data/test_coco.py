"""COCO JSON: what is read, what is said, what is refused by name."""

import json

import pytest

from dljax.data.sources.vision import CROWD, Scoring, load_boxes, truth
from tests.data.annotated_files import CAT, SIZE, boxes_of, paint, said, write, xml


def coco(images, annotations, categories=((1, "cat"), (7, "dog"))):
    return {
        "images": [{"id": i, "file_name": f, "width": 40, "height": 20} for i, f in images],
        "annotations": [
            {"id": k, "image_id": i, "category_id": c, "bbox": list(b), "iscrowd": 0, **more}
            for k, (i, c, b, *rest) in enumerate(annotations)
            for more in [rest[0] if rest else {}]
        ],
        "categories": [{"id": i, "name": name} for i, name in categories],
    }


def dump(path, content):
    write(path, json.dumps(content))


def test_coco_ids_with_gaps_crowd_area_and_images_without_boxes(tmp_path):
    for part, names in (("train2017", "ab"), ("val2017", "c")):
        for name in names:
            paint(tmp_path / part / f"{name}.jpg")
    annotations = [
        (90, 7, (10, 4, 10, 6), {"area": 33.5}),
        (90, 1, (0, 0, 40.5, 20)),
        (
            90,
            1,
            (0, 0, 40, 20),
            {"iscrowd": 1, "segmentation": {"size": [20, 40], "counts": [800]}},
        ),
        (90, 1, (5, 5, 0, 3)),
    ]
    folder = tmp_path / "annotations"
    dump(folder / "instances_train2017.json", coco([(90, "a.jpg"), (5, "b.jpg")], annotations))
    dump(folder / "instances_val2017.json", coco([(3, "c.jpg")], [(3, 7, (1, 1, 2, 2))]))
    dump(folder / "captions_val2017.json", {"images": [], "annotations": [], "info": {}})
    data = load_boxes(str(tmp_path), SIZE)
    assert data.classes == ("cat", "dog") and data.category_ids == (1, 7)
    assert boxes_of(data.train) == {
        "a.jpg": [("dog", 10, 4, 20, 10), ("cat", 0, 0, 40, 20), ("cat", 0, 0, 40, 20)],
        "b.jpg": [],
    }
    first = truth(data.train)[0]
    assert first.id == 90 and first.flags.tolist() == [0, 0, CROWD]
    assert first.areas.tolist() == [33.5, 800, 800]
    assert said(data, "clipped", "image 90") and said(data, "without area", "image 90")
    assert said(data, "serve as test") and said(data, "there twice", "a.jpg")


def test_coco_with_ids_as_strings_in_folders_beside_the_images(tmp_path):
    for part in ("train", "valid", "test"):
        paint(tmp_path / part / "deep" / "x.png")
        content = coco(
            [("1", "deep\\x.png")],
            [(1, "c2", (1, 2, 3, 4))],
            [("c10", "dog"), ("c2", "cat"), ("c1", "none")],
        )
        dump(tmp_path / part / "_annotations.coco.json", content)
    data = load_boxes(str(tmp_path), SIZE)
    assert [len(x) for x in (data.train, data.validation, data.test)] == [1, 1, 1]
    assert data.category_ids == ("c1", "c10", "c2") and said(data, "without a training box")
    assert boxes_of(data.test) == {"x.png": [("cat", 1, 2, 4, 6)]}
    assert truth(data.test)[0].id == "1"


def test_one_coco_file_is_split_by_hash_and_boxes_come_of_segments(tmp_path):
    for k in range(5):
        paint(tmp_path / "images" / f"{k}.jpg")
    segment = {"bbox": [], "segmentation": [[2, 3, 12, 3, 12, 9], [20, 1, 22, 1, 22, 2]]}
    content = coco([(k, f"{k}.jpg") for k in range(5)], [(k, 1, (), segment) for k in range(5)])
    dump(tmp_path / "boxes.json", content)
    for name in (tmp_path, tmp_path / "boxes.json"):
        data = load_boxes(str(name), SIZE)
        assert (len(data.train), len(data.test)) == (4, 1) and said(data, "by hash")
        assert next(iter(boxes_of(data.test).values())) == [("cat", 2, 1, 22, 9)]
        assert said(data, "have no bbox")


def coco_fault(change):
    content = coco([(1, "a.jpg"), (2, "b.jpg")], [(1, 1, (1, 1, 5, 5)), (2, 7, (1, 1, 5, 5))])
    change(content)
    return content


def of_second(**values):
    return lambda c: c["annotations"][1].update(values)


COCO_FAULTS = {
    "no annotations": (lambda c: c.pop("annotations"), "has no list 'annotations'"),
    "image id": (of_second(image_id=9), r"annotations\[1\] is of the image 9"),
    "category": (of_second(category_id=3), "image 2 .b.jpg.: the category 3 is not among"),
    "bbox": (of_second(bbox=[1, 2, 3]), r"image 2 .b.jpg.: .*not \[x, y, width, height\]"),
    "text": (of_second(bbox=[1, 2, "a", 3]), r"image 2 .b.jpg.: .*not \[x, y"),
    "outside": (of_second(bbox=[100, 2, 30, 3]), "image 2 .b.jpg.: .*mostly outside"),
    "no field": (lambda c: c["images"][1].pop("file_name"), r"images\[1\] lacks"),
    "twice": (lambda c: c["images"][1].update(id="1"), "the id '1' is there twice in images"),
    "names": (lambda c: c["categories"][1].update(name="cat"), "two categories are named 'cat'"),
    "size": (lambda c: c["images"][1].update(width=41), "b.jpg is 40x20 pixels, but annotated as"),
    "missing": (
        lambda c: [x.update(file_name="no.jpg") for x in c["images"]],
        "2 of 2 images of train.json are missing: no.jpg",
    ),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_a_fault_of_coco_is_refused_by_name(tmp_path, fault):
    change, message = COCO_FAULTS[fault]
    for name in "ab":
        paint(tmp_path / f"{name}.jpg")
    dump(tmp_path / "train.json", coco_fault(change))
    with pytest.raises(ValueError, match=message) as error:
        load_boxes(str(tmp_path / "train.json"), SIZE)
    assert "\n" not in str(error.value)


def test_coco_files_that_are_none_or_ambiguous(tmp_path):
    paint(tmp_path / "a.jpg")
    write(tmp_path / "train.json", '{"images": [')
    with pytest.raises(ValueError, match="train.json is no readable JSON"):
        load_boxes(str(tmp_path / "train.json"), SIZE)
    write(tmp_path / "train.json", "[]")
    with pytest.raises(ValueError, match="train.json is no COCO JSON: it is a list"):
        load_boxes(str(tmp_path / "train.json"), SIZE)
    content = coco([(1, "a.jpg")], [(1, 1, (1, 1, 5, 5))])
    dump(tmp_path / "one.json", content)
    dump(tmp_path / "two.json", content)
    with pytest.raises(ValueError, match="part of one.json is not told"):
        load_boxes(str(tmp_path), SIZE)
    (tmp_path / "two.json").unlink()
    write(tmp_path / "a.xml", xml(CAT))
    with pytest.raises(ValueError, match="Pascal VOC and COCO: name"):
        load_boxes(str(tmp_path), SIZE)


def test_one_part_of_coco_is_read_to_score_a_network_on(tmp_path):
    """With categories that train lacks, and without train at all."""
    dump(tmp_path / "test" / "_annotations.coco.json", coco([(1, "a.jpg")], [(1, 7, (1, 1, 9, 9))]))
    dump(tmp_path / "train" / "x.json", coco([(1, "a.jpg")], [], categories=((1, "cat"),)))
    for part in ("test", "train"):
        paint(tmp_path / part / "a.jpg")
    for _ in range(2):
        data = load_boxes(str(tmp_path), SIZE, scoring=Scoring())
        assert boxes_of(data.test) == {"a.jpg": [("dog", 1, 1, 10, 10)]}
        (tmp_path / "train" / "x.json").unlink(missing_ok=True)
