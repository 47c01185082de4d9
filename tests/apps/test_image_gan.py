"""Image GANs as a command: every model, what is left behind, --sample, a second start, mistakes.

The runs have networks of dense layers; those of every model are traced (test_models), and trained
by colabs/gan.ipynb.
"""

import dataclasses
import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dljax.apps import image_gan
from dljax.apps.configs.image_classification import Config as ClassifierConfig
from dljax.apps.configs.image_gan import OWN, Config
from dljax.apps.gan import feature_extractor
from dljax.run import command_line
from tests.gan import clips as small
from tests.helpers import stripes

QUICK = {
    "steps": 2,
    "batch_size": 8,
    "width": 4,
    "latent": 6,
    "score_images": 20,
    "validation": 0.4,  # as many images as are tested with: one program evaluates both
    "parallel": "none",
    "quiet": True,
}


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "stripes.npz"
    arrays = {}
    for part, count in {"train": 50, "test": 24}.items():
        data = stripes(count, seed=count)
        arrays[f"{part}_images"] = data["image"][..., 0]
        arrays[f"{part}_labels"] = data["label"][:, None]
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def cheap_features(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_extractor, "STEPS", 2)
        plain = dict.fromkeys(("crop", "rotation", "zoom", "shear"), 0)
        patch.setattr(feature_extractor, "Config", partial(ClassifierConfig, **plain))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def small_networks():
    """Dense layers for images of 8x8 pixels; the networks of others stay."""

    def networks(config, shape, classes, networks=image_gan.networks):
        if shape == (8, 8, 1):
            return small.DenseGenerator(), small.DenseDiscriminator()
        return networks(config, shape, classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_gan, "networks", networks)
        yield


@pytest.fixture(scope="module")
def trained(npz, cheap_features, small_networks, tmp_path_factory):
    """A conditional run of two seeds with its pictures."""
    config = Config(
        **QUICK, dataset=npz, workdir=tmp_path_factory.mktemp("gan"), conditional=True,
        num_seeds=2, r1=0.0,
    )  # fmt: skip
    return config, image_gan.train(config)


def test_what_a_run_leaves(trained):
    config, outcome = trained
    found = outcome.summary["scores"]
    assert found["images"] == 20
    assert len(found["samples"]["fid"]["per_seed"]) == 2
    assert outcome.summary["metrics"]["fid"] == found["samples"]["fid"]  # one number of a name
    assert found["real"]["fid"] < found["noise"]["fid"]
    assert set(found["samples"]) == set(found["real"]) >= {"fid", "kid", "precision", "modes"}
    assert any("real images" in note for note in outcome.summary["notes"])
    left = {path.name for path in (Path(config.workdir) / "plots").iterdir()}
    assert left == {
        "classes.png", "discriminator.png", "interpolation.png", "learning_curves.png",
        "neighbours.png", "progress.gif", "progress.png", "samples.png",
    }  # fmt: skip
    with Image.open(Path(config.workdir) / "plots" / "progress.gif") as gif:
        assert gif.n_frames == 2


def test_sample(trained, capsys):
    config, _ = trained
    images = image_gan.sample(config, 7)
    assert images.shape == (7, 8, 8, 1) and images.dtype == np.uint8
    folder = Path(config.workdir) / "samples"
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == ["00000_0.png", "00001_1.png"] and len(names) == 8
    np.testing.assert_array_equal(np.asarray(Image.open(folder / names[3])), images[3, ..., 0])
    assert "checkpoint of step 2" in capsys.readouterr().out


def test_a_second_start_does_nothing_anew(trained):
    config, before = trained
    again = image_gan.train(dataclasses.replace(config, plots=False))
    assert again.summary["scores"]["samples"] == before.summary["scores"]["samples"]
    lines = (Path(config.workdir) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


@pytest.mark.parametrize(
    "flags",
    [
        {"model": "sngan", "updates": 2},
        {"model": "r3gan", "penalty_every": 2, "conditional": True},
        {"model": "dcgan", "loss": "wasserstein", "gradient_penalty": 10.0, "dtype": "bfloat16"},
    ],
    ids=lambda flags: flags["model"],
)
def test_models(flags):
    """Every model and loss makes a task whose step keeps its State (traced, not compiled)."""
    config = Config(width=4, latent=6, **flags)
    task = image_gan.make_task(config, (28, 28, 3), 4)
    state = jax.eval_shape(task.init, jax.random.key(0))
    batch = {
        "image": jax.ShapeDtypeStruct((8, 28, 28, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((8,), jnp.int32),
    }
    after, sums = jax.eval_shape(task.step, state, batch, jax.random.key(0))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert sums["loss"][0].shape == ()


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="say which one with augment"):
        Config(ada=0.6)
    with pytest.raises(command_line.UsageError, match="unknown flag --predict"):
        command_line.parse(Config, ["x", "--predict=x.png"])
    with pytest.raises(ValueError, match="'modern' is now 'r3gan'"):
        Config(model="modern")
    with pytest.raises(ValueError, match="image_gan has no patience"):
        Config(patience=3)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        image_gan.sample(Config(workdir=tmp_path), 3)
    wide = np.zeros((12, 8, 10), np.uint8)
    labels = np.arange(12)[:, None] % 2
    np.savez(tmp_path / "wide.npz", train_images=wide, train_labels=labels,
             test_images=wide, test_labels=labels)  # fmt: skip
    with pytest.raises(ValueError, match="not square: set --image_size"):
        image_gan.build(Config(dataset=tmp_path / "wide.npz"))
    with pytest.raises(command_line.UsageError, match="loss must be one of"):
        command_line.parse(Config, ["x", "--loss=best"])


def test_the_models_own_values_yield_to_flags():
    own = Config(model="r3gan", r1=0.5).own()
    assert (own.r1, own.r2, own.loss) == (0.5, OWN["r3gan"]["r2"], "relativistic")
