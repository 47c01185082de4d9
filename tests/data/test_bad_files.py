"""Damaged and strange files of every kind: each is read rightly, or ends in one line.

Seeded; `pytest -s` shows how many there are of each outcome. What is read must be what was written,
but where a file has no checksum and a change can't be noticed: then it keeps its shape.
"""

import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources import load_images
from dljax.data.sources.image import UnreadableImage, image_size, measure, read_image
from dljax.train import checkpoint, loop
from dljax.transfer import configs, weights
from tests import helpers
from tests.transfer import torch_files as by_hand

OUTCOMES: Counter = Counter()


@pytest.fixture(scope="module", autouse=True)
def told():
    yield
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(OUTCOMES.items()))
    print(f"\n{sum(OUTCOMES.values())} files: {counts}")


def outcome(kind, read):
    """The result of reading, None where it was refused in one line."""
    try:
        found = read()
    except (ValueError, OSError) as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 1000, error
        assert not isinstance(error, UnicodeError | json.JSONDecodeError), error
        OUTCOMES[f"{kind}, refused"] += 1
        return None
    OUTCOMES[f"{kind}, read"] += 1
    return found


def damaged(content: bytes, random) -> bytes:
    """With bytes changed, cut off, put in, taken out, or with the end of another file."""
    way, place = random.integers(6), int(random.integers(len(content)))
    length = int(random.integers(1, 9))
    if way == 0:
        return content[:place]
    if way == 1:
        return content[:place] + random.bytes(length) + content[place + length :]
    if way == 2:
        return content[:place] + random.bytes(length) + content[place:]
    if way == 3:
        return content[:place] + content[place + length :]
    if way == 4:
        return random.bytes(length) + content[length:]
    return content[:place] + bytes(len(content) - place)


def encoded(picture: np.ndarray, form: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, form)
    return out.getvalue()


