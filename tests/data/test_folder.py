"""Folders of images: layouts, the split by hash, differing sizes, unreadable files, refusals."""

import shutil

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources import image_folder_source, load_images, plain_folder, read_images
from dljax.data.streaming import stream

HASHED_TEST = [0, 8, 13, 18, 102, 110, 113, 116]
"""Of cat/000.png to cat/019.png and dog/..., by `printf cat/000.png | sha256sum | sort`."""


def paint(path, level, shape=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, level, np.uint8)).save(path)


def classes(root, names=("cat", "dog"), count=10, **options):
    """A folder per class; the level of a pixel tells class and image: 100 class + image."""
    for index, name in enumerate(names):
        for number in range(count):
            paint(root / name / f"{number:03}.png", 100 * index + number, **options)


def load(root, **options):
    return load_images(str(root), quiet=True, **options)


def test_train_test_and_validation_folders(tmp_path):
    classes(tmp_path / "train", count=4)
    classes(tmp_path / "test", names=("dog",), count=2)
    classes(tmp_path / "val", count=1)
    paint(tmp_path / "train" / "dog" / "deeper" / "more.PNG", 255)
    dataset = load(tmp_path)
    assert dataset.classes == ("cat", "dog") and dataset.notes == ()
    assert dataset.train["image"].shape == (9, 6, 5, 1)
    assert dataset.train["label"].tolist() == [0] * 4 + [1] * 5
    levels = dataset.train["image"][:, 3, 2, 0].tolist()
    assert levels == [0, 1, 2, 3, 100, 101, 102, 103, 255]
    assert dataset.test["label"].tolist() == [1, 1]
    assert dataset.validation["label"].tolist() == [0, 1]


def test_validation_serves_as_test_set_where_there_is_none(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "validation", count=3)
    dataset = load(tmp_path)
    assert len(dataset.test["label"]) == 6 and dataset.validation is None
    assert "serve as test set" in dataset.notes[0]
    shutil.rmtree(tmp_path / "validation")
    with pytest.raises(ValueError, match="has train/ but no test/"):
        load(tmp_path)


def test_the_split_by_hash_is_fixed_and_a_fifth_of_each_class(tmp_path):
    classes(tmp_path / "here", count=20)
    dataset = load(tmp_path / "here")
    assert np.bincount(dataset.train["label"]).tolist() == [16, 16]
    assert np.bincount(dataset.test["label"]).tolist() == [4, 4]
    assert "by hash" in dataset.notes[0]
    levels = [dataset.train["image"][:, 0, 0, 0], dataset.test["image"][:, 0, 0, 0]]
    assert sorted(np.concatenate(levels)) == [*range(20), *range(100, 120)]
    assert levels[1].tolist() == HASHED_TEST
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    np.testing.assert_array_equal(load(tmp_path / "there").test["image"], dataset.test["image"])
    paint(tmp_path / "there" / "cat" / "new.png", 50)
    more = load(tmp_path / "there").test["image"][:, 0, 0, 0].tolist()
    assert len(set(more) ^ set(levels[1].tolist())) <= 2


def test_differing_sizes_become_the_stated_default_or_the_size_given(tmp_path):
    classes(tmp_path, count=5)
    paint(tmp_path / "cat" / "large.png", 7, (90, 80))
    dataset = load(tmp_path)
    assert dataset.train["image"].shape[1:] == (64, 64, 1)
    assert "differ in size: all are resized to 64 x 64" in dataset.notes[-1]
    given = load(tmp_path, size=(8, 10))
    assert given.train["image"].shape[1:] == (8, 10, 1) and len(given.notes) == 1


