"""Data sets for medical segmentation: the brain, folders of NIfTI files, images with masks.

    data = load_volumes("brain")
    data = load_volumes("Dataset004_Hippocampus/", validation=0.2)   # nnU-Net, or the Decathlon
    data = load_volumes("membrane/")                                 # images and masks, 2-D

Patients are kept whole: of a set without a test part, a fixed fifth of the patients is the test
part, and of a set without a validation part a share of the remaining ones validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dljax.data.sources.medical import brain, decathlon, patients
from dljax.data.sources.medical.volume import Volume, VolumeSet
from dljax.data.sources.vision import load_masks
from dljax.data.sources.vision.masks import MaskSource

TEST_SHARE = 0.2
KINDS = (
    "'brain', a folder in nnU-Net's layout (imagesTr, labelsTr, dataset.json), a folder with "
    "images/ and masks/, or for a classifier a MedMNIST .npz or a folder per class of images"
)


def load_volumes(
    dataset: str,
    *,
    classes: Sequence[str] = (),
    validation: float = 0.15,
    strength: str = "medium",
    table: str = "",
    pattern: str = "",
) -> VolumeSet:
    """All volumes of a data set, in memory, divided into train, validation and test.

    classes: names of a set that has none. strength: of the brain's degradation. table, pattern: as
    of `patients_of`; without them every file is another patient. Raises FileNotFoundError and
    ValueError, in one line.
    """
    if dataset == "brain":
        return brain.load_brain(strength)
    root = Path(dataset).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no {dataset}: --dataset takes {KINDS}.")
    if root.is_dir() and decathlon.is_decathlon(root):
        data = decathlon.read(root)
    else:
        data = _images(dataset, classes)
    return divided(_with_patients(data, table, pattern), validation)


def divided(data: VolumeSet, validation: float) -> VolumeSet:
    """The set with all its parts. Raises ValueError for a patient in two of them."""
    parts = dict(data.parts)
    if not parts.get("test"):
        parts["train"], parts["test"] = _held_out(parts["train"], TEST_SHARE, "test")
    if validation and not parts.get("validation"):
        parts["train"], parts["validation"] = _held_out(parts["train"], validation, "validation")
    patients.check({part: [v.patient for v in volumes] for part, volumes in parts.items()})
    return data._replace(
        parts={p: parts[p] for p in ("train", "validation", "test") if parts.get(p)}
    )


def _held_out(
    volumes: Sequence[Volume], share: float, salt: str
) -> tuple[tuple[Volume, ...], tuple[Volume, ...]]:
    held = patients.split([volume.patient for volume in volumes], share, salt)
    rest = tuple(v for v, h in zip(volumes, held, strict=True) if not h)
    return rest, tuple(v for v, h in zip(volumes, held, strict=True) if h)


def _with_patients(data: VolumeSet, table: str, pattern: str) -> VolumeSet:
    names = [volume.name for volumes in data.parts.values() for volume in volumes]
    each = [f"{part}/{volume.name}" for part, volumes in data.parts.items() for volume in volumes]
    owners = iter(patients.patients_of(names, table, pattern) or each)
    parts = {
        part: tuple(volume._replace(patient=next(owners)) for volume in volumes)
        for part, volumes in data.parts.items()
    }
    return data._replace(parts=parts)


def _images(dataset: str, classes: Sequence[str]) -> VolumeSet:
    """Images and masks, as `load_masks` reads them, each in the size of its file."""
    data = load_masks(dataset, (32, 32), classes=tuple(classes))
    sources = {"train": data.train, "validation": data.validation, "test": data.test}

    def read(source: MaskSource) -> tuple[Volume, ...]:
        every = (source.whole(i) for i in range(len(source)))
        return tuple(
            Volume(name, np.float32(x["image"]), x["mask"], np.eye(4), name)
            for name, x in zip(source.names(), every, strict=True)
        )

    parts = {part: read(source) for part, source in sources.items() if source is not None}
    return VolumeSet(data.name, parts, data.classes, data.ids, data.notes)