PICTURE = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
DEEP = (16 * np.random.default_rng(1).integers(0, 256, (9, 7))).astype(np.uint16)
FORMS = {
    "png": encoded(PICTURE, "PNG"), "jpg": encoded(PICTURE, "JPEG"), "gif": encoded(PICTURE, "GIF"),
    "bmp": encoded(PICTURE, "BMP"), "tif": encoded(DEEP, "TIFF"), "webp": encoded(PICTURE, "WEBP"),
    "jfif": encoded(PICTURE[..., 0], "JPEG"), "16.png": encoded(DEEP, "PNG"),
    "ppm": encoded(PICTURE, "PPM"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_images(tmp_path, form):
    random, content = np.random.default_rng(len(form)), FORMS[form]
    for number in range(12):
        path = tmp_path / f"x{number}.{form}"
        path.write_bytes(damaged(content, random) if number else content)
        found = outcome("image", lambda path=path: read_image(path))
        if found is not None:
            assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[-1] in (1, 3)
        if number == 0 and form in ("png", "bmp", "ppm"):
            np.testing.assert_array_equal(found, PICTURE)
        for header in (image_size, measure):
            try:
                header(path)
            except UnreadableImage as error:
                assert "\n" not in str(error)


def npz(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def test_sets_in_npz_files(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 5, 4)).astype(np.uint8)
    labels = np.arange(6) % 3
    sound = {f"{part}_{name}": x for part in ("train", "test")
             for name, x in {"images": images, "labels": labels}.items()}  # fmt: skip
    strange = [
        {}, {"train_images": images / 255}, {"train_images": images[:0]},
        {"test_labels": labels - 1},
        {"train_labels": labels * 10**9}, {"train_labels": labels.astype(float)},
        {"train_labels": labels.astype(str)}, {"test_images": images[:, :3]},
        {"train_labels": labels + 7, "test_labels": labels + 7}, {"train_labels": labels[:5]},
        {"train_images": images.astype(object)}, {"train_images": images[0]},
        {"train_labels": np.eye(3, dtype=int)[labels]}, {"train_labels": np.full(6, 2**40)},
    ]  # fmt: skip
    path = tmp_path / "set.npz"
    contents = [npz(**{**sound, **change}) for change in strange]
    contents += [damaged(contents[0], random) for _ in range(30)]
    for number, content in enumerate(contents):
        path.write_bytes(content)
        found = outcome("npz", lambda: load_images(str(path), quiet=True))
        if found is not None:
            assert len(found.classes) == len(np.unique(found.train["label"])) == 3
            assert found.train["image"].shape[1:] == (5, 4, 1)
        if number == 0:
            np.testing.assert_array_equal(found.train["image"][..., 0], images)


def test_folders(tmp_path):
    random = np.random.default_rng(0)
    names = ["a", "b", "train", "Test", "VALID", "seg_train", ".hidden", "ünï", "a b", "10", "9"]
    endings = ["png", "jfif", "HEIC", "txt", "jpg", "gif", "nii.gz", "webp", "tif"]
    for number in range(25):
        root = tmp_path / str(number)
        for _ in range(int(random.integers(1, 30))):
            depth = int(random.integers(0, 4)) if number % 2 else 1
            place = root.joinpath(*random.choice(names if number % 2 else names[:2], depth))
            place.mkdir(parents=True, exist_ok=True)
            ending = str(random.choice(endings if number % 2 else endings[:2]))
            content = FORMS[{"jfif": "jfif", "tif": "tif"}.get(ending, "png")]
            path = place / f"{random.integers(99)}.{ending}"
            if not path.is_dir():
                path.write_bytes(b"" if random.random() < 0.03 else content)
        found = outcome("folder", lambda root=root: load_images(str(root), quiet=True))
        if found is not None:
            kept = sum(len(x["label"]) for x in (found.train, found.test))
            assert kept <= sum(1 for _ in root.rglob("*.*"))
            assert len(np.unique(found.train["label"])) == len(found.classes) >= 2


def test_files_of_weights(tmp_path):
    random = np.random.default_rng(0)
    arrays = {"a.weight": random.normal(size=(3, 2)).astype("f4"), "b": np.arange(4, dtype="f4")}
    body, storages = by_hand.state(arrays)
    rows = {key: np.frombuffer(x, "f4") for key, x in storages.items()}
    weights.write(tmp_path / "x.safetensors", arrays, {"about": "a test"})
    sound = {
        "x.pth": by_hand.zipped(body, storages),
        "x.pth.tar": by_hand.legacy(body, rows),
        "x.npz": npz(**arrays),
        "x.safetensors": (tmp_path / "x.safetensors").read_bytes(),
    }
    for name, content in sound.items():
        for number in range(25):
            path = tmp_path / name
            path.write_bytes(damaged(content, random) if number else content)
            found = outcome("weights", lambda path=path: weights.load(path).arrays)
            if found is not None:
                assert all(isinstance(x, np.ndarray) for x in found.values())
            if number == 0:
                for key, x in arrays.items():
                    np.testing.assert_array_equal(found[key], x)


def test_configurations_beside_weights(tmp_path):
    random = np.random.default_rng(0)
    sound = {
        "architecture": "resnet18", "id2label": {"0": "a", "1": "b"}, "size": 224,
        "crop_pct": 0.9, "image_mean": [0, 0, 0], "image_std": [1, 1, 1], "resample": 2,
        "pretrained_cfg": {"mean": [0, 0, 0], "input_size": [3, 224, 224]}, "depths": [2, 2],
    }  # fmt: skip
    values = [None, -1, 0, "x", [], {}, [1], {"height": 9}, float("nan"), 1e30, True, [[1]]]
    path = tmp_path / "config.json"
    for number in range(40):
        changed = dict(sound)
        for key in random.choice(list(sound), int(random.integers(0, 3)) if number else 0):
            changed[str(key)] = values[int(random.integers(len(values)))]
        content = json.dumps(changed).encode()
        path.write_bytes(damaged(content, random) if number % 2 else content)
        found = outcome("configuration", lambda: configs.parse(weights.read_json(path)))
        if number == 0:
            assert found.architecture == "resnet18" and found.classes == ("a", "b")


def test_checkpoints(tmp_path):
    random, task, place = np.random.default_rng(0), helpers.toy(), helpers.devices(1)
    run = loop.start(task, (0, 1), place)
    like = loop.abstract_run(task, (0, 1), place)
    with checkpoint.Store(tmp_path / "sound") as store:
        store.save(3, run, {"dropped": []})
    files = [x for x in sorted((tmp_path / "sound/checkpoints/3").rglob("*")) if x.is_file()]
    for number in range(12):
        changed = files[int(random.integers(len(files)))]
        before = changed.read_bytes()
        changed.write_bytes(damaged(before, random) if number and before else before)
        with checkpoint.Store(tmp_path / "sound", read_only=True) as store:
            found = outcome("checkpoint", lambda store=store: store.restore(like))
        changed.write_bytes(before)
        if found is not None:
            helpers.assert_same(found[0], run)  # whatever was damaged did not matter
