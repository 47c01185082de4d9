"""What all data sets with boxes share: fitting, memory and stream, the record, refusals."""

import numpy as np
import pytest
from PIL import Image

from dljax.data import annotated
from dljax.data.sources.vision import fit_boxes, load_boxes, unfit_boxes
from dljax.data.streaming import stream
from tests.data.annotated_files import CAT, SIZE, paint, thing, voc, write, xml


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
