"""Folders of images and masks: layouts, refusals by name, fitting, memory and stream."""

import numpy as np
import pytest

from dljax.data import annotated
from dljax.data.sources.image import Levels
from dljax.data.sources.vision import IGNORE, Scoring, fit_mask, load_masks, unfit_mask
from tests.data.mask_files import (
    COLOURS,
    IDS,
    SHAPE,
    everything,
    masks_of,
    paint,
    pairs,
    picture,
    said,
    write,
)

A, B, C = np.zeros(SHAPE, np.uint8), IDS, np.ones(SHAPE, np.uint8)


@pytest.mark.parametrize(
    "layout",
    [
        {"images": "{}/images", "labels": "{}/masks"},
        {"images": "{}/Images", "labels": "{}/Labels", "parts": ("Training", "DEV", "Testing")},
        {"images": "images/{}", "labels": "annotations/{}", "parts": ("training", "valid", "test")},
        {"images": "{}", "labels": "{}annot", "parts": ("train", "val", "test")},
        {"images": "{}", "labels": "{}_labels", "ending": "_L.png"},
        {"images": "imgs/{}/city", "labels": "gt/{}/city", "ending": "_mask.png"},
    ],
)
def test_layouts_of_parts(tmp_path, layout):
    parts = layout.get("parts", ("train", "val", "test"))
    for part, name, mask in zip(parts, "abc", (B, A, C), strict=True):
        folders = {key: layout[key].format(part) for key in ("images", "labels")}
        pairs(tmp_path, {name: mask}, **folders, ending=layout.get("ending", ".png"))
    data = load_masks(str(tmp_path))
    sources = (data.train, data.validation, data.test)
    assert [list(masks_of(source)) for source in sources] == [["a"], ["b"], ["c"]]
    for source, mask in zip(sources, (B, A, C), strict=True):
        np.testing.assert_array_equal(source.arrays()["mask"][0], mask)


def test_a_flat_folder_with_and_without_lists(tmp_path):
    root = pairs(tmp_path, {str(k): IDS for k in range(10)})
    data = load_masks(root)
    assert (len(data.train), len(data.test)) == (8, 2) and said(data, "by hash")
    write(tmp_path / "train.txt", "1\n2.jpg\n")
    write(tmp_path / "val.txt", "images/3.jpg\n")
    data = load_masks(root)
    assert list(masks_of(data.train)) == ["1", "2"] and list(masks_of(data.test)) == ["3"]
    assert said(data, "7 images are in no list")


def test_voc_and_its_names(tmp_path):
    mask = np.array([[0, 15], [255, 0]], np.uint8)
    pairs(tmp_path, dict.fromkeys("abc", mask), "JPEGImages", "SegmentationClass")
    picture(tmp_path / "JPEGImages" / "other.jpg", (2, 2))
    for part, ids in (("train", "a b"), ("val", "c")):
        write(tmp_path / "ImageSets" / "Segmentation" / f"{part}.txt", ids.replace(" ", "\n"))
    data = load_masks(str(tmp_path))
    assert len(data.classes) == 21 and data.classes[15] == "person"
    assert said(data, "21 classes") and said(data, "1 images of JPEGImages/ have no mask")
    np.testing.assert_array_equal(everything(data)["c"], mask)


def test_folders_by_a_word_in_their_names_or_one_below(tmp_path):
    masks = {str(k): IDS for k in range(5)}
    pairs(tmp_path / "1", masks, "PNGImages", "PedMasks", ending="_mask.png")
    pairs(tmp_path / "2", masks, "images", "annotations/trimaps")
    write(tmp_path / "2" / "annotations" / "xmls" / "0.xml", "<annotation/>")
    for root in (tmp_path / "1", tmp_path / "2"):
        data = load_masks(str(root))
        assert (len(data.train), len(data.test)) == (4, 1) and not said(data, "left out")
        np.testing.assert_array_equal(data.train[0]["mask"], IDS)


def test_masks_beside_their_images(tmp_path):
    pairs(tmp_path / "1", {f"p{k}/x": IDS for k in range(5)}, ".", ".", ending="_mask.tif")
    pairs(tmp_path / "2" / "train", {"a": IDS}, ".", ".", ending="_L.png")
    pairs(tmp_path / "2" / "test", {"b": A}, ".", ".", ending="_L.png")
    for root, counts in ((tmp_path / "1", (4, 1)), (tmp_path / "2", (1, 1))):
        data = load_masks(str(root))
        assert (len(data.train), len(data.test)) == counts
        np.testing.assert_array_equal(data.train[0]["mask"], IDS)


