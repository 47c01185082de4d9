"""Logs of drives: Udacity's and others' are read, what does not fit is refused in one line."""

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources.driving import frames, load_drives
from dljax.data.sources.driving.frames import Framing
from tests.data import driving_files

COUNT = 6


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"comma": ", "},
        {"header": True},
        {"root": "C:\\Users\\me\\Desktop\\run 1\\IMG\\"},
        {"root": "/home/me/Desktop/IMG/", "comma": ", ", "header": True},
    ],
)
def test_udacitys_logs(tmp_path, form):
    steer = driving_files.udacity(tmp_path / "lap", COUNT, **form)
    for dataset in (tmp_path / "lap", tmp_path / "lap" / "driving_log.csv", tmp_path):
        drives = load_drives(str(dataset))
        (recording,) = drives.parts["train"]
        assert drives.notes == () and recording.name == "lap"
        np.testing.assert_allclose(recording.steering, steer, atol=1e-6)
        np.testing.assert_allclose(recording.time, 0.1 * np.arange(COUNT), atol=1e-9)
        np.testing.assert_array_equal(recording.speed, np.full(COUNT, 20.1))
        assert list(recording.cameras) == ["center", "left", "right"]
        np.testing.assert_array_equal(recording.lines, np.arange(COUNT) + 1 + ("header" in form))
    for camera, side in (("center", 0.0), ("left", 1.0), ("right", -1.0)):
        pictures = driving_files.drive(0, side)[0]
        files = recording.cameras[camera]
        np.testing.assert_array_equal(frames.picture(files[3]), pictures[3])


def test_other_logs(tmp_path):
    rows = ["a;0,5;3,25", "b;-1,25;3,5", "c;0;4,0"]
    driving_files.plain(
        tmp_path / "x", rows, "Frame;Steering angle;speed", ["a.png", "b.png", "c.png"]
    )
    drives = load_drives(str(tmp_path / "x"))
    (recording,) = drives.parts["train"]
    np.testing.assert_array_equal(recording.steering, [0.5, -1.25, 0])
    np.testing.assert_array_equal(recording.speed, [3.25, 3.5, 4])
    assert recording.time is None and list(recording.cameras) == ["center"]
    assert any("semicolons" in note for note in drives.notes)
    rows = [f"run/{i}.png,{i},{10 * i},2020-01-31T12:00:0{i}.5Z" for i in range(3)]
    driving_files.plain(tmp_path / "y", rows, "filename,frame,angle,timestamp")
    (tmp_path / "y" / "run").mkdir()
    for i in range(3):  # the path from the CSV's folder comes before the name alone
        (tmp_path / "y" / f"{i}.png").rename(tmp_path / "y" / "run" / f"{i}.png")
    (recording,) = load_drives(str(tmp_path / "y")).parts["train"]
    np.testing.assert_array_equal(recording.time, [0, 1, 2])
    assert recording.cameras["center"][1].endswith("run/1.png")


def test_parts_and_several_recordings(tmp_path):
    for name, count in (("train/b10", 4), ("train/b2", 3), ("test", 2)):
        driving_files.plain(
            tmp_path / name, [f"{i}.png,{count}" for i in range(count)], "image,angle"
        )
    (tmp_path / "more").mkdir()
    drives = load_drives(str(tmp_path))
    assert {part: [x.name for x in y] for part, y in drives.parts.items()} == {
        "train": ["train/b2", "train/b10"],
        "test": ["test"],
    }
    assert drives.notes == (f"{tmp_path}: not used, beside its parts: more/",)
    (tmp_path / "train").rename(tmp_path / "other")
    with pytest.raises(ValueError, match="has test/, but no train/"):
        load_drives(str(tmp_path))


def test_a_drive_ends_where_time_jumps(tmp_path):
    times = [0, 1, 2, 500, 501, 3, 4, 5]
    driving_files.plain(
        tmp_path, [f"{i}.png,{i},{t}" for i, t in enumerate(times)], "image,angle,time"
    )
    drives = load_drives(str(tmp_path))
    assert [x.steering.tolist() for x in drives.parts["train"]] == [[0, 1, 2], [3, 4], [5, 6, 7]]
    assert [x.time[-1] for x in drives.parts["train"]] == [2, 1, 2]
    assert drives.parts["train"][2].lines.tolist() == [7, 8, 9]
    assert "is taken for 3 drives" in drives.notes[0]


def test_without_the_side_cameras(tmp_path):
    driving_files.udacity(tmp_path, COUNT, sides=False)
    drives = load_drives(str(tmp_path))
    assert list(drives.parts["train"][0].cameras) == ["center"]
    assert "no pictures of the left camera" in drives.notes[0]


