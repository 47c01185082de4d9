"""--predict of a classifier of medical images: a table in workdir/predictions/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dljax.data.sources import Levels, read_images
from dljax.data.sources.medical import medmnist
from dljax.train import export
from dljax.train.export import Serving
from dljax.train.files import write_csv

PRINTED = 20  # lines, at most


def predict(model: Serving, path: str, workdir: Path) -> list[dict[str, Any]]:
    """Classifies an image, a folder of images, or the test images of a `.npz`.

    Writes workdir/predictions/predictions.csv. Returns its rows: file, label (of several labels all
    that are called), probability_NAME of each class, and called_NAME, 1 where that probability
    reaches the threshold that was chosen on validation.
    """
    names, images = _read(model, path)
    classes = model.outputs["probability"].names
    thresholds = model.metadata["thresholds"]
    p = export.answers(model, {"image": images})["probability"]
    rows = []
    for name, q in zip(names, p, strict=True):
        called = {x: int(q[classes.index(x)] >= t) for x, t in thresholds.items()}
        best = classes[int(q.argmax())]
        label = "; ".join(x for x in called if called[x]) if model.metadata["multi_label"] else best
        row = {"file": name, "label": label}
        row |= {f"probability_{x}": round(float(y), 6) for x, y in zip(classes, q, strict=True)}
        rows.append(row | {f"called_{x}": y for x, y in called.items()})
        if len(rows) <= PRINTED:
            print(f"{name}: {best} {q.max():.3f}")
    target = workdir / "predictions" / "predictions.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_csv(target, rows)
    print(f"{len(rows)} images, by the checkpoint of step {model.metadata['step']}; {target}")
    return rows


def _read(model: Serving, path: str) -> tuple[list[str], np.ndarray]:
    """Names and uint8 images [N, (D,) H, W, C]."""
    shape = model.inputs["image"].shape
    if path.lower().endswith(".npz"):
        images = medmnist.read(path).parts["test"]["image"]
        if images.shape[1:] != shape:
            raise ValueError(f"{path} has images of {images.shape[1:]}, the model reads {shape}")
        return [f"test_images[{i}]" for i in range(len(images))], images
    if len(shape) == 4:
        raise ValueError(f"the model reads volumes {shape}: --predict takes a .npz file of them")
    levels = model.metadata["levels"]
    found = read_images(path, shape[:2], shape[2], None, levels and Levels(*levels))
    for line in (*(f"skipped: {x}" for x in found.skipped), *found.notes):
        print(line)
    return list(found.names), found.images
