"""TFDS sets with boxes or masks: their fields, parts and sizes, streaming, refusals."""

from io import BytesIO

import numpy as np
import pytest
from tensorflow_datasets import features as kinds
from tensorflow_datasets.core.features.bounding_boxes_utils import BBoxFormat

from dljax.data import annotated
from dljax.data.sources.vision import CROWD, DIFFICULT, IGNORE, load_boxes, load_masks, truth
from tests.data.annotated_files import said
from tests.data.tfds_set import write_annotated

SIZE = (16, 16)
RNG = np.random.default_rng(0)


def image(height=8, width=16, channels=3):
    return RNG.integers(0, 256, (height, width, channels)).astype(np.uint8)


def box(ymin, xmin, ymax, xmax):
    return kinds.BBox(float(ymin), float(xmin), float(ymax), float(xmax))


def boxed(label="label", **more):
    inner = {"bbox": kinds.BBoxFeature(), label: kinds.ClassLabel(names=["cat", "dog"]), **more}
    return {"image": kinds.Image(encoding_format="png"), "objects": kinds.Sequence(inner)}


def test_boxes_as_in_voc(tmp_path):
    """By hand: 0..1 of ymin, xmin, ymax, xmax; difficult objects; an image without objects."""
    things = [
        {"bbox": box(0.25, 0.5, 0.75, 1.0), "label": "dog", "is_difficult": True},
        {"bbox": box(0.0, 0.0, 0.5, 0.25), "label": "cat", "is_difficult": False},
    ]
    examples = [{"image": image(), "objects": things}, {"image": image(20, 10), "objects": []}]
    splits = {"train": examples, "validation": examples[:1], "test": examples[:1], "extra": []}
    write_annotated(tmp_path, "pets", boxed(is_difficult=np.bool_), splits)
    data = load_boxes("tfds:pets", SIZE, data_dir=str(tmp_path))
    assert data.classes == ("cat", "dog") and data.category_ids == (1, 2)
    first, second = truth(data.train)
    assert first.size == (8, 16) and first.labels.tolist() == [1, 0]
    assert first.boxes.tolist() == [[8, 2, 16, 6], [0, 0, 4, 4]]
    assert first.flags.tolist() == [DIFFICULT, 0] and first.areas.tolist() == [32, 16]
    assert len(second.boxes) == 0 and second.size == (20, 10)
    assert len(data.validation) == 1 and data.train.names()[1] == "tfds:pets/train/1"
    example = data.train[0]
    assert example["boxes"][:2].tolist() == [[8, 2, 16, 6], [0, 0, 4, 4]]
    np.testing.assert_array_equal(example["image"][:8], examples[0]["image"])
    assert (example["image"][8:] == 114).all()
    assert said(data, "splits that are not read: extra")


def test_boxes_as_in_coco_and_kitti(tmp_path):
    """Crowds, areas of segments; the class may have another name; test images without boxes."""
    crowd = [
        {"bbox": box(0, 0, 1, 1), "type": "dog", "is_crowd": True, "area": 7},
        {"bbox": box(0.5, 0.5, 0.5, 1), "type": "cat", "is_crowd": False, "area": 3},
    ]
    examples = [{"image": image(), "objects": crowd} for _ in range(5)]
    empty = [{"image": image(), "objects": []}]
    features = boxed("type", is_crowd=np.bool_, area=np.int64)
    write_annotated(tmp_path, "many", features, {"train": examples, "test": empty})
    data = load_boxes("tfds:many", SIZE, data_dir=str(tmp_path))
    assert len(data.train) == 4 and len(data.test) == 1  # held out
    assert said(data, "test images have no boxes") and said(data, "without area are left out")
    (found, *_) = truth(data.train)
    assert found.flags.tolist() == [CROWD] and found.areas.tolist() == [7]


def test_boxes_without_a_class(tmp_path):
    features = {
        "image": kinds.Image(encoding_format="png"),
        "faces": kinds.Sequence({"bbox": kinds.BBoxFeature(), "blur": np.uint8}),
    }
    faces = [{"bbox": box(0, 0, 0.5, 0.5), "blur": 1}]
    splits = {"train": [{"image": image(), "faces": faces}] * 2, "validation": []}
    splits["test"] = splits["train"][:1]
    write_annotated(tmp_path, "people", features, splits)
    data = load_boxes("tfds:people", SIZE, data_dir=str(tmp_path))
    assert data.classes == ("faces",) and said(data, "boxes have no class")