ROW = "IMG/0.png,IMG/1.png,IMG/2.png,{},0,0,20"


@pytest.mark.parametrize(
    "log, message",
    [
        ("image,angle\n0.png,0.1\n1.png,left\n", r"line 3: column angle has 'left', which is no"),
        ("image,angle\n0.png,0.1\n1.png,\n", r"line 3: angle is '' \(1 in all\): write a number"),
        ("image,angle\n0.png,inf\n", r"line 2: column angle is infinite"),
        ("image,angle\n0.png,0.1\n1.png,0,1\n", r"line 3: 3 cells where the header has 2"),
        ("image,speed\n0.png,0.1\n", "no column with the steering among image, speed: name it"),
        ("t,angle\n0,0.1\n", "no column with the picture among t, angle: name it center or"),
        (
            "image,file,angle\n0.png,1.png,0\n",
            "file and image may each be the picture|image and fi",
        ),
        ("image,angle,steer\n0.png,1,0\n", "angle and steer may each be the steering: rename"),
        ("image,angle\n9.png,0.1\n1.png,0\n", r"line 2: there is no picture '9.png' in .*1 of 2"),
        ("image,angle,time\n0.png,0,noon\n1.png,0,1\n", "line 2: time is 'noon': write seconds"),
        ("0.png,0.1\n1.png,0.2\n", "line 1: 2 cells and no header: .* add a first line"),
        (ROW.format(0) + "\n" + ROW.format("0,5") + "\n", "line 2: 8 cells where center, .* are 7"),
        (ROW.format("NaN") + "\n", "line 1: steering is 'NaN'"),
        ("image,angle\n", "has a header and no rows"),
        ("", "is empty"),
    ],
)
def test_mistakes_are_refused_in_one_line(tmp_path, log, message):
    driving_files.plain(tmp_path, ["", "", ""], "")
    (tmp_path / "log.csv").write_text(log)
    with pytest.raises(ValueError, match=message) as error:
        load_drives(str(tmp_path))
    assert str(tmp_path / "log.csv") in str(error.value) and "\n" not in str(error.value)


def test_folders_that_hold_no_recording(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file or folder .*--dataset takes"):
        load_drives(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="has no CSV"):
        load_drives(str(tmp_path))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("image,angle\n")
    with pytest.raises(ValueError, match=r"has 2 CSVs \(a.csv, b.csv\): give each recording"):
        load_drives(str(tmp_path))


def test_framing_by_hand():
    picture = np.zeros((5, 4, 3), np.uint8)
    picture[1] = [[10] * 3, [20] * 3, [30] * 3, [50] * 3]
    picture[2] = 100
    picture[[0, 3, 4]] = 255  # sky, and two rows of bonnet
    framing = Framing(0.2, 0.4, 1, 2)
    np.testing.assert_array_equal(frames.framed(picture, framing)[..., 0], [[58, 70]])
    with pytest.raises(ValueError, match="nothing is left of pictures of 5 rows"):
        frames.framed(picture, Framing(0.6, 0.4, 1, 2))


@pytest.mark.parametrize("framing", [Framing(0.35, 0.15, 9, 21), Framing(0, 0, 30, 60)])
def test_weights_are_the_filter_of_pillow(framing):
    picture = driving_files.drive()[0][0]
    rows, columns = frames.weights(framing, picture.shape[:2])
    x = np.floor(np.einsum("wv,hvc->hwc", columns, picture.astype(np.float32)) + 0.5)
    x = np.floor(np.einsum("hu,uwc->hwc", rows, x) + 0.5)
    np.testing.assert_array_equal(x, frames.framed(picture, framing))


def test_an_unreadable_picture_is_named(tmp_path):
    driving_files.plain(tmp_path, ["0.png,0", "1.png,0"], "image,angle")
    (tmp_path / "1.png").write_bytes(b"no picture")
    (recording,) = load_drives(str(tmp_path)).parts["train"]
    with pytest.raises(ValueError, match=r"1.png \(.*log.csv, line 3\) is no readable image"):
        frames.read(recording, "center", Framing(0, 0, 2, 2))


def test_grey_pictures_become_colour(tmp_path):
    driving_files.plain(tmp_path, ["0.png,0"], "image,angle")
    Image.new("L", (6, 4), 77).save(tmp_path / "0.png")
    (recording,) = load_drives(str(tmp_path)).parts["train"]
    read = frames.read(recording, "center", Framing(0, 0, 2, 3))
    np.testing.assert_array_equal(read, np.full((1, 2, 3, 3), 77))
