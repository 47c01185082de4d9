"""Medical images made ready for the loop: prepared, cut into patches, recorded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dljax.data import patches
from dljax.data.class_balance import level_counts
from dljax.data.feed import Examples, Feed
from dljax.data.record import DataRecord
from dljax.data.sources.cache import crc
from dljax.data.sources.medical.preparation import Preparation
from dljax.data.sources.medical.volume import Volume, VolumeSet

EVALUATION_BATCH = 8  # patches in an evaluation batch, where the training batch is smaller


class MedicalImages(NamedTuple):
    """The parts of a set: random patches to train on, patches side by side to evaluate."""

    train: Feed
    validation: Examples | None
    test: Examples
    name: str
    record: DataRecord


def ready(
    data: VolumeSet,
    preparation: Preparation,
    patch: tuple[int, ...],
    batch_size: int,
    foreground: float,
    multiple: int = 1,
) -> MedicalImages:
    """A `VolumeSet` on the device. patch, foreground: as of `patches.training`.

    multiple: what the size of an evaluation batch must be a multiple of (the number of devices).
    """
    held = data.parts.get("validation", ())
    train = data.maps.pairs if data.maps else pairs(data.parts["train"], preparation)
    return MedicalImages(
        patches.training(train, patch, batch_size, foreground),
        examples(held, preparation, patch, batch_size, multiple) if held else None,
        examples(data.parts["test"], preparation, patch, batch_size, multiple),
        _name(data),
        record(data).deriving(spacing=preparation.spacing, window=preparation.window),
    )


def examples(
    volumes: tuple[Volume, ...],
    preparation: Preparation,
    patch: tuple[int, ...],
    batch_size: int = EVALUATION_BATCH,
    multiple: int = 1,
) -> Examples:
    """The patches of volumes, each voxel once."""
    size = -(-max(batch_size, EVALUATION_BATCH) // multiple) * multiple
    return patches.examples(pairs(volumes, preparation), patch, size, multiple)


def pairs(volumes: tuple[Volume, ...], preparation: Preparation) -> list[patches.Pair]:
    """Prepared images and labels."""
    return [(preparation.image(v), preparation.label(v)) for v in volumes]


def record(data: VolumeSet) -> DataRecord:
    """What was read: volumes, patients, voxels of each class, geometry."""
    every = [v for volumes in data.parts.values() for v in volumes]
    spacings = np.array([v.spacing() for v in every])
    sides = np.array([v.sides() for v in every])
    summary = {
        "images": {part: len(volumes) for part, volumes in data.parts.items()},
        "patients": {part: len({v.patient for v in x}) for part, x in data.parts.items()},
        "fewest voxels": sides.min(0).tolist(),
        "most voxels": sides.max(0).tolist(),
        "channels": every[0].image.shape[-1],
        "orientation": every[0].orientation(),
    }
    if every[0].orientation() != "image":
        summary["finest spacing, mm"] = spacings.min(0).round(4).tolist()
        summary["coarsest spacing, mm"] = spacings.max(0).round(4).tolist()
    for part, volumes in data.parts.items():
        counts = level_counts(v.label for v in volumes)
        shares = 100 * counts[: len(data.classes)] / max(1, counts[: len(data.classes)].sum())
        summary[f"percent of voxels, {part}"] = dict(
            zip(data.classes, shares.round(2).tolist(), strict=True)
        )
    digests = {
        f"{part} {kind}s": f"{_digest([getattr(v, kind) for v in volumes]):08x}"
        for part, volumes in data.parts.items()
        for kind in ("image", "label")
    }
    if data.maps:
        summary["trained on"] = "patches that are drawn anew in each step"
        digests["maps"] = f"{_digest([x for pair in data.maps.pairs for x in pair]):08x}"
    return DataRecord(summary, digests, {"order of classes": list(data.classes)}, data.notes)


def _digest(arrays: list[np.ndarray]) -> int:
    return crc(np.array([crc(array) for array in arrays], np.uint32))


def _name(data: VolumeSet) -> str:
    kind = "volumes" if len(data.parts["train"][0].sides()) == 3 else "images"
    words = {"train": "training", "validation": "validation", "test": "test"}
    counts = ", ".join(f"{len(volumes)} {words[part]}" for part, volumes in data.parts.items())
    return f"{data.name} ({counts} {kind})"
