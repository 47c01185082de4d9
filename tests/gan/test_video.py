"""Clips: how they travel, networks of them, moving images, the user's films, what motion is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dljax.data.sources import clips, moving_images
from dljax.data.sources.dataset import Dataset
from dljax.gan import video
from tests.gan import clips as small
from tests.gan import games


def test_strips_clips_and_stacks_hold_the_same_frames():
    frames = np.arange(2 * 3 * 4 * 5 * 2).reshape(2, 3, 4, 5, 2)
    strips = video.to_strips(frames)
    assert strips.shape == (2, 12, 5, 2)
    np.testing.assert_array_equal(strips[:, 4:8], frames[:, 1])
    np.testing.assert_array_equal(video.to_clips(strips, 3), frames)
    for where in (np.asarray, jnp.asarray):
        stacks = video.to_stacks(where(strips), 3)
        assert stacks.shape == (2, 4, 5, 6)
        np.testing.assert_array_equal(stacks[..., 2:4], frames[:, 1])


@pytest.fixture(scope="module")
def generated():
    """The parameters of a small generator, a z, and the function from both to clips."""
    generator = small.generator()
    z = np.random.default_rng(0).normal(size=(3, small.LATENT.length(small.FRAMES)))
    z, label = jnp.asarray(z, jnp.float32), np.zeros(3, np.int32)
    params = games.variables(generator, z, label)

    def draw(z):
        return video.to_clips(generator.apply(params, z, label), small.FRAMES)

    return z, jax.jit(draw)


def test_a_frame_depends_on_the_past_alone_and_on_its_own_clip(generated):
    z, draw = generated
    before = draw(z)
    assert before.shape == (3, small.FRAMES, small.SIZE, small.SIZE, 1)
    third = small.LATENT.content + small.LATENT.motion + 2 * small.LATENT.noise
    after = draw(z.at[1, third].add(3.0))
    changed = np.asarray(jnp.abs(after - before).max((2, 3, 4)) > 1e-6)
    np.testing.assert_array_equal(changed[1], [False, False, *[True] * (small.FRAMES - 2)])
    assert not changed[[0, 2]].any()


def test_content_changes_every_frame(generated):
    z, draw = generated
    change = jnp.abs(draw(z.at[0, 0].add(3.0)) - draw(z)).max((2, 3, 4))
    assert (change[0] > 1e-6).all()


def test_shift_by_whole_and_half_pixels():
    image = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32)
    ways = jnp.array([[0.0, 0], [1, -2], [0, 0.5], [9, 0]])
    same, whole, half, far = jax.jit(video.shift)(jnp.tile(image, (4, 1, 1, 1)), ways)
    np.testing.assert_allclose(same, image, atol=1e-6)
    np.testing.assert_allclose(whole[1:, :-2], image[:-1, 2:], atol=1e-6)
    np.testing.assert_allclose(whole[0, :-2], image[0, 2:], atol=1e-6)  # the edge goes on
    np.testing.assert_allclose(half[:, 1:], (image[:, 1:] + image[:, :-1]) / 2, atol=1e-6)
    np.testing.assert_allclose(far, np.tile(image[:1], (4, 1, 1)), atol=1e-6)


class Mean:
    """A discriminator whose logit is the mean of an image, times a factor."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, images, label, train):
        return self.factor * images.mean(tuple(range(1, images.ndim)))


def test_the_discriminator_adds_clip_and_frame_by_hand():
    """Clips whose frames are 0, 1, 2: the clip's mean is 1, frame i's is i."""
    strips = video.to_strips(jnp.tile(jnp.arange(3.0)[:, None, None, None], (4, 1, 2, 2, 1)))
    discriminator = video.ClipDiscriminator(
        3, lambda: Mean(10.0), lambda: Mean(100.0), lambda: Mean(1.0)
    )
    logits = discriminator.apply({}, strips, jnp.zeros(4, jnp.int32), train=True)
    np.testing.assert_allclose(logits, [110, 111, 112, 110])  # each clip's own time
    np.testing.assert_allclose(discriminator.apply({}, strips, jnp.zeros(4, jnp.int32)), 111)


def test_identity_depends_on_content_and_not_on_place():
    discriminator = video.Identity(24, width=4, hidden=8)
    things = np.random.default_rng(0).normal(size=(2, 2, 2))

    def clip(*frames):
        made = np.zeros((1, len(frames), 24, 24, 1), np.float32)
        for number, (thing, y, x) in enumerate(frames):
            made[0, number, y : y + 2, x : x + 2, 0] = things[thing]
        return made

    clips = [
        clip((0, 8, 8), (0, 8, 8)),
        clip((0, 8, 12), (0, 12, 8)),
        clip((0, 8, 12), (1, 12, 8)),
    ]
    inputs = np.concatenate(clips), np.zeros(3, np.int32)
    variables = games.variables(discriminator, *inputs)
    still, moved, other = jax.jit(discriminator.apply)(variables, *inputs)
    np.testing.assert_allclose(moved, still, rtol=1e-5)
    assert abs(other - still) > 1e-3 * abs(still)


