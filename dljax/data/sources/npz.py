"""A `.npz` file in the layout of MedMNIST (Yang et al. 2023, medmnist.com)."""

import zipfile
import zlib

import numpy as np

from dljax.data.sources.dataset import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Dataset,
    labelled,
)
from dljax.data.sources.image import convert_all
from dljax.data.sources.layout import some
from dljax.data.sources.medmnist_names import names_of

PARTS = ("train", "val", "test")


def medmnist_npz(
    path: str,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    problem: str = CLASSIFICATION,
) -> Dataset:
    """Reads train, val and test images and labels; the val arrays may be absent.

    PART_images is uint8 [N, H, W] or [N, H, W, 1 or 3]. PART_labels is by the problem integer [N]
    or [N, 1] of classes, [N, K] of 0 and 1 (MULTI_LABEL), or numbers [N] or [N, 1] (REGRESSION);
    'auto' takes several columns for several labels and all else for classes. The classes are those
    that train has, named by their numbers. Nothing is unpickled.

    Raises:
      FileNotFoundError, ValueError: one line that says which array is missing or wrong.
    """
    stored, parts = part_arrays(path), {}
    several = stored["train"][1].ndim == 2 and stored["train"][1].shape[1] > 1
    if problem == "auto":
        problem = MULTI_LABEL if several else CLASSIFICATION
    check = {CLASSIFICATION: _labels, MULTI_LABEL: _indicators, REGRESSION: _numbers}[problem]
    for part, (images, labels) in stored.items():
        images = _images(path, f"{part}_images", images)
        labels = check(path, f"{part}_labels", labels, len(images))
        parts[part] = labelled(convert_all(images, size, channels), labels)

    shapes = {part: arrays["image"].shape[1:] for part, arrays in parts.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{path}: the images of the parts differ in shape: {shapes}.")
    found = Dataset(path, parts["train"], parts["test"], ("label",), parts.get("val"))
    if problem == REGRESSION:
        return found._replace(problem=problem)
    if problem == MULTI_LABEL:
        widths = {part: arrays["label"].shape[1] for part, arrays in parts.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(f"{path}: the parts differ in the number of labels: {widths}.")
        names, notes = names_of(path, widths["train"])
        return found._replace(problem=problem, classes=names, notes=notes)
    labels = np.unique(parts["train"]["label"])
    for part in parts:
        strange = np.setdiff1d(parts[part]["label"], labels)
        if len(strange):
            raise ValueError(f"{path}: {part}_labels holds class {strange[0]}, which train lacks.")
    if len(labels) < 2:
        raise ValueError(f"{path} has one class only: a classifier needs at least two.")
    notes = []
    if labels[-1] >= len(labels):
        notes.append(
            f"{path}: its labels are {some(labels.tolist(), 10)}, with gaps or from another number "
            f"than 0: they are {len(labels)} classes, named by these numbers."
        )
        for part, arrays in parts.items():
            parts[part] = labelled(arrays["image"], np.searchsorted(labels, arrays["label"]))
    return Dataset(
        path,
        parts["train"],
        parts["test"],
        tuple(map(str, labels.tolist())),
        parts.get("val"),
        tuple(notes),
    )


def part_arrays(path: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(images, labels) of train, test and, where the file has it, val, as they are stored.

    Raises FileNotFoundError, and ValueError for an array that is missing; nothing is unpickled.
    """
    arrays, parts = _read(path), {}
    for part in PARTS:
        keys = (f"{part}_images", f"{part}_labels")
        if part == "val" and not any(key in arrays for key in keys):
            continue
        for key in keys:
            if key not in arrays:
                raise ValueError(
                    f"{path} has no array {key!r}, only {', '.join(sorted(arrays)) or 'none'}: "
                    "MedMNIST's layout is PART_images and PART_labels for train, val and test."
                )
        parts[part] = (arrays[keys[0]], arrays[keys[1]])
    return parts


def _read(path: str) -> dict[str, np.ndarray]:
    keys = [f"{part}_{field}" for part in PARTS for field in ("images", "labels")]
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in keys if key in file.files}
            return arrays or dict.fromkeys(file.files)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {path}.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise ValueError(f"{path} is no readable .npz file of plain arrays: {error}.") from error


def _images(path: str, key: str, images: np.ndarray) -> np.ndarray:
    """Checks and returns uint8 [N, H, W, C]."""
    if images.dtype != np.uint8:
        raise ValueError(f"{path}: {key} is {images.dtype}; uint8 levels 0..255 are needed.")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"{path}: {key} has the shape {list(images.shape)}; "
            "[N, H, W] or [N, H, W, 3] is needed, with at least one image."
        )
    return images


def _labels(path: str, key: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Checks and returns integers [N]."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{path}: {key} is {labels.dtype}; whole numbers are needed.")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"{path}: {key} has {labels.shape[1]} labels per image; multi-label sets are read by "
            "image_classification and medical_imaging, with one class per image elsewhere."
        )
    if labels.size != count or labels.ndim > 2:
        raise ValueError(
            f"{path}: {key} has the shape {list(labels.shape)} for {count} images; "
            "one label per image is needed."
        )
    if labels.min() < 0:
        raise ValueError(f"{path}: {key} holds the negative label {labels.min()}.")
    return labels.reshape(-1)


def _indicators(path: str, key: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Checks and returns [N, K] of 0 and 1."""
    if labels.ndim != 2 or len(labels) != count or not labels.shape[1]:
        raise ValueError(
            f"{path}: {key} has the shape {list(labels.shape)} for {count} images; "
            "[N, K] of 0 and 1 is needed for several labels an image."
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{path}: {key} must hold 0 and 1, a column for each label.")
    return labels.astype(np.int32)


def _numbers(path: str, key: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Checks and returns float32 [N]."""
    if labels.size != count or labels.ndim > 2:
        raise ValueError(
            f"{path}: {key} has the shape {list(labels.shape)} for {count} images; one number per "
            "image is needed."
        )
    if labels.dtype.kind not in "iuf" or not np.isfinite(labels).all():
        raise ValueError(f"{path}: {key} holds what is no number.")
    return labels.reshape(-1).astype(np.float32)
