"""Recorded drives made ready: split in time, side cameras, smoothing, balance, by hand."""

import numpy as np
import pytest

from dljax.data import drives
from dljax.data.drives import Shares, Stretch
from dljax.data.sources.driving import load_drives
from dljax.data.sources.driving.frames import Framing
from tests.data import driving_files

WHOLE = Framing(0, 0, 4, 6)


def test_cuts_by_hand():
    found = drives.cuts(100, {"test": 0.2, "validation": 0.1}, 5)
    assert found == {
        "test": slice(80, 100), "validation": slice(65, 75), "train": slice(0, 60)
    }  # fmt: skip
    assert drives.cuts(100, {"test": 0.0, "validation": 0.1}, 5) == {
        "validation": slice(90, 100), "train": slice(0, 85)
    }  # fmt: skip
    assert drives.cuts(100, {"test": 0.0, "validation": 0.0}, 5) == {"train": slice(0, 100)}
    assert drives.cuts(8, {"test": 0.25, "validation": 0.25}, 5) == {"train": slice(0, 8)}


@pytest.fixture
def recordings(tmp_path):
    """Two drives of 20 and 10 stamps, whose angle is the number of the stamp; one to test on."""

    def made(*names):
        for name in names:
            count = {"a": 20, "b": 10, "test": 4}[name.split("/")[-1]]
            rows = [f"{i}.png,{i}" for i in range(count)]
            driving_files.plain(tmp_path / "set" / name, rows, "image,angle")
        return load_drives(str(tmp_path / "set")).parts

    return made


def test_parts_of_several_drives(recordings):
    found, notes = drives.split(recordings("a", "b"), Shares(0.1, 0.2, 2))
    assert {part: [x.steering.tolist() for x in y] for part, y in found.items()} == {
        "train": [[*map(float, range(10))], [0, 1, 2]],
        "validation": [[12, 13], [5]],
        "test": [[16, 17, 18, 19], [8, 9]],
    }
    assert notes == (
        "test: the last 20% of each drive of train, 2 stamps before it are left out",
        "validation: the 10% before of each drive of train, 2 stamps before it are left out",
    )


def test_parts_that_are_given_are_kept(recordings):
    found, notes = drives.split(recordings("train/a", "train/b", "test"), Shares(0.1, 0.2, 2))
    assert [x.steering.tolist() for x in found["test"]] == [[0, 1, 2, 3]]
    assert [x.steering.tolist() for x in found["validation"]] == [[18, 19], [9]]
    assert [x.stamps for x in found["train"]] == [16, 7]
    assert notes == ("validation: the last 10% of each drive of train, 2 stamps before it are left "
                     "out",)  # fmt: skip
    with pytest.raises(
        ValueError, match="no stamps are left for test: the drives have train/a 20 stamps"
    ):
        drives.split({"train": recordings("b")["train"][:1]}, Shares(0.1, 0.0, 2))


def test_a_stretch_and_its_record(recordings):
    parts, _ = drives.split(recordings("train/a", "train/b", "test"), Shares(0.0, 0.0, 0))
    found = {part: drives.stretch(x, WHOLE, 2.0) for part, x in parts.items()}
    train = found["train"]
    np.testing.assert_array_equal(train.image[:, 0, 0, 0], [*range(20), *range(10)])
    np.testing.assert_array_equal(train.angle, 2.0 * train.image[:, 0, 0, 0])
    np.testing.assert_array_equal(train.drive, [0] * 20 + [1] * 10)
    np.testing.assert_array_equal(train.time, [*range(20), *range(10)])
    record = drives.record(found, parts, 3.0)
    assert record.summary["stamps"] == {"train": 30, "test": 4}
    assert record.summary["degrees"] == [0, 38]
    assert record.summary["percent of stamps straight"] == {"train": 13.3, "test": 50.0}
    assert record.remarks == ("4 of 4 test pictures are also in train, bit for bit",)
    other = found | {"test": found["test"]._replace(angle=found["test"].angle + 1)}
    changed = drives.record(other, parts, 3.0).digests
    assert {name for name in changed if changed[name] != record.digests[name]} == {"test angle"}


def test_side_cameras_steer_back():
    centre = Stretch(np.zeros((3, 1, 1, 3), np.uint8), np.array([1, 2, 3], np.float32),
                     np.zeros(3, np.int32), np.arange(3.0), ())  # fmt: skip
    side = np.ones((2, 1, 1, 3), np.uint8), np.array([1, 2])  # one drive lacks them
    found = drives.examples(centre, {"left": side, "right": side}, 5.0, 0.0, 0)
    np.testing.assert_array_equal(found["angle"], [1, 2, 3, 7, 8, -3, -2])
    np.testing.assert_array_equal(found["image"][:, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(found["weight"], np.ones(7))


def test_side_cameras_of_a_log(tmp_path):
    driving_files.udacity(tmp_path / "train" / "a", 5)
    driving_files.udacity(tmp_path / "train" / "b", 4, seed=1, sides=False)
    driving_files.udacity(tmp_path / "train" / "c", 3, seed=2)
    recordings = load_drives(str(tmp_path)).parts["train"]
    found = drives.side_cameras(recordings, WHOLE)
    for pictures, stamps in found.values():
        assert stamps.tolist() == [0, 1, 2, 3, 4, 9, 10, 11] and len(pictures) == 8


def test_smoothed_by_hand():
    angle, drive = np.array([3.0, 0, 0, 6, 9, 0]), np.array([0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(drives.smoothed(angle, drive, 3), [1.5, 1, 2, 3, 4.5, 4.5])
    assert drives.smoothed(angle, drive, 1) is angle


def test_balanced_weights_by_hand():
    angle = np.array([0.0] * 6 + [10.0] * 2 + [-10.0])
    np.testing.assert_allclose(drives.balanced_weights(angle, 0.0), np.ones(9))
    weight = drives.balanced_weights(angle, 1.0)
    np.testing.assert_allclose(weight, [0.5] * 6 + [1.5] * 2 + [3.0])
    np.testing.assert_allclose(drives.balanced_weights(np.zeros(3), 1.0), np.ones(3))