def test_cityscapes(tmp_path):
    for part in ("train", "val", "test"):
        for kind in ("labelIds", "color", "instanceIds"):
            place = tmp_path / "gtFine" / part / "ulm"
            if part != "test":
                paint(place / f"ulm_0_gtFine_{kind}.png", IDS)
        picture(tmp_path / "leftImg8bit" / part / "ulm" / "ulm_0_leftImg8bit.png")
    data = load_masks(str(tmp_path))
    assert len(data.train) == len(data.test) == 1
    np.testing.assert_array_equal(data.train[0]["mask"], IDS)


def fault_size(root):
    paint(root / "masks" / "b.png", IDS.T)
    return "b.png is a mask of 3x4 pixels, its image has 4x3"


def fault_png(root):
    (root / "masks" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return "b.png is no readable mask .*: repair or remove"


def fault_truncated(root):
    noise = np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint8)
    paint(root / "masks" / "b.png", noise)
    whole = (root / "masks" / "b.png").read_bytes()
    (root / "masks" / "b.png").write_bytes(whole[:-30])
    return "b.png is no readable mask"


def fault_id(root):
    paint(root / "masks" / "b.png", IDS + 1)
    return "b.png has the class id 3 .* which is none of 0, 1, 2 .*classes.txt"


def fault_image(root):
    (root / "images" / "b.jpg").write_bytes(b"no image")
    return "b.jpg .*is no readable image"


def fault_lacks(root):
    for name in "ab":
        (root / "masks" / f"{name}.png").unlink()
    return "2 of 3 images have no mask: images/a.jpg, images/b.jpg"


def fault_twice(root):
    paint(root / "masks" / "b_mask.png", IDS)
    return "b.jpg may have the masks masks/b.png, masks/b_mask.png"


def fault_stem(root):
    picture(root / "images" / "b.png")
    return "images/b.jpg, images/b.png share one mask"


def fault_jpeg(root):
    (root / "masks" / "b.png").unlink()
    paint(root / "masks" / "b.jpg", IDS * 60)
    return "b.jpg is a JPEG, which blurs class ids"


def fault_float(root):
    (root / "masks" / "b.png").unlink()
    paint(root / "masks" / "b.tif", IDS.astype(np.float32))
    return "b.tif is a mask of mode F"


def fault_colours(root):
    paint(root / "masks" / "b.png", np.array(COLOURS, np.uint8)[IDS])
    return "b.png holds colours, but .*classes.txt has none"


def fault_lists(root):
    write(root / "labels.txt", "x\n")
    return "has classes.txt, labels.txt: keep one"


