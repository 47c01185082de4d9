"""TFDS sets: decoded once, cached beside the data, and refused with one line that helps."""

import os
import subprocess
import sys

import numpy as np
import pytest

from dljax.data.sources import cache, decode, download, load_images, tfds_source
from tests.data.tfds_set import write_set

SHAPE = (6, 5, 1)


def pictures(count, shape=SHAPE, seed=0):
    random = np.random.RandomState(seed)
    return [random.randint(0, 256, shape).astype(np.uint8) for _ in range(count)]


def write(root, train=9, test=4, **options):
    """A set of three classes; returns the folder of its version and its splits."""
    splits = {
        "train": (pictures(train), [i % 3 for i in range(train)]),
        "test": (pictures(test, seed=1), [i % 3 for i in range(test)]),
    }
    return write_set(root, splits, **options), splits


@pytest.fixture
def decodings(monkeypatch):
    """Replaces the worker processes by a quick reader; the list has an entry for each call."""
    calls = []

    def decode_splits(prepared, splits, shape, folder, quiet):
        calls.append(prepared.name)
        for split in splits:
            source = tfds_source(prepared.name, split, prepared.folder.parents[1], size=shape[:2])
            examples = [source[index] for index in range(len(source))]
            for field in ("image", "label"):
                np.save(folder / f"{split}_{field}.npy", np.stack([e[field] for e in examples]))
        return [f"{split}_{field}" for split in splits for field in ("image", "label")]

    monkeypatch.setattr(decode, "decode_splits", decode_splits)
    return calls


def check(dataset, splits):
    for part, arrays in (("train", dataset.train), ("test", dataset.test)):
        images, labels = splits[part]
        np.testing.assert_array_equal(arrays["image"], np.stack(images))
        assert arrays["label"].tolist() == labels
        assert arrays["image"].dtype == np.uint8 and arrays["label"].dtype == np.int32


def test_workers_decode_and_a_second_start_imports_no_tfds(tmp_path, capfd):
    folder, splits = write(tmp_path, train=700)
    dataset = load_images("tfds:tiny", str(tmp_path), quiet=True)
    check(dataset, splits)
    assert dataset.name == "tfds:tiny" and dataset.classes == ("cat", "dog", "owl")
    assert dataset.validation is None and dataset.notes == ()
    assert [path.name for path in folder.glob("dljax*")] == ["dljax-6x5x1"]
    assert capfd.readouterr().err == ""
    script = (
        "import sys\nfrom dljax.data.sources import load_images\n"
        "images = load_images('tfds:tiny', sys.argv[1]).train['image']\n"
        "print(len(images), {'tensorflow_datasets', 'grain', 'jax'} & set(sys.modules))"
    )
    second = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert second.stdout == "700 set()\n" and second.stderr == ""


def test_a_record_that_does_not_decode_is_one_line_and_leaves_no_cache(tmp_path):
    folder, _ = write(tmp_path)
    file = folder / "tiny-train.array_record-00000-of-00001"
    content = file.read_bytes()
    assert b"IHDR" in content
    file.write_bytes(content.replace(b"IHDR", b"XXXX"))
    with pytest.raises(ValueError, match=r"tfds:tiny could not be decoded: \w+") as error:
        load_images("tfds:tiny", str(tmp_path), quiet=True)
    assert "\n" not in str(error.value)
    assert not list(folder.glob("dljax*"))


def test_sizes_and_channels_have_caches_of_their_own(tmp_path, decodings):
    _, splits = write(tmp_path)
    for _ in range(2):
        check(load_images("tfds:tiny", str(tmp_path)), splits)
        small = load_images("tfds:tiny", str(tmp_path), size=(3, 4))
        assert small.train["image"].shape == (9, 3, 4, 1)
    assert len(decodings) == 2


def test_a_damaged_cache_is_built_anew(tmp_path, decodings):
    folder, splits = write(tmp_path)
    load_images("tfds:tiny", str(tmp_path))
    kept = folder / "dljax-6x5x1"
    array = kept / "train_image.npy"
    whole = array.read_bytes()
    damages = [
        lambda: array.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1])),
        lambda: array.write_bytes(whole[:-40]),
        lambda: array.write_bytes(b""),
        array.unlink,
        lambda: (kept / "meta.json").write_text("{"),
        lambda: (kept / "meta.json").write_text("[]"),
        (kept / "meta.json").unlink,
    ]
    for count, damage in enumerate(damages):
        damage()
        check(load_images("tfds:tiny", str(tmp_path)), splits)
        assert len(decodings) == count + 2
    load_images("tfds:tiny", str(tmp_path))
    assert len(decodings) == len(damages) + 1
    assert [path.name for path in folder.glob("dljax*")] == ["dljax-6x5x1"]


def test_other_versions_and_changed_data_are_not_mixed_up(tmp_path, decodings):
    folder, splits = write(tmp_path)
    check(load_images("tfds:tiny", str(tmp_path)), splits)
    newer = {part: (pictures(5, seed=7), [0, 1, 2, 0, 1]) for part in ("train", "test")}
    write_set(tmp_path, newer, version="1.10.0")
    check(load_images("tfds:tiny", str(tmp_path)), newer)
    check(load_images("tfds:tiny:1.0.0", str(tmp_path)), splits)
    file = folder / "tiny-train.array_record-00000-of-00001"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    before = len(decodings)
    check(load_images("tfds:tiny:1.0.0", str(tmp_path)), splits)
    assert len(decodings) == before + 1


