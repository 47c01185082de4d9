"""--predict on pictures unlike training images: what is said, and what is drawn."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dljax import plots
from dljax.apps import image_prediction
from dljax.cnn.classification import inspection
from dljax.data.appearance import Appearance, appearance, inverted

TRAINED = np.zeros((50, 8, 8, 1), np.uint8)
TRAINED[:, 2:6, 2:6] = 200  # bright on dark, as scans of digits


def test_pictures_that_seem_inverted():
    dark = appearance(TRAINED)
    assert dark == (0, 0) and str(dark) == "dark (0.00 to 0.00)"
    assert inverted(np.concatenate([TRAINED[:1], 255 - TRAINED[:1]]), dark).tolist() == [
        False,
        True,
    ]
    photos = np.random.default_rng(0).integers(0, 256, (500, 1, 1, 3)).repeat(8, 1).repeat(8, 2)
    photos = photos.astype(np.uint8)
    assert not inverted(255 - photos, appearance(photos)).any()
    assert not inverted(255 - TRAINED, Appearance(0.3, 0.35)).any()  # as strange once inverted


@pytest.fixture
def drawn(monkeypatch):
    """(image, original) of each picture that would be drawn."""
    calls = []

    def draw(image, classes, p, path, original):
        calls.append((image, original))

    monkeypatch.setattr(plots, "prediction", draw)
    return calls


@pytest.mark.parametrize("invert", [False, True])
def test_what_became_of_a_picture_is_said(tmp_path, capsys, drawn, invert):
    """Black on white, larger and in colour; the model says how bright the border is."""

    def function(weights, inputs):
        bright = inputs["image"][:, 0, 0, 0] / 255.0
        return {"probability": jnp.stack([1 - bright, bright], -1)}

    metadata = {"step": 3, "levels": None, "borders": appearance(TRAINED)}
    model = inspection.serving(function, (), (8, 8, 1), ("dark", "bright"), metadata)
    (tmp_path / "own").mkdir()
    picture = np.full((24, 16, 3), 255, np.uint8)
    picture[8:16, 4:12] = (0, 0, 90)
    Image.fromarray(picture).save(tmp_path / "own" / "one.png")
    Image.fromarray(TRAINED[0, ..., 0]).save(tmp_path / "own" / "two.png")
    own = str(tmp_path / "own")
    rows = image_prediction.predict(model, own, tmp_path, True, invert=invert)
    said = capsys.readouterr().out
    assert [row["label"] for row in rows] == (["dark", "bright"] if invert else ["bright", "dark"])
    assert "1 of 2 pictures: 24x16 colour became 8x8 grey\n" in said
    strange = "two.png" if invert else "one.png"
    assert f"1 of 2 pictures seem inverted: their border is bright ({strange}), that of" in said
    assert ("dark and bright were turned round" in said) == invert
    image, original = drawn[0]
    assert image.shape == (8, 8, 1) and original.shape == (24, 16, 3)
    assert (drawn[1][1] is None) != invert  # what is as it was is drawn once