def test_one_colour_image_makes_all_three_channels(tmp_path):
    classes(tmp_path, count=5)
    red = np.zeros((6, 5, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "dog" / "red.jpg", quality=95)
    dataset = load(tmp_path)
    assert dataset.train["image"].shape[1:] == dataset.test["image"].shape[1:] == (6, 5, 3)
    assert load(tmp_path, channels=1).train["image"].shape[-1] == 1


def test_few_unreadable_files_are_skipped_and_listed(tmp_path):
    classes(tmp_path, count=100)
    for number in (3, 4):
        (tmp_path / "dog" / f"{number:03}.png").write_bytes(b"no image")
    dataset = load(tmp_path)
    assert len(dataset.train["label"]) + len(dataset.test["label"]) == 198
    levels = np.concatenate([dataset.train["image"], dataset.test["image"]])[:, 0, 0, 0]
    assert not {103, 104} & set(levels.tolist())
    assert "skipped 2 of 200" in dataset.notes[-1] and "dog/003.png (" in dataset.notes[-1]
    np.testing.assert_array_equal(dataset.train["label"], dataset.train["image"][:, 0, 0, 0] >= 100)
    assert load(tmp_path, size=(6, 5)).notes[-1] == dataset.notes[-1]
    (tmp_path / "cat" / "007.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"3 of 200 images can't be read.*cat/007\.png") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_in_a_small_folder_one_may_be_unreadable(tmp_path):
    classes(tmp_path, count=5)
    (tmp_path / "cat" / "000.png").write_bytes(b"")
    assert "skipped 1 of 10" in load(tmp_path).notes[-1]
    (tmp_path / "cat" / "001.png").write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 10"):
        load(tmp_path)


def remove(root, part):
    shutil.rmtree(root / part)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "train" / "owl").mkdir(), "class folders without images: owl"),
        (lambda root: remove(root, "train/dog"), "one class only .cat."),
        (
            lambda root: classes(root / "test", ("wolf",), 1),
            "test has classes that train lacks: wo",
        ),
        (
            lambda root: [remove(root, f"test/{n}") for n in ("cat", "dog")],
            "There are no images in",
        ),
        (lambda root: remove(root, "train"), "has test/ with folders in it, but no train/"),
    ],
)
def test_folders_that_cannot_be_trained_on_are_refused(tmp_path, change, message):
    classes(tmp_path / "train", count=3)
    classes(tmp_path / "test", count=2)
    change(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_images_without_class_folders_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no images in folders below"):
        load(tmp_path)
    paint(tmp_path / "loose.png", 3)
    with pytest.raises(ValueError, match="no images in folders below"):
        load(tmp_path)
    classes(tmp_path, count=1)
    with pytest.raises(ValueError, match="one image per class"):
        load(tmp_path)


def test_a_class_whose_training_images_are_all_unreadable_is_refused(tmp_path):
    classes(tmp_path / "train", count=1)
    classes(tmp_path / "test", count=1)
    (tmp_path / "train" / "dog" / "000.png").write_bytes(b"")
    with pytest.raises(ValueError, match="class dog has no readable image"):
        load(tmp_path)


def test_hidden_files_and_other_files_are_left_out(tmp_path):
    classes(tmp_path, count=5)
    (tmp_path / "cat" / "._000.png").write_bytes(b"a resource fork")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"")
    (tmp_path / ".git").mkdir()
    assert len(load(tmp_path).notes) == 1


def test_images_to_predict(tmp_path):
    paint(tmp_path / "b.png", 20)
    paint(tmp_path / "a" / "c.png", 10, (12, 10))
    (tmp_path / "broken.png").write_bytes(b"")
    found = read_images(str(tmp_path), size=(4, 4), channels=3)
    assert [name.removeprefix(f"{tmp_path}/") for name in found.names] == ["a/c.png", "b.png"]
    assert found.images.shape == (2, 4, 4, 3) and found.images[:, 0, 0, 0].tolist() == [10, 20]
    assert len(found.skipped) == 1 and "broken.png (" in found.skipped[0]
    one = read_images(str(tmp_path / "b.png"))
    assert one.names == (str(tmp_path / "b.png"),) and one.images.shape == (1, 6, 5, 1)


def test_nothing_to_predict_is_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image or folder"):
        read_images(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="has no readable image"):
        read_images(str(tmp_path))
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no readable image: .*broken\.png \("):
        read_images(str(tmp_path / "broken.png"))
    paint(tmp_path / "a.png", 1)
    paint(tmp_path / "b.png", 1, (3, 3))
    with pytest.raises(ValueError, match="differ in size"):
        read_images(str(tmp_path))


def test_a_folder_can_be_streamed(tmp_path):
    classes(tmp_path, count=10)
    source = image_folder_source(str(tmp_path), "train", size=(6, 5), channels=1)
    memory = load(tmp_path)
    assert len(source) == 16 and source.classes == ("cat", "dog")
    with stream(source, 16) as data:
        batch, _ = next(data.evaluation_batches())
        np.testing.assert_array_equal(batch["image"], memory.train["image"])
        np.testing.assert_array_equal(batch["label"], memory.train["label"])
        (tmp_path / "cat" / "000.png").write_bytes(b"")
        (tmp_path / "cat" / "001.png").write_bytes(b"")
        with pytest.raises(ValueError, match=r"cat/00\d\.png is no readable image"):
            data.batch_at(0, 0)
    with pytest.raises(ValueError, match="no images for validation, only for train, test"):
        image_folder_source(str(tmp_path), "validation", size=(6, 5))
    with pytest.raises(FileNotFoundError, match="no folder"):
        image_folder_source(str(tmp_path / "absent"), "train", size=(6, 5))


def test_images_without_classes(tmp_path):
    for number in range(10):
        paint(tmp_path / f"{number}.png", 10 * number)
    dataset = plain_folder(str(tmp_path))
    assert dataset.classes == ("image",)
    assert dataset.train["image"].shape == (8, 6, 5, 1) and len(dataset.test["label"]) == 2
    levels = [*dataset.train["image"][:, 0, 0, 0], *dataset.test["image"][:, 0, 0, 0]]
    assert sorted(levels) == [10 * number for number in range(10)]
    classes(tmp_path / "deeper")
    assert plain_folder(str(tmp_path / "deeper")) is None
    assert plain_folder("digits") is None
    paint(tmp_path / "alone" / "one.png", 1)
    with pytest.raises(ValueError, match="one readable image only"):
        plain_folder(str(tmp_path / "alone"))
