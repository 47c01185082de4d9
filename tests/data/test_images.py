"""A set of labelled images in its parts, in memory and streamed."""

import numpy as np
import pytest
from PIL import Image

from dljax.data.images import Subset, in_memory_images, streamed_images
from dljax.data.sources.dataset import Dataset
from tests.helpers import stripes


def dataset(validation: int = 0) -> Dataset:
    held_out = stripes(validation, seed=2) if validation else None
    return Dataset("stripes", stripes(60), stripes(20, seed=1), ("a", "b", "c"), held_out)


def count(examples) -> int:
    return int(sum(item["example_mask"].sum() for item in examples.items()))


def test_a_share_is_held_out():
    parts = in_memory_images(dataset(), 8, validation=0.2)
    trained_on, (held_out,) = parts.train.arrays["image"], parts.validation.items()
    held_out = held_out["image"]
    assert len(trained_on) + len(held_out) == 60 and abs(len(held_out) - 12) <= 2
    assert count(parts.validation) == len(held_out) and count(parts.test) == 20
    assert not {x.tobytes() for x in trained_on} & {x.tobytes() for x in held_out}
    np.testing.assert_array_equal(parts.train_images["image"], trained_on)
    assert f"{len(trained_on)} training, {len(held_out)} validation, 20 test" in parts.name


def test_own_validation_part_is_used():
    parts = in_memory_images(dataset(validation=10), 8, validation=0.5)
    assert len(parts.train.arrays["image"]) == 60 and count(parts.validation) == 10


def test_without_validation_all_is_trained_on():
    parts = in_memory_images(dataset(validation=10), 8, validation=0)
    assert parts.validation is None and len(parts.train.arrays["label"]) == 70
    assert in_memory_images(dataset(), 8, validation=0).validation is None


def test_a_batch_larger_than_the_set():
    with pytest.raises(ValueError, match="batch_size=61"):
        in_memory_images(dataset(), 61, validation=0)


def test_evaluation_batches_for_eight_devices():
    parts = in_memory_images(dataset(), 8, validation=0.1, multiple=8)
    for examples in (parts.validation, parts.test):
        for item in examples.items():
            assert len(item["example_mask"]) % 8 == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    data = stripes(48)
    for i, (image, label) in enumerate(zip(data["image"], data["label"], strict=True)):
        for part in ("train", "test") if i < 15 else ("train",):
            target = root / part / "abc"[label]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(target / f"{i}.png")
    return root


def test_streamed_images(folder):
    parts = streamed_images(str(folder), None, 8, validation=0.25, size=(8, 8))
    assert parts.classes == ("a", "b", "c")
    assert (count(parts.validation), count(parts.test)) == (12, 15)
    epoch = parts.train.chunk(0, 0, 9)  # 72 images: two epochs of 36
    assert epoch["image"].shape == (9, 8, 8, 8, 3) and epoch["image"].dtype == np.uint8
    images = epoch["image"].reshape(72, -1)
    first, second = ({x.tobytes() for x in images[i : i + 36]} for i in (0, 36))
    assert len(first) == 36 and first == second == {
        x.tobytes() for x in parts.train_images["image"]
    }
    again = parts.train.chunk(0, 4, 2)
    np.testing.assert_array_equal(again["image"], epoch["image"][4:6])
    np.testing.assert_array_equal(again["label"], epoch["label"][4:6])
    (held_out,) = parts.validation.items()
    held_out = held_out["image"][held_out["example_mask"] == 1].reshape(12, -1)
    assert not first & {x.tobytes() for x in held_out}


def test_streaming_from_a_folder_needs_a_size(folder):
    with pytest.raises(ValueError, match="--image_size"):
        streamed_images(str(folder), None, 8)


def test_subset():
    chosen = Subset(["a", "b", "c", "d"], np.array([3, 1]))
    assert len(chosen) == 2 and [chosen[i] for i in range(2)] == ["d", "b"]
