"""Own arrays as a Dataset: what is taken, and what is refused in one line."""

import numpy as np
import pytest

from dljax.data.images import in_memory_images
from dljax.data.record import DataRecord
from dljax.data.sources import Dataset, from_arrays
from tests.helpers import stripes

IMAGES, LABELS = stripes(30).values()
PART = (IMAGES, LABELS)


@pytest.mark.parametrize(
    "images, expected",
    [
        (IMAGES, IMAGES),
        (IMAGES[..., 0].astype(np.int64), IMAGES),
        (IMAGES / 255, (IMAGES / 255).astype(np.float32)),
        (IMAGES.astype(np.float16) / 4 - 30, IMAGES.astype(np.float32) / 4 - 30),
    ],
)
def test_images_are_levels_or_floats(images, expected):
    data = from_arrays((images, LABELS.astype(np.int64)), {"image": images, "label": LABELS})
    assert isinstance(data, Dataset) and data.classes == ("0", "1", "2") and not data.validation
    for part in data.train, data.test:
        assert part["image"].dtype == expected.dtype and part["label"].dtype == np.int32
        np.testing.assert_array_equal(part["image"], expected)
        np.testing.assert_array_equal(part["label"], LABELS)


def test_names_and_a_validation_part():
    data = from_arrays(PART, PART, PART, classes=("|", "-", "/", "x"), name="mine")
    assert data.name == "mine" and data.classes[3] == "x"
    np.testing.assert_array_equal(data.validation["image"], IMAGES)


def test_the_range_of_floats_is_recorded():
    scaled = (IMAGES / 255, LABELS)
    record: DataRecord = in_memory_images(from_arrays(scaled, scaled), 8).record
    assert record.summary["range"][1] == pytest.approx(IMAGES.max() / 255, rel=1e-3)


@pytest.mark.parametrize(
    "train, message",
    [
        (IMAGES, r"train must be \(images, labels\) or .* not uint8 \[30, 8, 8, 1\]"),
        ({"x": IMAGES, "label": LABELS}, "not a dict of x, label"),
        ((IMAGES, LABELS, LABELS), "not a tuple of 3"),
        ((IMAGES[0, :, :, 0], LABELS), r"not uint8 \[8, 8\]"),
        ((IMAGES > 9, LABELS), r"not bool"),
        ((IMAGES, LABELS[:9]), r"one for each of 30 images, not int32 \[9\] from 0 to 2"),
        ((IMAGES, np.eye(3)[LABELS]), r"not float64 \[30, 3\]"),
        ((IMAGES, LABELS - 1), "from -1 to 1"),
        ((IMAGES, LABELS.astype(str)), "not <U"),
        ((IMAGES.astype(np.float32), LABELS), "floats reach the network as they are, .* in 0..2"),
        ((IMAGES * np.nan, LABELS), "nan"),
        ((IMAGES.astype(np.uint16) * 9, LABELS), "levels 0..255, and these lie in 0..1"),
        ((IMAGES // 128, LABELS), "levels 0..255, and these lie in 0..1: give floats"),
        ((IMAGES / 255, LABELS), "differ in shape or type: train .* float32, test .* uint8"),
        ((IMAGES[:, :4], LABELS), r"differ in shape or type: train \(4, 8, 1\)"),
        ((IMAGES, LABELS + 1), "there is a label 3, but 3 classes"),
    ],
)
def test_what_does_not_fit_is_refused(train, message):
    with pytest.raises(ValueError, match=message) as error:
        from_arrays(train, PART, classes=("a", "b", "c"))
    assert "\n" not in str(error.value)


def test_what_is_no_dataset_is_refused():
    with pytest.raises(ValueError, match="a Dataset is needed, not a tuple: .*from_arrays"):
        in_memory_images(PART, 8)
