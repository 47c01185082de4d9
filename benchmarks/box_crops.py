"""Cuts the boxes of a detection set into a folder of images per class, for classifiers.

    python -m benchmarks.box_crops --dataset=../shared/data/bccd --out=bccd_crops [--side=32]

Each box becomes a square PNG around its middle, a fifth wider than its longer side, whose file is
named after the image, so that `--patient_pattern='([^/]+)-[0-9]+'` keeps the boxes of an image
in one part. Parts are those of the set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from dljax.data.sources.image import read_image
from dljax.data.sources.vision import load_boxes, truth

MARGIN = 1.2
PARTS = ("train", "validation", "test")


def crop(image: np.ndarray, box: np.ndarray, side: int) -> Image.Image:
    """The square around a box (x1, y1, x2, y2); beyond the border lies the mirror image."""
    half = max(MARGIN * max(box[2] - box[0], box[3] - box[1]) / 2, 1)
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    border = int(np.ceil(half)) + 1
    wide = np.pad(image, ((border, border), (border, border), (0, 0)), "symmetric")
    low, high = middle - half + border, middle + half + border
    return Image.fromarray(wide).resize((side, side), Image.Resampling.BOX, (*low, *high))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="a folder with boxes, as object_detection")
    parser.add_argument("--out", required=True, help="the folder that is made")
    parser.add_argument("--side", type=int, default=32, help="of the images, pixels")
    flags = parser.parse_args()
    out = Path(flags.out)
    if out.exists():
        raise SystemExit(f"{out} is there already: name another folder")
    data = load_boxes(flags.dataset, (flags.side, flags.side))
    for part in PARTS:
        source = getattr(data, part) or ()
        for file, found in zip(source and source.names(), source and truth(source), strict=True):
            image = read_image(Path(file), None, 3)
            for index, (box, label) in enumerate(zip(found.boxes, found.labels, strict=True)):
                target = out / part / data.classes[label] / f"{Path(file).stem}-{index}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                crop(image, box, flags.side).save(target)
        print(f"{part}: {len(list((out / part).rglob('*.png')))} boxes of {len(source)} images")


if __name__ == "__main__":
    main()
