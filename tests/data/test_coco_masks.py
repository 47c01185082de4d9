"""COCO's polygons and run-length codes as masks, compared with pycocotools."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_code

from dljax.data.sources.vision import load_masks
from dljax.data.sources.vision.coco_segments import decompress, polygon_mask, segment_mask
from tests.data.mask_files import everything, picture, said, write


def test_a_polygon_by_hand():
    square = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], float)
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(polygon_mask(square, (5, 6)), expected)


def test_run_length_codes_by_hand():
    # Down the columns: 2 outside, 3 inside, 1 outside.
    mask = segment_mask({"size": [2, 3], "counts": [2, 3, 1]}, (2, 3), "x")
    assert mask.tolist() == [[False, True, True], [False, True, False]]
    assert decompress("231") == [2, 3, 1]
    # From the fourth run on, the difference to the run before last; 40 takes two characters.
    assert decompress("23X1N") == [2, 3, 40, 1]
    compressed = segment_mask({"size": [2, 3], "counts": "231"}, (2, 3), "x")
    np.testing.assert_array_equal(compressed, mask)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ({"size": [3, 2], "counts": [6]}, r"of the size \[3, 2\] .* its image of \[2, 3\]"),
        ({"size": [2, 3], "counts": [5]}, "does not fill its 3x2 pixels"),
        ({"size": [2, 3], "counts": "2"}, "does not fill"),
        ({"size": [2, 3], "counts": "\x01"}, "does not fill"),
        ({"counts": None}, "does not fill"),
        ([[1, 2, 3, 4]], "no list of polygons"),
        ([[1, 2, 3, 4, 5, 6, 7]], "no list of polygons"),
        ([["a"] * 6], "no list of polygons"),
        ([[1, 2, 3, 4, 5, float("nan")]], "no finite number"),
        ("text", "no list of polygons"),
    ],
)
def test_a_faulty_segment_is_refused(segment, message):
    with pytest.raises(ValueError, match=f"^here: .*{message}"):
        segment_mask(segment, (2, 3), "here")


def test_against_pycocotools():
    rng = np.random.default_rng(0)
    for trial in range(200):
        height, width = (int(x) for x in rng.integers(3, 60, 2))
        corners = int(rng.integers(3, 9))
        shape = rng.uniform(-5, 65, (corners, 2))
        if trial % 3 == 0:
            shape = np.round(shape)
        flat = [shape.ravel().tolist(), (shape[:3] / 2).ravel().tolist()]
        codes = coco_code.frPyObjects(flat, height, width)
        expected = coco_code.decode(coco_code.merge(codes))
        np.testing.assert_array_equal(segment_mask(flat, (height, width), ""), expected)
        code = coco_code.merge(codes)
        np.testing.assert_array_equal(segment_mask(code, (height, width), ""), expected)
        text = {"size": code["size"], "counts": code["counts"].decode()}
        np.testing.assert_array_equal(segment_mask(text, (height, width), ""), expected)
        noise = np.asfortranarray(rng.integers(0, 2, (height, width), np.uint8))
        np.testing.assert_array_equal(segment_mask(coco_code.encode(noise), noise.shape, ""), noise)


def coco(root, annotations, count=2):
    for k in range(count):
        picture(root / f"{k}.png", (4, 6))
    content = {
        "images": [{"id": k, "file_name": f"{k}.png"} for k in range(count)],
        "categories": [{"id": 5, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"image_id": k, **x} for k in range(count) for x in annotations],
    }
    write(root / "all.json", json.dumps(content))
    return str(root / "all.json")


def rectangle(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def test_coco_as_masks(tmp_path):
    everywhere = {"size": [4, 6], "counts": [0, 24]}
    annotations = [
        {"category_id": 2, "bbox": [1, 1, 2, 2], "segmentation": rectangle(1, 1, 2, 2)},
        {"category_id": 5, "bbox": [0, 0, 4, 3], "segmentation": rectangle(0, 0, 4, 3)},
        {"category_id": 2, "bbox": [4, 2, 2, 2], "iscrowd": 1}
        | {"segmentation": {"size": [4, 6], "counts": [18, 2, 2, 2]}},
    ]
    data = load_masks(coco(tmp_path, annotations))
    assert data.classes == ("background", "dog", "cat") and said(data, "smaller is on top")
    # 255 is IGNORE: what the crowd alone covers.
    expected = [[2, 2, 2, 2, 0, 0], [2, 1, 1, 2, 0, 0], [2, 1, 1, 2, 255, 255], [0] * 4 + [255] * 2]
    np.testing.assert_array_equal(data.train[0]["mask"], expected)
    box = {"category_id": 2, "bbox": [0, 0, 6, 4]}
    whole = load_masks(coco(tmp_path, [box | {"segmentation": everywhere}]))
    assert (whole.train[0]["mask"] == 1).all()
    with pytest.raises(ValueError, match=r"\.png: 1 of its 1 annotations have no segmentation"):
        load_masks(coco(tmp_path, [box]))
    lost = box | {"segmentation": {"size": [9, 9], "counts": [81]}}
    with pytest.raises(ValueError, match=r"\.png: a run-length code is of the size"):
        everything(load_masks(coco(tmp_path, [lost])))
