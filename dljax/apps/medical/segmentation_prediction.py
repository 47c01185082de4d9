"""--predict of a segmentation of medical images: labels in the input's geometry, a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.segmentation.prediction import save_palette
from dljax.cnn.medical.sliding_window import segment
from dljax.data.sources.image import UnreadableImage, read_image
from dljax.data.sources.layout import image_files
from dljax.data.sources.medical.decathlon import cases
from dljax.data.sources.medical.decathlon import read_image as read_channels
from dljax.data.sources.medical.dicom import is_dicom, read_series
from dljax.data.sources.medical.nifti import is_nifti, stem, write_labels
from dljax.data.sources.medical.preparation import Preparation
from dljax.data.sources.medical.volume import Volume, turned, turned_back
from dljax.run.workdirs import predictions_folder
from dljax.train import export
from dljax.train.export import Serving
from dljax.train.files import write_csv

PICTURES = 20  # of predictions drawn, at most

Read = Callable[[], Volume]


def predict(
    model: Serving,
    path: str,
    workdir: str,
    *,
    preparation: Preparation,
    overlap: float,
    ids: Sequence[int],
    orientation: str,
    draw: bool,
) -> list[dict[str, Any]]:
    """Segments each image of a path, in the order of their names.

    A volume is turned to the orientation of the training volumes, and its labels back.

    Labels are written with the ids of the training files: of a volume as NIfTI with its affine and
    voxels, of an image as PNG. Returns the rows of predictions.csv: file, labels, and the volume of
    each class in ml, or of images its pixels.
    """
    *window, channels = model.inputs["image"].shape
    classes = model.outputs["probability"].names
    folder = predictions_folder(workdir, path)
    folder.mkdir(parents=True, exist_ok=True)

    def answer(x: np.ndarray) -> np.ndarray:
        return export.answers(model, {"image": x})["probability"]

    rows = []
    readers = volumes(Path(path).expanduser()) if len(window) == 3 else images(path, channels)
    for name, read in readers:
        volume = read()
        if volume.image.shape[-1] != channels:
            raise ValueError(
                f"{name} has {volume.image.shape[-1]} channels, the run was trained on {channels}"
            )
        there = turned(volume, orientation)
        found = segment(answer, preparation.image(there), window, overlap, len(classes))
        found = turned_back(preparation.back(found, there), volume, orientation)
        flat = name.replace("/", "_")
        if len(window) == 3:
            file = folder / f"{flat}.nii.gz"
            write_labels(file, np.array(ids)[found], volume.affine)
        else:
            file = folder / f"{flat}.png"
            save_palette(found, plots.masks.palette(len(classes)), ids, file)
        if draw and len(rows) < PICTURES:
            picture = folder / f"{flat}_slices.png"
            plots.volumes.slices([volume.image], [None], [found], [name], classes, picture)
        rows.append({"file": name, "labels": file.name, **_amounts(volume, found, classes)})
        print(f"{name}: {', '.join(f'{k} {v}' for k, v in list(rows[-1].items())[2:])}; {file}")
    write_csv(folder / "predictions.csv", rows)
    step = model.metadata["step"]
    print(f"{len(rows)} images, by the checkpoint of step {step}; {folder}/predictions.csv")
    return rows


def volumes(path: Path) -> Iterator[tuple[str, Read]]:
    """Name and reader of each volume: a NIfTI file, a folder of them, one or many DICOM series."""
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    if path.is_file():
        if not is_nifti(path):
            raise ValueError(f"{path} is no NIfTI file (.nii, .nii.gz); of DICOM, name the folder")
        yield stem(path), lambda: read_channels(stem(path), [path])
        return
    if any(is_nifti(file) for file in path.iterdir()):
        for name, channels in cases(path).items():
            yield name, lambda name=name, channels=channels: read_channels(name, channels)
        return
    folders = sorted({file.parent for file in path.rglob("*") if is_dicom(file)})
    if not folders:
        raise ValueError(f"{path} has no NIfTI files (.nii, .nii.gz) and no DICOM files")
    for folder in folders:
        name = folder.relative_to(path.parent).as_posix()
        yield name, lambda folder=folder: read_series(folder)


def images(path: str, channels: int) -> Iterator[tuple[str, Read]]:
    """Name and reader of each image of a path."""
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no {path}.")
    files = image_files(root) if root.is_dir() else [root]
    if not files:
        raise ValueError(f"{path} has no image files")

    def read(file: Path) -> Volume:
        try:
            pixels = read_image(file, channels=channels)
        except UnreadableImage as error:
            raise ValueError(f"{file} can't be read: {error}") from None
        return Volume(file.name, pixels.astype(np.float32), None, np.eye(4))

    for file in files:
        name = (file.relative_to(root) if root.is_dir() else Path(file.name)).with_suffix("")
        yield name.as_posix(), lambda file=file: read(file)


def _amounts(volume: Volume, found: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(found.ravel(), minlength=len(classes))[1:]
    if found.ndim == 2:
        return {f"{k}_pixels": int(n) for k, n in zip(classes[1:], counts, strict=True)}
    ml = float(np.prod(volume.spacing())) / 1000
    return {f"{k}_ml": round(float(n) * ml, 3) for k, n in zip(classes[1:], counts, strict=True)}
