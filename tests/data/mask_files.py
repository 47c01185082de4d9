"""Small images with masks that the tests of segmentation's data write."""

import numpy as np
from PIL import Image

IDS = np.array([[0, 1, 1, 2], [0, 0, 1, 2], [2, 2, 2, 2]], np.uint8)
SHAPE = IDS.shape
COLOURS = [(128, 0, 0), (0, 128, 0), (10, 20, 30)]


def paint(path, array, mode=None, palette=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    if mode == "P":
        image.putpalette([level for colour in palette for level in colour])
    image.save(path, **options)


def picture(path, shape=SHAPE):
    paint(path, np.full((*shape, 3), (9, 90, 200), np.uint8))


def pairs(root, masks, images="images", labels="masks", ending=".png", **options):
    """images/NAME.jpg and masks/NAME.png of {NAME: mask}."""
    for name, mask in masks.items():
        picture(root / images / f"{name}.jpg", np.asarray(mask).shape[:2])
        paint(root / labels / f"{name}{ending}", mask, **options)
    return str(root)


def masks_of(source):
    arrays = source.arrays()
    return {
        name.rsplit("/")[-1].split(".")[0]: mask
        for name, mask in zip(source.names(), arrays["mask"], strict=True)
    }


def everything(data):
    """{name of the image: its mask} of all parts."""
    found = {}
    for source in (data.train, data.validation, data.test):
        found |= masks_of(source) if source else {}
    return found


def said(data, *words):
    return any(all(word in note for word in words) for note in data.notes)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
