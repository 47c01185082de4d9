"""Films as files: durations, transparency, the order of frames."""

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources.clips import clip_folder, repeats
from tests.data.test_folder import paint

LEVELS = (0, 50, 50, 50, 100, 150, 200, 200)


def animate(path, levels, duration=100, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in levels]
    first.save(path, save_all=True, append_images=rest, duration=duration, **options)


def shown(clips):
    """The grey levels of the clips of both parts."""
    every = np.concatenate([clips.train["image"], clips.test["image"]])
    return sorted(every[:, :, 0, 0, 0].tolist())


KINDS = [("gif", {}), ("webp", {"lossless": True}), ("apng", {"format": "PNG"}), ("png", {})]


@pytest.mark.parametrize(("ending", "options"), KINDS)
def test_equal_frames_that_an_encoder_merged_are_there(tmp_path, ending, options):
    for name in ("a", "b"):
        animate(tmp_path / f"{name}.{ending}", LEVELS, **options)
    with Image.open(tmp_path / f"a.{ending}") as image:
        assert image.n_frames == 5
    clips = clip_folder(str(tmp_path), 8, 8)
    assert shown(clips) == [list(LEVELS)] * 2
    assert any("were repeated (times): " in note and "(3)" in note for note in clips.notes)


def test_durations():
    assert repeats([100, 200, 100, 50]) == [2, 4, 2, 1]
    assert repeats([30, 40, 30, 30]) == [1, 1, 1, 1]  # 33 ms in hundredths of a second
    assert repeats([0, 0, 0]) == [1, 1, 1]
    assert repeats([0, 40, 80]) == [1, 1, 2]


def test_transparent_pixels_of_a_film_lie_on_white(tmp_path):
    for name in ("a", "b"):
        frames = []
        for level in (10, 20):
            image = np.full((8, 8, 4), level, np.uint8)
            image[..., 3] = 255
            image[:4, :, 3] = 0
            frames.append(Image.fromarray(image))
        frames[0].save(tmp_path / f"{name}.webp", save_all=True, append_images=frames[1:],
                       duration=100, lossless=True)  # fmt: skip
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:],
                       duration=100, disposal=2)  # fmt: skip
    clips = clip_folder(str(tmp_path), 8, 2)
    every = np.concatenate([clips.train["image"], clips.test["image"]])
    assert every.shape == (4, 2, 8, 8, 1)
    assert (every[:, :, :4] == 255).all() and every[:, :, 4:].max() < 50


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    for film in ("a", "b"):
        for number in range(1, 13):
            paint(tmp_path / film / f"frame{number}.png", 10 * number, (8, 8))
        (tmp_path / film / "sound.wav").write_bytes(b"x")
    clips = clip_folder(str(tmp_path), 8, 12)
    assert shown(clips) == [[10 * number for number in range(1, 13)]] * 2
    assert any("2 .wav" in line for line in clips.left_out)
