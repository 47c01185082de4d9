"""--predict of all classifiers of images: a table and pictures in workdir/predictions/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.data.sources import Levels, read_images
from dljax.run.workdirs import predictions_folder
from dljax.train import export
from dljax.train.export import Serving
from dljax.train.files import write_csv

PICTURES = 20  # of predictions drawn, at most
SHOWN = 10  # classes in a picture, at most


def predict(
    model: Serving,
    path: str,
    workdir: Path,
    draw: bool,
    cut: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[dict[str, Any]]:
    """Classifies an image or a folder of images.

    Writes predictions.csv and, for the first images, pictures to workdir/predictions/. Returns a
    dict an image: file, label, probability, and its five most probable classes. cut: brings a
    picture to the model's size; None: it is resized.
    """
    folder = predictions_folder(workdir, path)
    height, width, channels = model.inputs["image"].shape
    classes = model.outputs["probability"].names
    size = None if cut else (height, width)
    levels = model.metadata.get("levels")
    images = read_images(path, size, channels, cut, levels and Levels(*levels))
    for line in (*(f"skipped: {skipped}" for skipped in images.skipped), *images.notes):
        print(line)
    p = export.answers(model, {"image": images.images})["probability"]
    order = (-p).argsort(-1, kind="stable")
    rows = [
        {
            "file": name,
            "label": classes[best[0]],
            "probability": round(float(q[best[0]]), 6),
            "top_5": "; ".join(f"{classes[i]} {q[i]:.3f}" for i in best[:5]),
        }
        for name, q, best in zip(images.names, p, order, strict=True)
    ]
    many = len(classes) > SHOWN
    write_csv(folder / "predictions.csv", rows)
    for number, (row, image) in enumerate(zip(rows, images.images, strict=True)):
        print(f"{row['file']}: {row['top_5'] if many else _first(row)}")
        if draw and number < PICTURES:
            picture = folder / f"{number:02d}_{Path(row['file']).stem}.png"
            chosen = order[number][:SHOWN] if many else range(len(classes))
            plots.prediction(image, [classes[i] for i in chosen], p[number][list(chosen)], picture)
    print(f"{_origin(model)}; {folder}/predictions.csv")
    return rows


def _first(row: dict[str, Any]) -> str:
    return f"{row['label']} ({row['probability']:.3f})"


def _origin(model: Serving) -> str:
    about = model.metadata
    return f"checkpoint of step {about['step']}" if "step" in about else str(about["source"])
