"""Labelled images that are arrays already, as a `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dljax.data.sources.dataset import Arrays, Dataset, labelled

LARGEST = 100  # magnitude of a float image; what exceeds it was meant to be scaled

Part = tuple[np.ndarray, np.ndarray] | Mapping[str, np.ndarray]


def from_arrays(
    train: Part,
    test: Part,
    validation: Part | None = None,
    *,
    classes: Sequence[str] = (),
    name: str = "arrays",
) -> Dataset:
    """A `Dataset` of your own arrays; each part is (images, labels) or {"image": .., "label": ..}.

    Images are [N, H, W, C], or [N, H, W] of one channel: whole numbers 0..255, which the network
    gets as 0..1, or floats, which it gets as they are. Labels are whole numbers [N] from 0 on.
    classes: their names; (): their numbers.
    Raises ValueError, in one line, for what is none of these, and for parts that do not fit.
    """
    given = {"train": train, "test": test, "validation": validation}
    parts = {name: _part(name, part) for name, part in given.items() if part is not None}
    kinds = {name: (x["image"].shape[1:], x["image"].dtype) for name, x in parts.items()}
    if len(set(kinds.values())) > 1:
        shown = ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in kinds.items())
        raise ValueError(f"the images of the parts differ in shape or type: {shown}")
    highest = max(int(part["label"].max()) for part in parts.values())
    classes = tuple(map(str, classes or range(highest + 1)))
    if highest >= len(classes):
        raise ValueError(f"there is a label {highest}, but {len(classes)} classes, 0 the first")
    return Dataset(name, parts["train"], parts["test"], classes, parts.get("validation"))


def _part(name: str, part: Part) -> Arrays:
    """Images uint8 or float32 [N, H, W, C] and labels int32 [N], checked."""
    if isinstance(part, Mapping) and {"image", "label"} <= part.keys():
        part = part["image"], part["label"]
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise ValueError(
            f'{name} must be (images, labels) or {{"image": images, "label": labels}}, not '
            f"{_described(part)}"
        )
    images, labels = map(np.asarray, part)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.dtype.kind not in "uif" or 0 in images.shape:
        raise ValueError(
            f"{name}: images must be numbers [N, H, W, C] or [N, H, W], not {_described(images)}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui" or labels.min() < 0:
        raise ValueError(
            f"{name}: labels must be whole numbers from 0 on, one for each of {len(images)} "
            f"images, not {_described(labels)}"
        )
    low, high = images.min(), images.max()
    if images.dtype.kind != "f":
        if low < 0 or not 1 < high <= 255:
            raise ValueError(
                f"{name}: whole numbers are read as levels 0..255, and these lie in {low}..{high}: "
                "give floats, such as 0..1"
            )
        return labelled(images.astype(np.uint8), labels)
    if not max(-low, high) <= LARGEST:  # NaN too
        raise ValueError(
            f"{name}: floats reach the network as they are, and these lie in {low:g}..{high:g}: "
            "scale them, such as to 0..1, or give levels 0..255 as uint8"
        )
    return labelled(images.astype(np.float32), labels)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        numbers = value.size and value.ndim == 1 and value.dtype.kind in "uif"
        span = f" from {value.min()} to {value.max()}" if numbers else ""
        return f"{value.dtype} {list(value.shape)}{span}"
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(str, value))}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if hasattr(value, "__len__") else "")
