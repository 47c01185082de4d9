"""A `.npz` file in the layout of MedMNIST, of all its kinds (Yang et al. 2023, medmnist.com).

Images in two or three dimensions, grey or colour; one class for each, or a row of labels (0, 1).
"""

from __future__ import annotations

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.medical.labels import Arrays, LabelledImages
from dljax.data.sources.medmnist_names import names_of
from dljax.data.sources.npz import part_arrays


def read(path: str, classes: tuple[str, ...] = ()) -> LabelledImages:
    """Reads the parts of a file: uint8 images, and labels int32 [N], or [N, K] where K > 1.

    PART_images is [N, H, W], [N, H, W, 1 or 3], [N, D, H, W] or [N, D, H, W, 1 or 3], PART_labels
    [N], [N, 1], or [N, K] of 0 and 1; [N, H, W, 3] is colour. classes: names of the labels
    0, 1, ...; (): MedMNIST's for its own files, else the numbers.

    Raises FileNotFoundError, ValueError: one line that says which array is wrong.
    """
    parts: dict[str, Arrays] = {}
    for part, (images, labels) in part_arrays(path).items():
        images = _images(path, f"{part}_images", images)
        parts["validation" if part == "val" else part] = {
            "image": images,
            "label": _labels(path, f"{part}_labels", labels, len(images)),
        }
    shapes = {part: x["image"].shape[1:] for part, x in parts.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{path}: the images of the parts differ in shape: {shapes}.")
    widths = {part: x["label"].shape[1:] for part, x in parts.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"{path}: the parts differ in the number of labels of an image.")
    count = widths["train"][0] if widths["train"] else int(parts["train"]["label"].max()) + 1
    _check_labels(path, parts, count)
    return LabelledImages(path, parts, *_names(path, count, classes))


def _images(path: str, key: str, images: np.ndarray) -> np.ndarray:
    """Checks and returns uint8 [N, (D,) H, W, C]."""
    if images.dtype != np.uint8:
        raise ValueError(f"{path}: {key} is {images.dtype}; uint8 levels 0..255 are needed.")
    if images.ndim in (3, 4) and (images.ndim == 3 or images.shape[-1] not in (1, 3)):
        images = images[..., None]
    if images.ndim not in (4, 5) or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"{path}: {key} has the shape {list(images.shape)}; [N, H, W], [N, H, W, 3] or "
            "[N, D, H, W] is needed, with at least one image."
        )
    return images


def _labels(path: str, key: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Checks and returns int32 [N] or [N, K]."""
    if not np.issubdtype(labels.dtype, np.integer) and labels.dtype != bool:
        raise ValueError(f"{path}: {key} is {labels.dtype}; whole numbers are needed.")
    if labels.ndim not in (1, 2) or len(labels) != count or 0 in labels.shape:
        raise ValueError(
            f"{path}: {key} has the shape {list(labels.shape)} for {count} images; "
            "[N], [N, 1] or [N, K] is needed."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.min() < 0 or (labels.ndim == 2 and labels.max() > 1):
        allowed = "0 and 1 (a column for each label)" if labels.ndim == 2 else "0, 1, ..."
        raise ValueError(f"{path}: {key} must hold {allowed}; it has {labels.min()} to "
                         f"{labels.max()}.")  # fmt: skip
    return labels.astype(np.int32)


def _check_labels(path: str, parts: dict[str, Arrays], count: int) -> None:
    """Refuses classes that train lacks, and labels that are the same for all of train."""
    train = parts["train"]["label"]
    if train.ndim == 2:
        same = np.flatnonzero(train.min(0) == train.max(0)).tolist()
        if same:
            raise ValueError(f"{path}: label {some(same)} is the same for all training images.")
        return
    lacking = np.setdiff1d(np.arange(count), train).tolist()
    if lacking:
        raise ValueError(
            f"{path}: train_labels reach to {count - 1} without {some(lacking)}: number the "
            "classes 0, 1, ... without gaps."
        )
    if count < 2:
        raise ValueError(f"{path} has one class only: a classifier needs at least two.")
    for part, arrays in parts.items():
        if arrays["label"].max() >= count:
            raise ValueError(
                f"{path}: {part}_labels holds class {arrays['label'].max()}, which train lacks."
            )


def _names(
    path: str, count: int, given: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of classes, and notes."""
    if given:
        if len(given) != count or len(set(given)) != count:
            raise ValueError(
                f"{path} has {count} classes: --class_names={','.join(given)} must name each once, "
                "in the order of their numbers"
            )
        return given, ()
    return names_of(path, count)
