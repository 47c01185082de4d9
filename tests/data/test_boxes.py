"""Pascal VOC, COCO and YOLO: what is read, what is said, what is refused by name."""

import json

import numpy as np
import pytest
from PIL import Image

from dljax.data import annotated
from dljax.data.sources.vision import (
    CROWD,
    DIFFICULT,
    fit_boxes,
    load_boxes,
    truth,
    unfit_boxes,
)
from dljax.data.streaming import stream

SIZE = (32, 32)


def paint(path, width=40, height=20, level=90, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), level, np.uint8)).save(path, **options)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def boxes_of(source):
    """{name of the image: [(class, *box)]}"""
    return {
        name.rsplit("/")[-1]: [
            (source.classes[label], *box)
            for label, box in zip(each.labels, each.boxes.tolist(), strict=True)
        ]
        for name, each in zip(source.names(), truth(source), strict=True)
    }


def said(data, *words):
    """Whether one note has all these words."""
    return any(all(word in note for word in words) for note in data.notes)


# Pascal VOC


def thing(name, box, extra=""):
    corners = "".join(
        f"<{c}>{v}</{c}>" for c, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def xml(*things, filename="", size=(40, 20)):
    width, height = size
    return (
        f"<annotation><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{''.join(things)}</annotation>"
    )


def voc(root, contents, lists=None):
    """Annotations/ID.xml of {id: XML}, and JPEGImages/ID.jpg of each."""
    for name, text in contents.items():
        write(root / "Annotations" / f"{name}.xml", text)
        paint(root / "JPEGImages" / f"{name}.jpg")
    for part, ids in (lists or {}).items():
        write(root / "ImageSets" / "Main" / f"{part}.txt", "\n".join(ids) + "\n")
    return str(root)


CAT = thing("cat", (1, 1, 40, 20))


def test_voc_counts_from_one_and_includes_the_last_pixel(tmp_path):
    contents = {
        "a": xml(thing(" cat ", (1, 1, 40, 20)), thing("dog", (11, 5, 20, 10)), filename="a.jpg"),
        "b": xml(thing("dog", (2, 2, 2, 9)), thing("cat", (30, 12, 21, 3)), filename="b"),
        "c": xml(thing("dog", (1, 1, 4, 4), "<difficult>1</difficult>"), filename="c.png"),
        "d": xml(filename="/home/me/d.jpeg"),
        "e": xml(CAT),
    }
    lists = {"train": ["a", "b.jpg"], "val": ["c 1"], "test": ["d"], "cat_train": ["a 1"]}
    data = load_boxes(voc(tmp_path, contents, lists), SIZE)
    assert data.classes == ("cat", "dog") and data.category_ids == (1, 2)
    assert boxes_of(data.train) == {
        "a.jpg": [("cat", 0, 0, 40, 20), ("dog", 10, 4, 20, 10)],
        "b.jpg": [("cat", 20, 2, 30, 12)],
    }
    assert truth(data.validation)[0].flags.tolist() == [DIFFICULT]
    assert boxes_of(data.test) == {"d.jpg": []}
    assert said(data, "without area", "b.xml") and said(data, "reversed", "b.xml")
    assert said(data, "in no list of ImageSets", "e.jpg") and said(data, "1 images have no box")


def test_voc_in_folders_of_parts_with_files_side_by_side(tmp_path):
    for part, count in (("train", 3), ("valid", 2)):
        for k in range(count):
            paint(tmp_path / part / f"{k}.png")
            # 0 occurs: edges; <size> of 0 is not given
            text = xml(thing("x", (0, 0, 40, 20)), filename=f"{k}.png", size=(0, 0))
            write(tmp_path / part / f"{k}.xml", text)
    data = load_boxes(str(tmp_path), SIZE)
    assert len(data.train) == 3 and len(data.test) == 2 and data.validation is None
    assert boxes_of(data.test)["0.png"] == [("x", 0, 0, 40, 20)]
    assert said(data, "count from 0") and said(data, "serve as test")


def test_voc_below_a_devkit_is_split_by_hash(tmp_path):
    voc(tmp_path / "VOCdevkit" / "VOC2007", {f"{k}": xml(CAT) for k in range(10)})
    data = load_boxes(str(tmp_path), SIZE)
    assert (len(data.train), len(data.test)) == (8, 2) and said(data, "by hash")
    voc(tmp_path / "VOCdevkit" / "VOC2012", {"0": xml(CAT)})
    with pytest.raises(ValueError, match="VOC2007, VOC2012: name one"):
        load_boxes(str(tmp_path / "VOCdevkit"), SIZE)


def test_voc_finds_an_image_by_filename_and_refuses_what_is_ambiguous(tmp_path):
    root = voc(tmp_path, {"a": xml(CAT), "b": xml(CAT, filename="c.png")})
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    paint(tmp_path / "JPEGImages" / "c.png")
    assert len(load_boxes(root, SIZE).train) == 1
    paint(tmp_path / "JPEGImages" / "b.jpg")
    with pytest.raises(ValueError, match="b.xml names c.png, but there is b.jpg"):
        load_boxes(root, SIZE)
    (tmp_path / "JPEGImages" / "c.png").unlink()
    paint(tmp_path / "JPEGImages" / "b.bmp")
    with pytest.raises(ValueError, match="b.xml: its image may be b.bmp, b.jpg"):
        load_boxes(root, SIZE)


VOC_FAULTS = {
    "xml": ("<annotation><object>", "b.xml is no readable XML"),
    "root": ("<html/>", "b.xml is no Pascal VOC annotation"),
    "name": (xml(thing("", (1, 1, 4, 4))), "b.xml: object 1 has no <name>"),
    "no box": (xml("<object><name>x</name></object>"), "b.xml: object 1 .x. has no <bndbox>"),
    "text": (xml(thing("cat", (1, 1, "?", 4))), "b.xml: .*no four numbers"),
    "nan": (xml(thing("cat", (1, 1, "nan", 4))), "b.xml: .*no finite number"),
    "shares": (xml(thing("cat", (0.1, 0.1, 0.5, 0.5))), "b.xml: .*as shares"),
    "absurd": (xml(thing("cat", (300, 1, 400, 9))), "b.xml: .*outside of its image of 40x20"),
    "size": (xml(CAT, size=(80, 40)), "b.jpg is 40x20 pixels, but annotated as 80x40"),
}


@pytest.mark.parametrize("fault", VOC_FAULTS)
def test_a_fault_of_voc_is_refused_by_name(tmp_path, fault):
    text, message = VOC_FAULTS[fault]
    root = voc(tmp_path, {"a": xml(CAT), "b": text, "c": xml(CAT)})
    with pytest.raises(ValueError, match=message) as error:
        load_boxes(root, SIZE)
    assert "\n" not in str(error.value)


def test_voc_classes_images_and_annotations_that_lack(tmp_path):
    lists = {"train": ["a"], "test": ["b"]}
    root = voc(tmp_path, {"a": xml(CAT), "b": xml(thing("Cat", (1, 1, 4, 4)))}, lists)
    with pytest.raises(ValueError, match="b.jpg: test has the class 'Cat', which no training"):
        load_boxes(root, SIZE)
    write(tmp_path / "classes.txt", "cat\nCat\n")
    data = load_boxes(root, SIZE)
    assert data.classes == ("cat", "Cat") and said(data, "differ in case")
    write(tmp_path / "ImageSets" / "Main" / "test.txt", "b\nb\nmissing\n")
    assert said(load_boxes(root, SIZE), "left out 1 of 3", "ids of test", "missing")
    write(tmp_path / "ImageSets" / "Main" / "test.txt", "lost\nmissing\n")
    with pytest.raises(ValueError, match="2 of 2 ids of test have no annotation"):
        load_boxes(root, SIZE)
    write(tmp_path / "ImageSets" / "Main" / "test.txt", "a\nb\n")
    paint(tmp_path / "JPEGImages" / "new.jpg")
    data = load_boxes(root, SIZE)
    assert said(data, "1 test images are training images too", "a.jpg")
    assert said(data, "no annotation", "new.jpg")
    for name in ("a", "b"):
        (tmp_path / "JPEGImages" / f"{name}.jpg").unlink()
    with pytest.raises(ValueError, match="2 of 2 annotations have no image"):
        load_boxes(root, SIZE)


def test_a_broken_image_is_refused_by_name(tmp_path):
    root = voc(tmp_path, {name: xml(CAT, size=(0, 0)) for name in "abc"})
    whole = (tmp_path / "JPEGImages" / "b.jpg").read_bytes()
    (tmp_path / "JPEGImages" / "b.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b.jpg .*is no readable image: repair or remove"):
        load_boxes(root, SIZE)
    (tmp_path / "JPEGImages" / "b.jpg").write_bytes(whole[:-12])
    data = load_boxes(root, SIZE)
    with pytest.raises(ValueError, match=r"b.jpg .*is no readable image"):
        [source.arrays() for source in (data.train, data.test)]


def test_exif_orientation_follows_the_annotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    root = voc(tmp_path, {"a": xml(CAT), "b": xml(CAT), "c": xml(CAT, size=(20, 40))})
    for name in "bc":
        paint(tmp_path / "JPEGImages" / f"{name}.jpg", exif=exif)
    write(tmp_path / "Annotations" / "c.xml", xml(thing("cat", (1, 1, 20, 40)), size=(20, 40)))
    data = load_boxes(root, (40, 40))
    assert said(data, "as stored", "b.jpg") and not said(data, "as stored", "c.jpg")
    sizes = [each.size for source in (data.train, data.test) for each in truth(source)]
    assert sorted(sizes) == [(20, 40), (20, 40), (40, 20)]
    for source in (data.train, data.test):
        source.arrays()


# COCO


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


# YOLO


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


# What is common


def test_nothing_that_is_known(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or file"):
        load_boxes(str(tmp_path / "no"), SIZE)
    with pytest.raises(ValueError, match="Unknown data set 'bccd'"):
        load_boxes("bccd", SIZE)
    paint(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="no annotations that are known"):
        load_boxes(str(tmp_path), SIZE)
    with pytest.raises(ValueError, match="a file that is not read here"):
        load_boxes(str(tmp_path / "a.jpg"), SIZE)
    with pytest.raises(ValueError, match="give a size"):
        load_boxes(str(tmp_path))


@pytest.mark.parametrize("fit", ["letterbox", "pad", "stretch"])
def test_boxes_of_fitted_images_go_back(fit):
    rng = np.random.default_rng(0)
    sizes = np.array([[20, 40], [300, 77], [33, 33]])
    corners = np.sort(rng.uniform(0, 1, (3, 5, 2, 2)), axis=2).reshape(3, 5, 4)
    boxes = corners * sizes[:, None, [1, 0, 1, 0]]
    fitted = np.stack(
        [fit_boxes(b, tuple(s), (64, 48), fit) for b, s in zip(boxes, sizes.tolist(), strict=True)]
    )
    assert fitted[..., 2].max() <= 48 and fitted[..., 3].max() <= 64
    np.testing.assert_allclose(unfit_boxes(fitted, sizes, (64, 48), fit), boxes)


def test_a_letterboxed_image_and_its_boxes(tmp_path):
    root = voc(tmp_path, {name: xml(thing("cat", (21, 1, 40, 20))) for name in "abc"})
    for name in "abc":
        image = np.zeros((20, 40, 3), np.uint8)
        image[:, 20:] = 255
        Image.fromarray(image).save(tmp_path / "JPEGImages" / f"{name}.jpg", quality=95)
    example = load_boxes(root, (30, 20)).train[0]
    assert example["image"].shape == (30, 20, 3) and example["size"].tolist() == [20, 40]
    assert example["boxes"].tolist() == [[10, 0, 20, 10]] and example["labels"].tolist() == [0]
    assert (example["image"][:10, :9] < 20).all() and (example["image"][:10, 11:] > 235).all()
    assert (example["image"][10:] == 114).all()
    assert load_boxes(root, (30, 20), "stretch").train[0]["boxes"].tolist() == [[10, 0, 20, 30]]
    assert load_boxes(root, (30, 60), "pad").train[0]["boxes"].tolist() == [[20, 0, 40, 20]]


def test_memory_and_stream_agree_and_the_record_counts(tmp_path):
    contents = {f"{k}": xml(CAT, *[thing("dog", (1, 1, 2 + k, 9))] * (k % 2)) for k in range(10)}
    root = voc(tmp_path, contents)
    data = load_boxes(root, SIZE)
    memory = annotated.in_memory(data, 4, validation=0.25)
    streamed = annotated.streamed(data, 4, validation=0.25)
    assert len(memory.arrays["validation"]["image"]) == 2
    for part, arrays in memory.arrays.items():
        with stream(streamed.sources[part], 3) as reader:
            batches = list(reader.evaluation_batches())
        for name, array in arrays.items():
            rows = [batch[name][mask > 0] for batch, mask in batches]
            np.testing.assert_array_equal(np.concatenate(rows), array)
    record = memory.record
    assert record.summary["images"] == {"train": 6, "validation": 2, "test": 2}
    totals = [record.summary[f"boxes, {part}"] for part in memory.arrays]
    assert sum(x["cat"] for x in totals) == 10 and sum(x["dog"] for x in totals) == 5
    assert record.summary["original widths"] == [40, 40]
    assert any("by hash" in line for line in record.lines())
    write(tmp_path / "Annotations" / "0.xml", xml(thing("cat", (1, 1, 39, 20))))
    other = annotated.in_memory(load_boxes(root, SIZE), 4, validation=0.25).record
    assert other.fingerprint() != record.fingerprint()
    assert set(memory.train.chunk(0, 0, 2).shape) == {2, 4}
