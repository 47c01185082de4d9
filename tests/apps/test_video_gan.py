"""Video GANs as a command: what a run leaves, --sample, what scores films, mistakes.

The classifiers that score are replaced by means of quarters (the true ones are trained in
test_image_gan), and the networks, but for their shapes, by those of tests/gan/clips.py.
"""

import json
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import video_gan
from dljax.apps.configs.video_gan import Config
from dljax.apps.gan import feature_extractor, video_evaluation
from dljax.apps.gan.feature_extractor import Extractor
from dljax.data.sources import clips
from dljax.data.sources.clips import Clips
from dljax.run.command_line import UsageError, parse
from tests.gan import clips as small

QUICK = {
    "steps": 2,
    "batch_size": 4,
    "size": small.SIZE,
    "frames": small.FRAMES,
    **small.LATENT._asdict(),
    "r1": 0.0,
    "r2": 0.0,
    "score_clips": 20,
    "parallel": "none",
    "quiet": True,
}


def quarters(classes: int, images: jax.Array):
    """The mean of each quarter of images [B, H, W, C], and logits that are made of them."""
    n, height, width, _ = images.shape
    x = images.mean(-1).reshape(n, 2, height // 2, 2, width // 2).mean((2, 4)).reshape(n, 4)
    return x, x @ np.random.default_rng(0).normal(size=(4, classes)).astype(np.float32)


def cheap(requested: list, data, workdir="", quiet=False) -> Extractor:
    requested.append(data)
    features = partial(quarters, len(data.classes))
    extract = partial(feature_extractor.extract, features)
    return Extractor(features, extract, data.classes, 0.5, "quarters")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two steps, its outcome, and the data sets that classifiers were asked of."""
    with pytest.MonkeyPatch.context() as patch:
        requested = []
        patch.setattr(video_gan, "networks", lambda *_: (small.generator(), small.discriminator()))
        patch.setattr(feature_extractor, "load", partial(cheap, requested))
        patch.setattr(clips, "TRAIN", 60)
        patch.setattr(clips, "TEST", 30)
        config = Config(**QUICK, workdir=tmp_path_factory.mktemp("video"))
        yield config, video_gan.train(config), requested


def test_the_networks_fit_the_clips():
    """Shapes alone, without compiling; both penalties differentiate the discriminator twice."""
    size, channels = 20, 3  # on a canvas of 20 = 5 * 4 pixels
    config = Config(size=size, frames=5)
    task = video_gan.make_task(config, channels)
    state = jax.eval_shape(task.init, jax.random.key(0))
    batch = {
        "image": jax.ShapeDtypeStruct((8, 5 * size, size, channels), np.uint8),
        "label": jax.ShapeDtypeStruct((8,), np.int32),
    }
    after, sums = jax.eval_shape(task.step, state, batch, jax.random.key(0))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert sums["penalty"][0].shape == ()


def test_what_a_run_leaves(trained):
    config, outcome, requested = trained
    found = outcome.summary["scores"]
    for kind in ("clips", "frames"):
        assert found[kind]["images"] == 20
        assert found[kind]["real"]["fid"] < found[kind]["noise"]["fid"]
        assert set(found[kind]["samples"]) == set(found[kind]["real"]) >= {"fid", "kid", "modes"}
    assert set(found["motion"]["samples"]) == {"speed", "roughness", "flicker"}
    assert outcome.summary["metrics"]["fid"] == found["clips"]["samples"]["fid"]
    plots = {path.name for path in (Path(config.workdir) / "plots").iterdir()}
    assert plots == {
        "discriminator.png", "learning_curves.png", "neighbours.png", "progress.png", "real.gif",
        "samples.gif", "strips.png",
    }  # fmt: skip
    with Image.open(Path(config.workdir) / "plots" / "samples.gif") as gif:
        assert gif.n_frames == 4
    frames, moves = requested
    assert frames.train["image"].shape == (60, 8, 8, 1) and len(frames.classes) == 10
    assert moves.train["image"].shape == (60, 8, 8, 4) and moves.classes[5] == "1 up right"
    assert 10 < moves.train["label"].max() < 40


def test_sample(trained, capsys):
    config, _, _ = trained
    drawn = video_gan.sample(config, 3)
    assert drawn.shape == (3, 4, 8, 8, 1) and drawn.dtype == np.uint8
    folder = Path(config.workdir) / "samples"
    names = {path.name for path in folder.iterdir()}
    assert names == {"00000.gif", "00001.gif", "00002.gif", "sheet.gif"}
    with Image.open(folder / "00002.gif") as gif:
        gif.seek(2)
        shown = np.asarray(gif.convert("L"))
    factor = shown.shape[0] // 8
    np.testing.assert_array_equal(shown[::factor, ::factor], drawn[2, 2, ..., 0])
    assert "checkpoint of step 2" in capsys.readouterr().out


def test_films_without_classes_are_scored_by_turns_and_orders(monkeypatch):
    requested = []
    monkeypatch.setattr(feature_extractor, "load", partial(cheap, requested))
    films = np.random.default_rng(0).integers(0, 255, (24, 4, 8, 8, 1), np.uint8)
    part = {"image": films, "label": np.zeros(24, np.int32)}
    evaluator = video_evaluation.load(Clips("films", part, part, ("clip",)), 12, True)
    rotated, ordered = requested
    assert len(rotated.classes) == 4 and len(ordered.classes) == 3
    image, turn = rotated.train["image"][24:48], rotated.train["label"][24:48]
    assert (turn == 1).all()
    np.testing.assert_array_equal(image[5], np.rot90(films[5, 5 % 4]))
    orders = np.moveaxis(ordered.train["image"], -1, 1).reshape(3, 24, 4, 8, 8)
    np.testing.assert_array_equal(orders[0], films[..., 0])
    np.testing.assert_array_equal(np.sort(orders[1], 1), np.sort(films[..., 0], 1))
    assert (orders[1] != films[..., 0]).any() and (orders[2] == orders[2][:, :1]).all()
    assert set(evaluator.clips.real) == {
        "fid", "kid", "precision", "recall", "density", "coverage",
    }  # fmt: skip
    findings, lines = evaluator.findings([films, films[::-1]])
    assert len(findings["scores"]["clips"]["samples"]["fid"]["per_seed"]) == 2
    json.dumps(findings)
    assert any("roughness" in line for line in lines)


def test_mistakes(tmp_path):
    with pytest.raises(UsageError, match="unknown flag --predict"):
        parse(Config, ["x", "--predict=x.gif"])
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        video_gan.build(Config(dataset=tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="holds no run"):
        video_gan.sample(Config(workdir=tmp_path), 3)
    with pytest.raises(ValueError, match="size must be at least 8"):
        Config(size=4)


def test_too_few_films_are_refused_before_anything_is_trained(tmp_path):
    frames = [Image.fromarray(np.full((16, 16), 9 * t, np.uint8)) for t in range(6)]
    for i in range(10):
        frames[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"has \d test clips, and scores compare at least 6"):
        video_gan.build(Config(**QUICK | {"dataset": str(tmp_path)}))