FAULTS = (
    *(fault_size, fault_png, fault_truncated, fault_id, fault_image, fault_lacks, fault_twice),
    *(fault_stem, fault_jpeg, fault_float, fault_colours, fault_lists),
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_by_name(tmp_path, fault):
    root = pairs(tmp_path, dict.fromkeys("abc", IDS))
    write(tmp_path / "classes.txt", "x\ny\nz\n")
    message = fault(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        everything(load_masks(root))
    assert "\n" not in str(error.value)


def test_what_is_left_out_is_said(tmp_path):
    root = pairs(tmp_path, dict.fromkeys("abc", IDS))
    (tmp_path / "masks" / "a.png").unlink()
    paint(tmp_path / "masks" / "z.png", IDS)
    data = load_masks(root)
    assert said(data, "left out 1 of 3", "images/a.jpg") and said(data, "no image", "z.png")


def test_sizes_differ(tmp_path):
    root = pairs(tmp_path, {"a": IDS, "b": np.zeros((4, 8), np.uint8), "c": IDS})
    with pytest.raises(ValueError, match="differ in size"):
        load_masks(root)
    data = load_masks(root, (6, 8))
    found = everything(data)
    np.testing.assert_array_equal(found["a"], np.repeat(np.repeat(IDS, 2, 0), 2, 1))
    np.testing.assert_array_equal(found["b"][:4], 0)
    np.testing.assert_array_equal(found["b"][4:], IGNORE)
    b = next(
        source.whole(k)
        for source in (data.train, data.test)
        for k, name in enumerate(source.names())
        if name.endswith("b.jpg")
    )
    assert b["image"].shape == (4, 8, 3) and b["mask"].shape == (4, 8)


@pytest.mark.parametrize("fit", ["letterbox", "pad", "stretch"])
def test_masks_go_back_to_their_size(fit):
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(unfit_mask(fit_mask(mask, (9, 16), fit), (3, 4), fit), mask)
    assert unfit_mask(fit_mask(mask, (2, 2), fit), (3, 4), fit).shape == (3, 4)


def test_memory_and_stream_agree_and_the_record_has_shares(tmp_path):
    data = load_masks(pairs(tmp_path, {str(k): IDS for k in range(10)}))
    memory = annotated.in_memory(data, 4, validation=0)
    streamed = annotated.streamed(data, 4, validation=0)
    assert memory.validation is None and set(memory.arrays) == {"train", "test"}
    item = streamed.train.chunk(0, 0, 2)
    assert item["mask"].shape == (2, 4, *SHAPE) and item["image"].shape == (2, 4, *SHAPE, 3)
    summary = memory.record.summary
    assert summary["percent of pixels, test"] == {"0": 25.0, "1": 25.0, "2": 50.0}
    assert summary["percent ignored, train"] == 0 and summary["shape"] == [3, 4, 3]
    assert set(streamed.record.fingerprint()["digests"]) == {"train content", "test content"}
    assert memory.record.lines()


def test_classes_are_named(tmp_path):
    """Of 0 and 255 in their order, of ids in theirs; as many as there are, and without a list."""
    root = pairs(tmp_path / "two", dict.fromkeys("abc", (IDS == 1) * np.uint8(255)))
    data = load_masks(root, classes=("membrane", "cell"))
    assert data.classes == ("membrane", "cell") and said(data, "0 is 'membrane', 255 'cell'")
    np.testing.assert_array_equal(data.train[0]["mask"], IDS == 1)
    with pytest.raises(ValueError, match="0 and 255 alone, two classes, but 3 are named: a, b, c"):
        load_masks(root, classes=tuple("abc"))
    root = pairs(tmp_path / "ids", dict.fromkeys("abc", IDS * 5))
    assert load_masks(root, classes=tuple("abcdefghijk")).classes[10] == "k"
    with pytest.raises(ValueError, match="no ids of the 3 classes named"):
        load_masks(root, classes=tuple("abc"))
    write(tmp_path / "two" / "classes.txt", "x\ny\n")
    with pytest.raises(ValueError, match="classes.txt lists the classes x, y, not a, b"):
        load_masks(str(tmp_path / "two"), classes=("a", "b"))
    assert load_masks(str(tmp_path / "two"), classes=("x", "y")).classes == ("x", "y")
    with pytest.raises(ValueError, match="scenes of 96x96 names its classes itself"):
        load_masks("scenes", classes=("a", "b"))


def test_nothing_that_is_known(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or file"):
        load_masks(str(tmp_path / "no"))
    with pytest.raises(ValueError, match="Unknown data set 'camvid'"):
        load_masks("camvid")
    with pytest.raises(ValueError, match="has no images/ with masks/"):
        load_masks(str(tmp_path))
    pairs(tmp_path, {"a": IDS}, "images/train", "masks/train")
    picture(tmp_path / "images" / "val" / "b.jpg")
    with pytest.raises(ValueError, match="has val/, and .* has not"):
        load_masks(str(tmp_path))


def test_a_set_to_score_a_network_on(tmp_path):
    """A test part alone, or all of a set without parts; what masks mean is told by all parts."""
    pairs(tmp_path / "flat", {"a": B})
    flat = load_masks(str(tmp_path / "flat"), scoring=Scoring(Levels(0, 9)))
    assert len(flat.test) == 1 and not len(flat.train) and flat.test.levels == Levels(0, 9)
    assert said(flat, "all images are scored")
    pairs(tmp_path / "parts" / "test", {"c": A})
    assert len(load_masks(str(tmp_path / "parts"), scoring=Scoring()).test) == 1
    pairs(tmp_path / "parts" / "train", {"a": B})
    parts = load_masks(str(tmp_path / "parts"), scoring=Scoring())
    assert len(parts.test) == 1 and parts.classes == flat.classes
