"""--predict of a detector: COCO results, a table and pictures in workdir/predictions/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.cnn.detection.inference import Objects, objects
from dljax.cnn.detection.suppression import Detections
from dljax.data.sources import film
from dljax.data.sources.film import Frame
from dljax.data.sources.image import Levels, resize
from dljax.data.sources.vision import Fit, Size, unfit_boxes
from dljax.data.sources.vision.letterbox import FILL, fitted, pad
from dljax.run.workdirs import predictions_folder
from dljax.train import export
from dljax.train.export import Serving
from dljax.train.files import replace, write_csv

PICTURES = 20  # of predictions drawn, at most
AT_ONCE = 32  # images that are held in memory
COLUMNS = ("file", "frame", "seconds", "label", "score", "x", "y", "width", "height")


def predict(
    model: Serving,
    path: str,
    workdir: str,
    *,
    fit: Fit,
    levels: Levels | None,
    least: float,
    draw: bool,
) -> list[dict[str, Any]]:
    """Detects objects in an image, the frames of a film, or all images and films of a folder.

    Writes detections.json (COCO results, all detections, boxes x, y, width, height in pixels of
    the file), predictions.csv (those of score `least` and more, with number and time of a frame)
    and, for the first images, pictures to workdir/predictions/. Returns the rows of the table.
    """
    height, width, _ = model.inputs["image"].shape
    classes, ids = model.metadata["classes"], model.metadata["category_ids"]
    folder = predictions_folder(workdir, path)
    results, rows, count = [], [], 0
    skipped: list[str] = []
    for frames in film.pieces(film.frames(path, 3, skipped, levels), AT_ONCE):
        found = detect(model, [frame.image for frame in frames], (height, width), fit)
        for frame, each in zip(frames, found, strict=True):
            name = frame.name()
            results += coco_results(name, each, ids)
            shown = Objects(*(x[each.scores >= least] for x in each))
            rows += [dict(zip(COLUMNS, row, strict=True)) for row in _rows(frame, shown, classes)]
            if frame.number is None or count < PICTURES:
                print(f"{name}: {_summary(shown, classes)}")
            if draw and count < PICTURES:
                picture = folder / f"{count:02d}_{frame.file.stem}.png"
                title = plots.boxes.Picture(frame.image, shown, Path(name).name)
                plots.boxes.detections(title, classes, picture)
            count += 1
    for line in skipped:
        print(f"skipped: {line}")
    if not count:
        raise ValueError(f"{path} has no readable image.")
    replace(folder / "detections.json", json.dumps(results) + "\n")
    write_csv(folder / "predictions.csv", rows, COLUMNS)
    step = model.metadata["step"]
    print(
        f"{len(rows)} objects of score {least:.3g} and more in {count} images, by the checkpoint "
        f"of step {step}; {folder}/predictions.csv, detections.json"
    )
    return rows


def detect(model: Serving, images: list[np.ndarray], size: Size, fit: Fit) -> list[Objects]:
    """What a served detector finds in images uint8 [h, w, 3] of any size, in their pixels."""
    sizes = np.array([image.shape[:2] for image in images])
    ready = [pad(resize(x, fitted(x.shape[:2], size, fit)), size, FILL) for x in images]
    answer = export.answers(model, {"image": np.stack(ready)})
    found = Detections(answer["boxes"], answer["labels"], answer["scores"])
    return objects(found, sizes, lambda boxes, sizes: unfit_boxes(boxes, sizes, size, fit))


def coco_results(name: str, found: Objects, ids: tuple[int | str, ...]) -> list[dict[str, Any]]:
    """Entries of COCO's results format (cocodataset.org/#format-results); image_id is the name."""
    return [
        {
            "image_id": name,
            "category_id": ids[label],
            "bbox": [round(float(x), 2) for x in (*box[:2], *(box[2:] - box[:2]))],
            "score": round(float(score), 5),
        }
        for box, label, score in zip(*found, strict=True)
    ]


def _rows(frame: Frame, found: Objects, classes: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    place = (str(frame.file), *frame.when().values())
    for box, label, score in zip(*found, strict=True):
        sides = (*box[:2], *(box[2:] - box[:2]))
        yield *place, classes[label], round(float(score), 4), *(round(float(x), 1) for x in sides)


def _summary(found: Objects, classes: tuple[str, ...]) -> str:
    """'3 RBC, 1 WBC', the most frequent first."""
    labels, counts = np.unique(found.labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{counts[i]} {classes[labels[i]]}" for i in order) or "nothing"