def test_images_bounce_between_the_walls():
    places = np.array([0.0, 3, 5, 7, 11, -2])[:, None] * [1, 1]
    np.testing.assert_allclose(
        moving_images.bounce(places, np.array([5, 10])).T[0], [0, 3, 5, 3, 1, 2]
    )
    np.testing.assert_allclose(
        moving_images.bounce(places, np.array([5, 10])).T[1], [0, 3, 5, 7, 9, 2]
    )


def test_moving_images_keep_their_light_and_their_way():
    images = np.full((2, 4, 4, 1), 200, np.uint8)
    images[1] = 100
    made = moving_images.move(images, np.array([7, 8]), 16, 6, 50, seed=0)
    assert made["image"].shape == (50, 6, 16, 16, 1)
    light = made["image"].sum((2, 3, 4), dtype=float)
    expected = np.where(made["label"] == 7, 200, 100)[:, None] * 16
    assert np.abs(light / expected - 1).max() < 0.02  # rounding to whole grey levels
    assert (made["label"] == 7).sum() == 25  # each image as often as the other
    step = np.diff(video.centre_of_brightness(made["image"]), axis=1)[:, 0]
    moved = np.abs(step).min(1) > 0.01
    np.testing.assert_array_equal((2 * (step[:, 0] > 0) + (step[:, 1] > 0))[moved],
                                  made["way"][moved])  # fmt: skip
    again = moving_images.move(images, np.array([7, 8]), 16, 6, 50, seed=0)
    np.testing.assert_array_equal(again["image"], made["image"])
    with pytest.raises(ValueError, match="do not move on a canvas of side 4"):
        moving_images.move(images, np.array([7, 8]), 4, 6, 2, seed=0)


def dot(places) -> np.ndarray:
    """A clip [T, 9, 9, 1] of one bright pixel at the given rows, in the fifth column."""
    clip = np.zeros((len(places), 9, 9, 1), np.uint8)
    for frame, row in zip(clip, places, strict=True):
        frame[row, 4] = 255
    return clip


def test_motion_by_hand():
    even = video.motion(dot([1, 2, 3, 4])[None])
    assert even == pytest.approx({"speed": 1 / 8, "roughness": 0, "flicker": 0}, abs=1e-6)
    to_and_fro = video.motion(dot([1, 2, 1, 2])[None])
    assert to_and_fro == pytest.approx({"speed": 1 / 8, "roughness": 2, "flicker": 0}, abs=1e-6)
    flickers = dot([3, 3, 3])
    flickers[1] //= 3
    assert video.motion(flickers[None])["flicker"] == pytest.approx(170 / (595 / 3), abs=1e-6)


def save_gif(path, values) -> None:
    frames = [Image.fromarray(np.full((10, 12), value, np.uint8)) for value in values]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


@pytest.fixture
def films(tmp_path):
    """Five GIFs of 7 frames that grow brighter, one too short, and a folder of 6 frames."""
    for i in range(5):
        save_gif(tmp_path / f"{i}.gif", [30 * i + 5 * t for t in range(7)])
    save_gif(tmp_path / "short.gif", [1, 200])
    (tmp_path / "frames").mkdir()
    for t in range(6):
        Image.fromarray(np.full((9, 9), 20 * t, np.uint8)).save(tmp_path / "frames" / f"{t}.png")
    return tmp_path


def test_a_folder_of_films(films):
    found = clips.clip_folder(str(films), 8, 3)
    assert found.classes == ("clip",) and not found.train["label"].any()
    everything = np.concatenate([found.train["image"], found.test["image"]])
    assert everything.shape == (12, 3, 8, 8, 1)  # two clips of each of six films
    assert len(found.test["image"]) == 2  # one film
    assert any("short.gif (2)" in line for line in found.left_out)
    starts = sorted(set(everything[:, 0, 0, 0, 0].tolist()))
    assert {0, 60} <= set(starts)  # the folder's frames 0 and 3
    assert (np.diff(everything[..., 0, 0, 0].astype(int), axis=1) > 0).all()


def test_films_in_folders_have_classes(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for i in range(3):
            save_gif(tmp_path / name / f"{i}.gif", [50 + i, 60 + i, 70 + i])
    found = clips.clip_folder(str(tmp_path), 8, 3)
    assert found.classes == ("cats", "dogs")
    np.testing.assert_array_equal(found.train["label"], [0, 0, 1, 1])
    np.testing.assert_array_equal(found.test["label"], [0, 1])


def test_films_that_cannot_be_used(tmp_path, films):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        clips.clip_folder(str(tmp_path / "none"), 8, 3)
    with pytest.raises(ValueError, match="of 90 frames or more; only shorter ones"):
        clips.clip_folder(str(films), 8, 90)
    with pytest.raises(ValueError, match="needs two films or more"):
        clips.clip_folder(str(films / "frames"), 8, 3)


def test_clips_of_moving_images(monkeypatch):
    monkeypatch.setattr(clips, "TRAIN", 20)
    monkeypatch.setattr(clips, "TEST", 10)
    part = {"image": np.full((4, 4, 4, 1), 99, np.uint8), "label": np.arange(4)}
    found = clips.moving_images(Dataset("squares", part, part, tuple("abcd")), 8, 3)
    assert found.train["image"].shape == (20, 3, 8, 8, 1) and len(found.test["way"]) == 10
    assert not np.array_equal(found.train["image"][:10], found.test["image"])
