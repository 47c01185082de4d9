"""Each kind of mask, broken in the ways that happen: one line with the file and the reason."""

import numpy as np
import pytest
from PIL import Image

from dljax.data.sources.vision import load_masks
from tests.data.mask_files import COLOURS, IDS, everything, paint, pairs, write

NAMES = "abcdef"
PALETTE = [*COLOURS, *[(k, k, k) for k in range(3, 256)]]
NOISE = np.random.default_rng(0).integers(0, 2, (24, 32)).astype(np.uint8)


def in_palette(root):
    pairs(root, dict.fromkeys(NAMES, IDS), mode="P", palette=PALETTE)
    write(root / "classes.txt", "x 128 0 0\ny 0 128 0\nz 10 20 30\n")
    return root / "masks" / "b.png", IDS * 9, "class id 9, 18"


def in_colours(root):
    colours = np.array(COLOURS, np.uint8)[IDS]
    pairs(root, dict.fromkeys(NAMES, colours))
    write(root / "class_dict.csv", "name,r,g,b\nx,128,0,0\ny,0,128,0\nz,10,20,30\n")
    return root / "masks" / "b.png", colours + np.uint8(1), r"colour \(1, 129, 1\)"


def in_0_and_255(root):
    pairs(root, dict.fromkeys(NAMES, (IDS == 1) * np.uint8(255)))
    return root / "masks" / "b.png", (IDS == 1) * np.uint8(77), r"0, 77, 255 \(77 is in .*b.png\)"


def in_voc(root):
    pairs(root, dict.fromkeys(NAMES, IDS), "JPEGImages", "SegmentationClass")
    for part, ids in (("train", NAMES[:4]), ("val", NAMES[4:])):
        write(root / "ImageSets" / "Segmentation" / f"{part}.txt", "\n".join(ids))
    wrong = np.where(IDS == 2, 40, IDS).astype(np.uint8)
    return root / "SegmentationClass" / "b.png", wrong, r"40 \(40 is in .*b.png\)"


def in_camvid(root):
    for part in ("train", "val", "test"):
        names = [f"{part}{name}" for name in NAMES] if part != "train" else NAMES
        pairs(root, dict.fromkeys(names, IDS), part, f"{part}annot")
    write(root / "classes.txt", "sky\nroad\ntree\n")
    return root / "trainannot" / "b.png", IDS + np.uint8(9), "class id 9, 10, 11"


KINDS = (in_palette, in_colours, in_0_and_255, in_voc, in_camvid)


def no_image(mask, strange):
    mask.write_bytes(b"no image")
    return "is no readable mask"


def breaks_off(mask, strange):
    paint(mask, NOISE)
    mask.write_bytes(mask.read_bytes()[:-40])
    return "is no readable mask"


def of_another_size(mask, strange):
    with Image.open(mask) as whole:
        part = whole.crop((0, 0, 2, 3))
    part.save(mask)
    return "is a mask of 2x3 pixels, its image has 4x3"


def of_another_class(mask, strange):
    array, reason = strange
    paint(mask, array)
    return reason


def of_floats(mask, strange):
    mask.unlink()
    paint(mask.with_suffix(".tif"), np.zeros(IDS.shape, np.float32))
    return "is a mask of mode F"


def as_jpeg(mask, strange):
    mask.unlink()
    paint(mask.with_suffix(".jpg"), IDS * 40)
    return "is a JPEG, which blurs class ids"


def is_lacking(mask, strange):
    for name in "bc":
        mask.with_name(f"{name}.png").unlink()
    return "(have no mask: .*b.jpg|ids of train have no image with its mask: b, c)"


FAULTS = (no_image, breaks_off, of_another_size, of_another_class, of_floats, as_jpeg, is_lacking)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_broken_mask_is_one_line(tmp_path, kind, fault):
    mask, array, reason = kind(tmp_path)
    everything(load_masks(str(tmp_path)))  # whole, it is read
    message = fault(mask, (array, reason))
    with pytest.raises(ValueError, match=message) as error:
        everything(load_masks(str(tmp_path)))
    text = str(error.value)
    assert "\n" not in text and str(tmp_path) in text
    assert fault is is_lacking or f"{mask.stem}." in text