def test_beside_read_only_data_the_cache_is_the_users_own(tmp_path, decodings, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, splits = write(tmp_path / "data")
    folder.chmod(0o555)
    for _ in range(2):
        check(load_images("tfds:tiny", str(tmp_path / "data")), splits)
    folder.chmod(0o755)
    assert len(decodings) == 1
    assert not list(folder.glob("dljax*"))
    assert list((tmp_path / "cache" / "dljax").glob("tiny-*/dljax-6x5x1/meta.json"))


def test_building_removes_its_files_when_it_fails(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old").touch()
    with pytest.raises(KeyboardInterrupt), cache.building(tmp_path / "kept") as fresh:
        (fresh / "new").touch()
        raise KeyboardInterrupt
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["kept", "kept/old"]


def test_differing_sizes_need_a_size(tmp_path, decodings):
    images = [pictures(1, (6 + i, 5, 3))[0] for i in range(4)]
    write_set(
        tmp_path, {p: (images, [0, 1, 2, 0]) for p in ("train", "test")}, shape=(None, None, 3)
    )
    with pytest.raises(ValueError, match="differ in size: give the size"):
        load_images("tfds:tiny", str(tmp_path))
    dataset = load_images("tfds:tiny", str(tmp_path), size=(4, 4))
    assert dataset.train["image"].shape == (4, 4, 4, 3)


def test_parts_without_a_labelled_test_split(tmp_path, decodings):
    train = (pictures(20), [i % 2 for i in range(20)])
    other = (pictures(4, seed=3), [0, 1, 0, 1])
    write_set(tmp_path, {"train": train}, name="alone")
    alone = load_images("tfds:alone", str(tmp_path))
    assert len(alone.train["label"]) == 16 and alone.test["label"].tolist().count(1) == 2
    assert "held out" in alone.notes[0]
    unlabelled = (pictures(3), [-1, -1, -1])
    write_set(tmp_path, {"train": train, "test": unlabelled, "validation": other}, name="hidden")
    hidden = load_images("tfds:hidden", str(tmp_path))
    assert hidden.test["label"].tolist() == [0, 1, 0, 1] and hidden.validation is None
    assert len(hidden.notes) == 2
    write_set(tmp_path, {"train": train, "test": train, "validation": other}, name="full")
    assert load_images("tfds:full", str(tmp_path)).validation["label"].tolist() == [0, 1, 0, 1]
    write_set(tmp_path, {"train": (pictures(2), [0, 9])}, name="wrong")
    with pytest.raises(ValueError, match="labels must lie between 0 and 2, but are 0 to 9"):
        load_images("tfds:wrong", str(tmp_path))


def test_a_missing_set_says_what_is_there_and_what_to_do(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise OSError("no route to host\nand a second line")

    monkeypatch.setattr(download.importlib.util, "find_spec", lambda module: module)
    monkeypatch.setattr(download.socket, "getaddrinfo", no_network)
    write(tmp_path)
    write(tmp_path, name="many/first")
    write(tmp_path, name="many/second")
    with pytest.raises(FileNotFoundError) as error:
        load_images("tfds:absent", str(tmp_path))
    message = str(error.value)
    assert "\n" not in message
    for part in (str(tmp_path), "many/first", "tiny", "importlib_resources", "tensorflow",
                 "no route to host"):  # fmt: skip
        assert part in message
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(
        FileNotFoundError, match="tfds:tiny:9.9.9 is not in.*tensorflow is not inst"
    ):
        load_images("tfds:tiny:9.9.9", str(tmp_path))
    with pytest.raises(ValueError, match=r"several configurations \(first, second\)"):
        load_images("tfds:many", str(tmp_path))
    with pytest.raises(ValueError, match="names no TFDS set"):
        load_images("tfds:../tiny", str(tmp_path))


def test_a_configuration_is_found_by_name(tmp_path, decodings):
    _, splits = write(tmp_path, name="many/first")
    source = tfds_source("tfds:many/first:1.0.0", "test", str(tmp_path))
    assert len(source) == 4 and source.classes == ("cat", "dog", "owl")
    np.testing.assert_array_equal(source[2]["image"], splits["test"][0][2])
    with pytest.raises(ValueError, match="no split 'dev', only train, test"):
        tfds_source("tfds:many", "dev", str(tmp_path))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("dataset_info.json", "array_record", "tfrecord", "is prepared as tfrecord"),
        ("dataset_info.json", "{", "", "no readable TFDS description"),
        ("features.json", "classLabel", "text", "no set of labelled images: its fields are image"),
        ("features.json", "uint8", "uint16", "are uint16, not uint8"),
        ("features.json", '["6", "5", "1"]', '["6", "5"]', "have the shape"),
    ],
)
def test_sets_that_are_not_readable_are_refused(tmp_path, file, old, new, message):
    folder, _ = write(tmp_path)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        load_images("tfds:tiny", str(tmp_path))


def test_a_set_larger_than_memory_is_refused_before_decoding(tmp_path, decodings):
    write(tmp_path)
    with pytest.raises(ValueError, match="GiB of memory"):
        load_images("tfds:tiny", str(tmp_path), size=(10**6, 10**6))
    assert not decodings
