"""--predict of all classifiers of images: a table and pictures in workdir/predictions/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.data.appearance import Appearance, border, inverted
from dljax.data.sources import Levels, read_images
from dljax.data.sources.image import described, read_image
from dljax.data.sources.layout import some
from dljax.run.workdirs import predictions_folder
from dljax.train import export
from dljax.train.export import Serving
from dljax.train.files import write_csv

COLOURS = {1: "grey", 3: "colour"}
PICTURES = 20  # of predictions drawn, at most
SHOWN = 10  # classes in a picture, at most
KINDS = 3  # of pictures that are told one by one, at most
HALF = 0.5  # the probability from which one of several labels is called

Answers = dict[str, np.ndarray]


def predict(
    model: Serving,
    path: str,
    workdir: Path,
    draw: bool,
    cut: Callable[[np.ndarray], np.ndarray] | None = None,
    invert: bool = False,
) -> list[dict[str, Any]]:
    """Applies a network to an image or a folder of images.

    Writes predictions.csv and, for the first images, pictures to workdir/predictions/, and says how
    the pictures were changed for the network. Returns a dict an image: file, label, probability,
    and its five most probable classes; of several labels those called and the probability of each;
    of a number its value. cut: brings a picture to the model's size; None: it is resized. invert:
    dark becomes bright.
    """
    folder = predictions_folder(workdir, path)
    height, width, channels = model.inputs["image"].shape
    size = None if cut else (height, width)
    levels = model.metadata.get("levels")
    images = read_images(path, size, channels, cut, levels and Levels(*levels))
    seen = 255 - images.images if invert else images.images
    for line in (
        *(f"skipped: {skipped}" for skipped in images.skipped),
        *images.notes,
        *_changes(model, images.names, seen, invert, workdir / "plots" / "training_images.png"),
    ):
        print(line)
    found = export.answers(model, {"image": seen})
    rows = _rows(model, images.names, found)
    write_csv(folder / "predictions.csv", rows)
    for number, (row, image) in enumerate(zip(rows, seen, strict=True)):
        print(f"{row['file']}: {_said(model, row)}")
        if draw and number < PICTURES:
            picture = folder / f"{number:02d}_{Path(row['file']).stem}.png"
            _draw(model, row, image, {name: x[number] for name, x in found.items()}, picture)
    print(f"{_origin(model)}; {folder}/predictions.csv")
    return rows


def _changes(
    model: Serving, names: Sequence[str], seen: np.ndarray, invert: bool, examples: Path
) -> list[str]:
    """How pictures became what the network sees, and whether that looks like training images.

    examples: a picture of training images, named where there is one.
    """
    height, width, channels = model.inputs["image"].shape
    wanted = f"{height}x{width} {COLOURS[channels]}"
    kinds = Counter(described(name) for name in names)
    kinds.pop(wanted, None)
    if len(kinds) > KINDS:
        kinds = Counter({f"{len(kinds)} sizes and colours": kinds.total()})
    lines = [f"{n} of {len(names)} pictures: {kind} became {wanted}" for kind, n in kinds.items()]
    if lines and examples.exists():
        lines.append(f"training images: {examples}")
    if invert:
        lines.append("dark and bright were turned round (--invert)")
    borders = model.metadata.get("borders")
    strange = inverted(seen, Appearance(*borders)) if borders else np.zeros(len(seen), bool)
    if strange.any():
        files = some([Path(names[i]).name for i in np.flatnonzero(strange)], 3)
        bright = "bright" if border(seen[strange]).mean() > HALF else "dark"
        way = "without --invert they are not" if invert else "--invert turns them round"
        lines.append(
            f"warning: {strange.sum()} of {len(names)} pictures seem inverted: their border is "
            f"{bright} ({files}), that of training images {Appearance(*borders)}; {way}"
        )
    return lines


def _rows(model: Serving, names: Sequence[str], found: Answers) -> list[dict[str, Any]]:
    """What is written of each image."""
    if "value" in found:
        name = model.outputs["value"].about
        return [
            {"file": file, name: round(float(x), 6)}
            for file, x in zip(names, found["value"], strict=True)
        ]
    classes, rows = model.outputs["probability"].names, []
    for file, q in zip(names, found["probability"], strict=True):
        if model.metadata.get("multi_label"):
            called = [name for name, x in zip(classes, q, strict=True) if x > HALF]
            each = {f"probability_{n}": round(float(x), 6) for n, x in zip(classes, q, strict=True)}
            rows.append({"file": file, "label": "|".join(called), **each})
            continue
        best = (-q).argsort(kind="stable")[:5]
        rows.append(
            {
                "file": file,
                "label": classes[best[0]],
                "probability": round(float(q[best[0]]), 6),
                "top_5": "; ".join(f"{classes[i]} {q[i]:.3f}" for i in best),
            }
        )
    return rows


def _said(model: Serving, row: dict[str, Any]) -> str:
    """A row for a reader."""
    if "value" in model.outputs:
        name = model.outputs["value"].about
        return f"{name} {row[name]:.5g}"
    if model.metadata.get("multi_label"):
        called = row["label"].split("|") if row["label"] else []
        return ", ".join(f"{x} ({row[f'probability_{x}']:.3f})" for x in called) or "no label"
    many = len(model.outputs["probability"].names) > SHOWN
    return row["top_5"] if many else f"{row['label']} ({row['probability']:.3f})"


def _draw(
    model: Serving, row: dict[str, Any], image: np.ndarray, found: Answers, path: Path
) -> None:
    """The picture as it is, what the network saw of it, and what it says."""
    original = read_image(row["file"])
    same = original.shape == image.shape and (original == image).all()
    if "value" in found:
        plots.predicted_number(image, _said(model, row), path, None if same else original)
        return
    p, classes = found["probability"], model.outputs["probability"].names
    plots.prediction(image, classes, p, path, None if same else original)


def _origin(model: Serving) -> str:
    about = model.metadata
    return f"checkpoint of step {about['step']}" if "step" in about else str(about["source"])
