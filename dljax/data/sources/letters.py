"""An embedded data set of printed letters, drawn here from the fonts that matplotlib carries."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from dljax.data.sources.dataset import Dataset, labelled
from dljax.data.sources.image import convert_all

SIDE = 8
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmmi10", "cmtt10"),
)
TEST_FONTS = ("DejaVuSerif-Italic", "STIXGeneralBol", "cmss10", "cmti10")
VARIANTS = 8
"""Pictures of each letter in each font."""
DISTINCT = "abdefghnqrt"
"""Small letters that are more than their capital made smaller: classes of their own, as in EMNIST's
balanced split (Cohen et al. 2017, arXiv:1702.05373, section II)."""
CLASSES = tuple(ascii_uppercase + DISTINCT)


def load_letters(size: tuple[int, int] | None = None, channels: int | None = None) -> Dataset:
    """7488 pictures of 37 printed letters for training, 1664 in other fonts to test; no network.

    Grey, 8 x 8 unless `size` says otherwise, white on black and as tall as the picture, as the
    scans of `digits` are; slanted, turned, stretched and thickened at random, from a fixed seed.
    """
    random = np.random.RandomState(0)
    parts = []
    for fonts in (FONTS, TEST_FONTS):
        drawn = [
            (_draw(sign, font, random, size or (SIDE, SIDE)), CLASSES.index(name))
            for font in _paths(fonts)
            for sign, name in _signs()
            for _ in range(VARIANTS)
        ]
        images, labels = zip(*drawn, strict=True)
        parts.append(labelled(convert_all(np.stack(images), None, channels), np.array(labels)))
    return Dataset(name="letters", train=parts[0], test=parts[1], classes=CLASSES)


def _signs() -> list[tuple[str, str]]:
    """The letters that are drawn, with their classes."""
    return [(x, x) for x in ascii_uppercase] + [
        (x, x if x in DISTINCT else x.upper()) for x in ascii_lowercase
    ]


def _paths(fonts: tuple[str, ...]) -> list[str]:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [str(folder / f"{font}.ttf") for font in fonts]


def _draw(sign: str, font: str, random: Any, size: tuple[int, int]) -> np.ndarray:
    """One picture of a letter, uint8 [H, W, 1]."""
    from PIL import Image, ImageDraw, ImageFont

    face, board = ImageFont.truetype(font, 40), 96
    _, top, _, bottom = face.getbbox(sign)
    thicker = round(random.uniform(0.01, 0.07) * (bottom - top))
    picture = Image.new("L", (board, board))
    middle = (board / 2, board / 2)
    ImageDraw.Draw(picture).text(middle, sign, 255, face, anchor="mm", stroke_width=thicker)
    turn, slant = random.normal(0, 0.12), random.normal(0, 0.2)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = turned @ np.array([[1, slant], [0, 1]])
    shift = middle - matrix @ middle
    coefficients = np.column_stack([matrix, shift]).ravel()
    picture = picture.transform(picture.size, Image.Transform.AFFINE, coefficients)
    picture = picture.crop(picture.getbbox())
    # As tall as the picture, at most 0.6 to 0.9 as wide, in the middle.
    width, height = picture.size
    width = min(width, round(height * random.uniform(0.6, 0.9)))
    square = Image.new("L", (height, height))
    square.paste(picture.resize((width, height), Image.Resampling.BOX), ((height - width) // 2, 0))
    return np.asarray(square.resize(size[::-1], Image.Resampling.BOX))[..., None]
