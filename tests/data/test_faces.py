"""Images of people from the embedded set, folders, LFW's layout and tables."""

import csv

import numpy as np
import pytest
from PIL import Image

from dljax.data.identity_batches import identity_batches
from dljax.data.sources.people import Frame, load_faces, orl

FRAME = Frame((16, 12))


def picture(level: int, size=(20, 30)) -> Image.Image:
    return Image.fromarray(np.full(size, level, np.uint8))


def folder(root, people=("ann", "bob"), each=2):
    for number, name in enumerate(people):
        (root / name).mkdir(parents=True)
        for i in range(1, each + 1):
            picture(50 * number + i).save(root / name / f"{name}_{i:04d}.png")
    return root


def test_the_embedded_faces():
    faces = load_faces("orl", Frame((112, 92)))
    assert faces.images.shape == (400, 112, 92, 1) and len(faces.people) == 40
    np.testing.assert_array_equal(np.bincount(faces.person), 10)
    assert faces.files[11] == "s2/2" and "152 of 400" in faces.notes[0]
    rough = np.abs(np.diff(faces.images.astype(int), axis=1)).mean((1, 2, 3))
    assert rough.max() < 14  # a row that is shifted by a pixel more than the one above is far above


def converted(image: np.ndarray) -> bytes:
    """A PGM file as the conversion of texts left it: CR, LF and CR LF became CR LF."""
    data = orl.HEADER + image.tobytes()
    plain = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return plain.replace(b"\n", b"\r\n")


def test_converted_files_are_repaired():
    rows = np.add.outer(np.arange(112) // 2, 2 * np.arange(92))
    image = (rows % 200 + 20).astype(np.uint8)
    image[30, 40], image[60, 10], image[90, 91] = 10, 13, 10
    np.testing.assert_array_equal(orl.pixels(orl.HEADER + image.tobytes(), "x")[..., 0], image)
    expected = np.where(image == 13, 10, image)
    np.testing.assert_array_equal(orl.pixels(converted(image), "x")[..., 0], expected)
    image[60, 10:12] = 13, 10  # which became one: a pixel is lacking
    found = orl.pixels(converted(image), "x")[..., 0]
    np.testing.assert_array_equal(found, image)
    with pytest.raises(ValueError, match="x is no PGM image of 92 x 112"):
        orl.pixels(converted(image)[:-2], "x")


def test_a_folder_of_people(tmp_path):
    root = folder(tmp_path / "faces", each=3)
    picture(9).save(root / "loose.png")
    (root / "ann" / "notes.txt").write_text("x")
    faces = load_faces(str(root), FRAME)
    assert faces.people == ("ann", "bob") and faces.images.shape == (6, 16, 12, 1)
    np.testing.assert_array_equal(faces.person, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(faces.images[:, 3, 3, 0], [1, 2, 3, 51, 52, 53])
    assert any("loose.png" in line for line in faces.left_out)
    assert faces.pairs is None


def test_framing_keeps_the_aspect():
    image = np.zeros((20, 40, 1), np.uint8)
    image[:, 13:27] = 200
    np.testing.assert_array_equal(Frame((20, 14))(image), np.full((20, 14, 1), 200))
    np.testing.assert_array_equal(Frame((10, 7), 0.5)(image), np.full((10, 7, 1), 200))
    assert Frame((40, 80))(image).shape == (40, 80, 1)


def write_pairs(root, lines, head="2\t1"):
    (root / "pairs.txt").write_text("\n".join([head, *lines]) + "\n")


def test_pairs_of_lfw(tmp_path):
    root = folder(tmp_path / "lfw", ("a_b", "c", "d"))
    write_pairs(root, ["a_b\t1\t2", "a_b\t1\tc\t2", "d\t1\t2", "c\t1\td\t1"])
    faces = load_faces(str(root), FRAME)
    np.testing.assert_array_equal(faces.pairs.rows, [[0, 1], [0, 3], [4, 5], [2, 4]])
    np.testing.assert_array_equal(faces.pairs.same, [True, False, True, False])
    np.testing.assert_array_equal(faces.pairs.fold, [0, 0, 1, 1])
    assert not any("pairs" in line for line in faces.left_out)


@pytest.mark.parametrize(
    "lines, head, message",
    [
        (["a 1 2", "a 1 c 9"], "1 1", "line 3: there is no readable image"),
        (["a 1 2", "a 1 c"], "1 1", "line 3: 'c' is no number"),
        (["a 1 2"], "1 1", "2 lines, but has 1"),
        (["a 1 2", "a 1 c 1 1"], "1 1", "line 3: a pair is"),
        (["a 1 2", "a 1 c 1"], "x", "begins with the number of folds"),
    ],
)
def test_wrong_pairs_are_refused(tmp_path, lines, head, message):
    root = folder(tmp_path / "lfw", ("a", "c"))
    write_pairs(root, lines, head)
    with pytest.raises(ValueError, match=message):
        load_faces(str(root), FRAME)


def table(path, rows, header=("file", "person")):
    with open(path, "w", newline="") as opened:
        csv.writer(opened).writerows([header, *rows])
    return str(path)


def test_a_table(tmp_path):
    for i in range(3):
        picture(10 * i).save(tmp_path / f"{i}.png")
    path = table(tmp_path / "who.csv", [("2.png", "eve"), ("0.png", "ann"), ("1.png", "eve")])
    faces = load_faces(path, FRAME)
    assert faces.people == ("ann", "eve")
    np.testing.assert_array_equal(faces.person, [0, 1, 1])
    np.testing.assert_array_equal(faces.images[:, 0, 0, 0], [0, 10, 20])


def test_wrong_data_is_refused(tmp_path):
    picture(1).save(tmp_path / "0.png")
    cases = [
        (table(tmp_path / "a.csv", [("0.png", "a")], ("image", "person")), "needs rows"),
        (table(tmp_path / "b.csv", [("0.png", "")]), "line 2: file and person"),
        (table(tmp_path / "c.csv", [("9.png", "a")]), "line 2: there is no file"),
        (table(tmp_path / "d.csv", [("0.png", "a"), ("0.png", "b")]), "stands in line 2 too"),
        (str(tmp_path), "no folder of images per person"),
        (str(tmp_path / "0.png"), "a file that is not read here"),
        (str(tmp_path / "nowhere"), "There is no"),
    ]
    for path, message in cases:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            load_faces(path, FRAME)


def test_batches_of_people():
    arrays = {"label": np.repeat(np.arange(5), [4, 4, 4, 4, 2]), "x": np.arange(18)}
    feed = identity_batches(arrays, 12, 4)
    items = feed.chunk(0, 0, 3)
    for rows in items:
        labels = arrays["label"][rows].reshape(3, 4)
        assert (labels == labels[:, :1]).all() and len(set(labels[:, 0])) == 3
        own = [len(set(x)) for x in rows.reshape(3, 4)]
        assert all(n == (2 if x[0] == 4 else 4) for n, x in zip(own, labels, strict=True))
    np.testing.assert_array_equal(feed.chunk(0, 2, 1)[0], items[2])
    assert not np.array_equal(feed.chunk(1, 0, 1)[0], items[0])
    with pytest.raises(ValueError, match="batches of 6 people"):
        identity_batches(arrays, 24, 4)
