"""What a run knows of its data: files changed, renamed, added, touched; images in two parts."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dljax.data import file_digests
from dljax.data.images import in_memory_images, streamed_images
from dljax.data.record import DataRecord, differences
from dljax.data.record_kinds import images_record, repeated
from dljax.data.sources import load_images
from tests.data.test_folder import classes, paint


@pytest.fixture
def folder(tmp_path):
    for part, count in (("train", 6), ("test", 2)):
        classes(tmp_path / part, count=count)
    return tmp_path


def in_memory(root: Path):
    return in_memory_images(load_images(str(root), quiet=True), 4).record


def streamed(root: Path):
    return streamed_images(str(root), None, 4, size=(6, 5)).record


def change(root: Path) -> None:
    """Another grey level in a file, with the size and the times of before."""
    path = root / "train" / "cat" / "002.png"
    before, size = path.stat(), path.stat().st_size
    paint(path, 3)
    assert path.stat().st_size == size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "changed": (change, "other content: train images"),
    "added": (lambda root: paint(root / "train" / "cat" / "9.png", 7), "images: train"),
    "removed": (
        lambda root: (root / "test" / "dog" / "000.png").unlink(),
        "images: test 4 then, 3",
    ),
    "class renamed": (
        lambda root: [(root / x / "cat").rename(root / x / "zebra") for x in ("train", "test")],
        "classes: ",
    ),
    "renamed into another place": (
        lambda root: (root / "train" / "cat" / "000.png").rename(root / "train" / "cat" / "z.png"),
        "other content: train images",
    ),
    "moved to another class": (
        lambda root: (root / "train/cat/005.png").rename(root / "train/dog/005a.png"),
        "",
    ),
    "renamed in its place": (
        lambda root: (root / "train" / "cat" / "000.png").rename(root / "train" / "cat" / "00.png"),
        None,
    ),
    "touched": (lambda root: os.utime(root / "train" / "cat" / "000.png"), None),
    "copied elsewhere": (
        lambda root: shutil.copytree(root / "train", root / "x") and shutil.rmtree(root / "x"),
        None,
    ),
    "a text beside the images": (lambda root: (root / "train/cat/a.txt").write_text("x"), None),
}


@pytest.mark.parametrize("read", [in_memory, streamed])
@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_the_data_and_what_does_not(folder, read, name):
    act, said = CHANGES[name]
    before = json.loads(json.dumps(read(folder).fingerprint()))
    act(folder)
    found = differences(before, read(folder).fingerprint(before))
    assert bool(found) == (said is not None), found
    if said:
        assert any(line.startswith(said) for line in found), found


def test_files_are_read_again_only_where_their_sizes_or_times_differ(folder, monkeypatch):
    read, digest = [], file_digests._file_crc
    first, second, third = (streamed(folder) for _ in range(3))
    monkeypatch.setattr(file_digests, "_file_crc", lambda file: read.append(file) or digest(file))
    file_digests.content.cache_clear()
    before = first.fingerprint()
    assert len(read) == 16
    assert second.fingerprint(before) == before and len(read) == 16
    os.utime(folder / "test" / "cat" / "000.png")
    after = third.fingerprint(before)
    assert len(read) == 20 and after["digests"] == before["digests"]  # those of that part alone


def test_the_same_folder_elsewhere_is_the_same_data(folder, tmp_path_factory):
    there = tmp_path_factory.mktemp("there") / "copy"
    shutil.copytree(folder, there)
    before = streamed(folder).fingerprint()
    assert differences(before, streamed(there).fingerprint(before)) == []


def test_a_fingerprint_of_an_earlier_release_is_compared_in_what_it_has():
    before = {"summary": {"images": 3}, "derived": {"order of classes": ["a", "b"]},
              "digests": {"train files": "3 files 00"}}  # fmt: skip
    now = DataRecord(
        {"images": 3, "more": 1}, {"train images": "x"}, {"order of classes": ["a", "b"]}
    )
    assert differences(before, now.fingerprint()) == []
    other = now.deriving(**{"order of classes": ["b", "a"]})
    assert differences(before, other.fingerprint()) == ["order of classes: a, b then, b, a now"]


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 3, 3), (1, 1, 1)])
def test_images_that_are_in_several_parts(shape):
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (n, *shape)).astype(np.uint8) for n in (40, 30))
    test[[3, 7]] = train[[39, 0]]
    test[9] = train[5]
    test[9].reshape(-1)[-1] ^= 1  # but for one bit
    expected = [any((x == y).all() for y in train) for x in test]
    first, found = repeated([train, test])
    assert (first == 0).all() and (found == 0).tolist() == expected


def test_images_in_several_parts_are_counted_and_said(folder):
    shutil.copytree(folder / "train", folder / "other")
    shutil.rmtree(folder / "test")
    (folder / "other").rename(folder / "test")
    data = in_memory_images(load_images(str(folder), quiet=True), 4, validation=0)
    line = "12 of 12 test images are also in train, bit for bit"
    assert line in data.record.lines() and line in data.record.report()["remarks"]
    assert "12 of 12 test images are also in train, byte for byte" in streamed(folder).lines()
    held = in_memory_images(load_images(str(folder), quiet=True), 4).record.remarks
    assert held[-1].startswith("12 of 12 test images are also in train or validation")
    paint(folder / "test" / "cat" / "001.png", 200)
    assert "11 of 12 test images are also in train, byte for byte" in streamed(folder).lines()


def test_nothing_is_said_of_parts_that_are_apart(folder):
    for file in (folder / "test").rglob("*.png"):
        paint(file, 201)
    assert streamed(folder).remarks == ()
    parts = {"image": np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1), "label": np.zeros(3, int)}
    other = {"image": parts["image"] + 20, "label": parts["label"]}
    assert images_record({"train": parts, "test": other}, ("a",)).remarks == ()
