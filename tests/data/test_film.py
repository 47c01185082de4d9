"""Images and films for a trained model: frames with numbers and times, broken files."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources import film
from dljax.data.sources.image import Levels

LEVELS = (10, 90, 170, 250)


def picture(level, size=(16, 12)):
    return Image.fromarray(np.full((*size[::-1], 3), level, np.uint8))


def moving(path, **options):
    first, *rest = [picture(level) for level in LEVELS]
    first.save(path, save_all=True, append_images=rest, **options)


def read(path, channels=3):
    skipped = []
    return list(film.frames(str(path), channels, skipped)), skipped


def video(path, rate=10):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for level in LEVELS:
            image = np.full((16, 32, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("ending, exact", [("gif", 1), ("png", 0), ("webp", 4)])
def test_frames_have_numbers_and_times(tmp_path, ending, exact):
    path = tmp_path / f"film.{ending}"
    moving(path, duration=[100, 50, 200, 100])
    found, skipped = read(path)
    assert [frame.number for frame in found] == [0, 1, 2, 3] and not skipped
    np.testing.assert_allclose([frame.seconds for frame in found], [0, 0.1, 0.15, 0.35])
    for frame, level in zip(found, LEVELS, strict=True):
        assert frame.image.shape == (12, 16, 3) and abs(frame.image - float(level)).max() <= exact
    assert found[2].name() == f"{path}#2"
    assert found[3].when() == {"frame": 3, "seconds": 0.35}


def test_a_video(tmp_path):
    video(tmp_path / "film.mp4")
    found, _ = read(tmp_path / "film.mp4", channels=1)
    assert [frame.number for frame in found] == [0, 1, 2, 3]
    np.testing.assert_allclose([frame.seconds for frame in found], [0, 0.1, 0.2, 0.3], atol=1e-6)
    for frame, level in zip(found, LEVELS, strict=True):
        assert frame.image.shape == (16, 32, 1) and abs(frame.image.mean() - level) < 4


def test_a_video_needs_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="film.mp4 is a video, .*: pip install av"):
        read(tmp_path / "film.mp4")


def test_a_folder_of_images_films_and_broken_files(tmp_path):
    (tmp_path / "b").mkdir()
    picture(40).save(tmp_path / "a.jpg")
    moving(tmp_path / "b" / "film.gif")
    picture(60).save(tmp_path / "c.gif")
    (tmp_path / "d.png").write_bytes(b"no image")
    (tmp_path / "e.gif").write_bytes((tmp_path / "b" / "film.gif").read_bytes()[:40])
    (tmp_path / "f.txt").write_text("text")
    found, skipped = read(tmp_path)
    names = [Path(frame.name()).name for frame in found]
    assert names == ["a.jpg", *(f"film.gif#{k}" for k in range(4)), "c.gif"]
    assert found[0].number is None and found[-1].when() == {"frame": None, "seconds": None}
    assert ["d.png" in line or "e.gif" in line for line in skipped] == [True, True]


def test_one_file_that_is_not_there_or_broken(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no image or folder"):
        read(tmp_path / "no.png")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="a.png is no readable image or film"):
        read(tmp_path / "a.png")
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"no film")
    with pytest.raises(ValueError, match="a.mp4 is no readable image or film"):
        read(tmp_path / "a.mp4")


def test_a_film_that_breaks_off_keeps_its_frames(tmp_path):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)) for _ in range(4)]
    noise[0].save(tmp_path / "film.png", save_all=True, append_images=noise[1:])
    whole = (tmp_path / "film.png").read_bytes()
    (tmp_path / "film.png").write_bytes(whole[: len(whole) // 2])
    found, skipped = read(tmp_path / "film.png")
    assert 0 < len(found) < 4
    assert len(skipped) == 1 and f"from frame {len(found)} on" in skipped[0]


def test_frames_in_pieces(tmp_path):
    moving(tmp_path / "film.gif")
    pieces = film.pieces(film.frames(str(tmp_path), 3, []), 3)
    assert [[frame.number for frame in piece] for piece in pieces] == [[0, 1, 2], [3]]


def test_frames_of_many_grey_levels_share_a_range(tmp_path):
    """That of the run, not each its own."""
    first, second = (Image.fromarray(np.full((4, 5), x, np.uint16)) for x in (200, 2000))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    frames = film.frames(str(tmp_path / "a.tif"), 1, [], Levels(0, 4095))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [12, 125]