def masked(mask):
    return {"image": kinds.Image(encoding_format="png"), "segmentation_mask": mask}


def test_masks_and_memory_and_stream(tmp_path):
    """Ids of pixels; 255 is ignored; the record of a streamed set is of its files."""
    masks = [RNG.integers(0, 3, (8, 16, 1)).astype(np.uint8) for _ in range(6)]
    masks[0][0] = 255
    masks[1][0, 0] = 2
    examples = [{"image": image(), "segmentation_mask": mask} for mask in masks]
    splits = {"train": examples[:4], "test": examples[4:]}
    write_annotated(tmp_path, "road", masked(kinds.Image(shape=(None, None, 1))), splits)
    data = load_masks("tfds:road", data_dir=str(tmp_path), classes=("a", "b", "c"))
    assert data.classes == ("a", "b", "c") and said(data, "255 of masks is ignored")
    memory = annotated.in_memory(data, 2, validation=0)
    np.testing.assert_array_equal(memory.arrays["train"]["mask"], np.stack(masks[:4])[..., 0])
    assert (memory.arrays["train"]["mask"][0, 0] == IGNORE).all()
    streamed = annotated.streamed(data, 2, validation=0)
    item = streamed.train.chunk(0, 0, 2)
    assert item["mask"].shape == (2, 2, 8, 16)
    assert len(streamed.record.files["train content"]) == 1
    with pytest.raises(ValueError, match="no ids of the 2 classes named"):
        load_masks("tfds:road", data_dir=str(tmp_path), classes=("a", "b"))


def test_masks_with_names(tmp_path):
    mask = np.ones((8, 16, 1), np.uint8)
    examples = [{"image": image(), "segmentation_mask": mask}] * 2
    features = masked(kinds.LabeledImage(labels=["sky", "tree"], shape=(None, None, 1)))
    write_annotated(tmp_path, "park", features, {"train": examples, "test": examples[:1]})
    data = load_masks("tfds:park", data_dir=str(tmp_path))
    assert data.classes == ("sky", "tree") and (data.train[0]["mask"] == 1).all()
    with pytest.raises(ValueError, match="lists the classes sky, tree, not a, b"):
        load_masks("tfds:park", data_dir=str(tmp_path), classes=("a", "b"))


def test_what_is_refused(tmp_path):
    plain = {"image": kinds.Image(encoding_format="png"), "label": kinds.ClassLabel(names=["a"])}
    splits = {"train": [{"image": image(), "label": 0}]}
    write_annotated(tmp_path, "plain", plain, splits)
    for load, what in ((load_boxes, "boxes"), (load_masks, "masks")):
        with pytest.raises(ValueError, match=f"has no images with {what}: .* image, label"):
            load("tfds:plain", SIZE, data_dir=str(tmp_path))
        with pytest.raises(FileNotFoundError, match="tfds:absent_set is not in"):
            load("tfds:absent_set", SIZE, data_dir=str(tmp_path))
    example = {"image": image(), "objects": [{"bbox": box(0, 0, 0.5, 0.5), "label": "cat"}]}
    folder = write_annotated(tmp_path, "broken", boxed(), {"train": [example] * 2})
    file = folder / "broken-train.array_record-00000-of-00001"
    file.write_bytes(file.read_bytes().replace(b"IHDR", b"XXXX"))
    with pytest.raises(ValueError, match="tfds:broken/train can't be read .*mismatch") as error:
        load_boxes("tfds:broken", SIZE, data_dir=str(tmp_path))
    assert "\n" not in str(error.value)
    write_annotated(tmp_path, "text", boxed(), {"train": [example | {"image": BytesIO(b"no")}]})
    with pytest.raises(ValueError, match="tfds:text/train/0 .*is no readable image"):
        load_boxes("tfds:text", SIZE, data_dir=str(tmp_path))
    other = boxed(bbox=kinds.BBoxFeature(bbox_format=BBoxFormat.REL_XYXY))
    write_annotated(tmp_path, "other", other, {"train": [example] * 2})
    with pytest.raises(ValueError, match="boxes of tfds:other are REL_XYXY, not REL_YXYX"):
        load_boxes("tfds:other", SIZE, data_dir=str(tmp_path))
    example["objects"] = [{"bbox": box(0, 0, 0.5, 0.5), "label": -1}]
    write_annotated(tmp_path, "nameless", boxed(), {"train": [example] * 2})
    with pytest.raises(ValueError, match="nameless/train/0: a box has the class -1, of 2"):
        load_boxes("tfds:nameless", SIZE, data_dir=str(tmp_path))
