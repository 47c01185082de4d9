"""Pascal VOC: what is read, what is said, what is refused by name."""

import pytest
from PIL import Image

from dljax.data.sources.image import Levels
from dljax.data.sources.vision import DIFFICULT, Scoring, load_boxes, truth
from tests.data.annotated_files import CAT, SIZE, boxes_of, paint, said, thing, voc, write, xml


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


def test_voc_in_folders_of_other_names(tmp_path):
    for k in range(5):
        paint(tmp_path / "1" / "images" / f"{k}.jpg")
        write(tmp_path / "1" / "annots" / f"{k}.xml", xml(CAT))
        paint(tmp_path / "2" / "images" / f"{k}.jpg")
        write(tmp_path / "2" / "annotations" / "xmls" / f"{k}.xml", xml(CAT))
    for name in "12":
        assert len(load_boxes(str(tmp_path / name), SIZE).train) == 4


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


@pytest.mark.parametrize(
    "lists, scored",
    [
        (None, "abc"),
        ({"train": ["a", "b"], "test": ["c"]}, "c"),
        ({"train": ["a"], "val": ["b", "c"]}, "bc"),
        ({"test": ["b"]}, "b"),
    ],
)
def test_a_set_to_score_a_network_on(tmp_path, lists, scored):
    """It needs no train part, its classes are those that are scored, its levels are given."""
    contents = {"a": xml(CAT), "b": xml(CAT), "c": xml(CAT, thing("dog", (1, 1, 9, 9)))}
    levels = Levels(0, 4095)
    data = load_boxes(voc(tmp_path, contents, lists), SIZE, scoring=Scoring(levels))
    assert "".join(name[0] for name in boxes_of(data.test)) == scored
    assert data.test.levels == levels and not len(data.train)
    assert said(data, "are scored") == (lists is None or "test" not in lists)


def test_one_image_or_none_with_a_box_to_score_a_network_on(tmp_path):
    assert (
        len(load_boxes(voc(tmp_path / "one", {"a": xml(CAT)}), SIZE, scoring=Scoring()).test) == 1
    )
    with pytest.raises(ValueError, match="no image that is scored has a box"):
        load_boxes(voc(tmp_path / "none", {"a": xml()}), SIZE, scoring=Scoring())
