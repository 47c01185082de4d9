"""Folders of NIfTI files in the layout of the Medical Segmentation Decathlon and of nnU-Net.

imagesTr/  the images: heart_01.nii.gz; in nnU-Net's a file for each channel, heart_01_0000.nii.gz
labelsTr/  heart_01.nii.gz, of whole numbers
imagesTs/, labelsTs/  perhaps a test part, which is read where it has labels
dataset.json  "labels": {"0": "background", "1": "atrium"}, in nnU-Net's the other way round
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.medical.nifti import is_nifti, read_nifti, stem
from dljax.data.sources.medical.volume import IGNORE, Volume, VolumeSet

CHANNEL = re.compile(r"(.+)_(\d{4})")


def is_decathlon(root: Path) -> bool:
    """Whether a folder has the layout."""
    return (root / "imagesTr").is_dir()


def read(root: Path) -> VolumeSet:
    """All labelled volumes of a folder: parts "train" and, with labelsTs, "test".

    Raises ValueError or FileNotFoundError, in one line, for an image without labels, labels of
    another geometry, of a class that dataset.json does not name, and volumes of different
    orientations or channels.
    """
    ids, classes = _classes(root)
    parts = {"train": _part(root, "Tr", ids)}
    if (root / "labelsTs").is_dir():
        parts["test"] = _part(root, "Ts", ids)
    check_alike([volume for part in parts.values() for volume in part])
    return VolumeSet(root.resolve().name, parts, classes, ids)


def check_alike(volumes: list[Volume]) -> None:
    """Refuses volumes of different orientations or numbers of channels, by name."""
    first = volumes[0]
    for volume in volumes[1:]:
        if volume.orientation() != first.orientation():
            raise ValueError(
                f"{volume.name} has the orientation {volume.orientation()}, {first.name} "
                f"{first.orientation()}: bring all to one, as with nibabel.as_closest_canonical"
            )
        if volume.image.shape[-1] != first.image.shape[-1]:
            raise ValueError(
                f"{volume.name} has {volume.image.shape[-1]} channels, {first.name} "
                f"{first.image.shape[-1]}: all must have the same"
            )


def cases(folder: Path) -> dict[str, list[Path]]:
    """Case -> its image files, one for each channel where their names end in _0000, _0001, ...

    Raises ValueError where a channel is missing.
    """
    files = sorted(path for path in folder.iterdir() if is_nifti(path))
    if not files:
        raise ValueError(f"{folder} has no NIfTI files (.nii, .nii.gz)")
    numbered = [CHANNEL.fullmatch(stem(path)) for path in files]
    if not all(numbered):
        return {stem(path): [path] for path in files}
    found: dict[str, list[Path]] = {}
    for path, match in zip(files, numbered, strict=True):
        found.setdefault(match[1], []).append(path)
    for name, channels in found.items():
        if [int(CHANNEL.fullmatch(stem(path))[2]) for path in channels] != list(
            range(len(channels))
        ):
            raise ValueError(
                f"{folder}: the channels of {name} are {some([c.name for c in channels])}: they "
                "are counted from _0000 on"
            )
    return found


def read_image(name: str, channels: list[Path]) -> Volume:
    """An image of one file or of a file for each channel, which must have one geometry."""
    image, affine = read_nifti(channels[0])
    parts = [image]
    for path in channels[1:]:
        part, other = read_nifti(path)
        check_geometry(path, part.shape[:3], other, channels[0], image.shape[:3], affine)
        parts.append(part)
    return Volume(name, np.concatenate(parts, -1), None, affine)


def check_geometry(
    path: Path,
    sides: tuple[int, ...],
    affine: np.ndarray,
    of: Path,
    its_sides: tuple[int, ...],
    its_affine: np.ndarray,
) -> None:
    """Refuses a file that does not lie where another one does, to a hundredth of a voxel."""
    if sides != its_sides:
        raise ValueError(
            f"{path} has {_by(sides)} voxels, {of.name} {_by(its_sides)}: they must be of one grid"
        )
    corners = np.array(
        [[x, y, z, 1] for x in (0, sides[0]) for y in (0, sides[1]) for z in (0, sides[2])]
    )
    apart = np.abs(corners @ (affine - its_affine).T).max()
    if apart > 0.01 * np.sqrt((its_affine[:3, :3] ** 2).sum(0)).min():
        raise ValueError(
            f"{path} lies up to {apart:.3g} mm away from {of.name}: their affines must be equal"
        )


def _part(root: Path, ending: str, ids: tuple[int, ...]) -> tuple[Volume, ...]:
    images, labels = root / f"images{ending}", root / f"labels{ending}"
    if not labels.is_dir():
        raise FileNotFoundError(f"{root} has {images.name} and no {labels.name}.")
    files = {stem(path): path for path in sorted(labels.iterdir()) if is_nifti(path)}
    found = cases(images)
    if ending == "Ts":
        found = {name: channels for name, channels in found.items() if name in files}
    if lacking := sorted(found.keys() - files.keys()):
        raise ValueError(f"{labels} has no labels of {some(lacking)}")
    if more := sorted(files.keys() - found.keys()):
        raise ValueError(f"{images} has no image of the labels {some(more)}")
    volumes = []
    for name, channels in found.items():
        image = read_image(name, channels)
        label, affine = read_nifti(files[name])
        sides = image.sides()
        check_geometry(files[name], label.shape[:3], affine, channels[0], sides, image.affine)
        volumes.append(image._replace(label=_label(files[name], label, ids)))
    return tuple(volumes)


def _label(path: Path, label: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    """Class indices uint8 [X, Y, Z] of a file's labels."""
    if label.shape[-1] != 1:
        raise ValueError(f"{path} has {label.shape[-1]} channels: labels have one")
    values = np.unique(label)
    if unknown := [float(x) for x in values if x not in ids]:
        raise ValueError(
            f"{path} has the labels {some([f'{x:g}' for x in unknown])}, which dataset.json does "
            f"not name (it names {', '.join(map(str, ids))})"
        )
    table = np.full(max(ids) + 1, IGNORE, np.uint8)
    table[list(ids)] = np.arange(len(ids))
    return table[label[..., 0].astype(int)]


def _classes(root: Path) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Ids, in order, and names of the classes, of dataset.json."""
    path = root / "dataset.json"
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}, which names the labels.")
    try:
        labels: Any = json.loads(path.read_text(encoding="utf-8"))["labels"]
        number_first = all(re.fullmatch(r"\d+", str(key)) for key in labels)
        pairs = (
            {int(k): str(v) for k, v in labels.items()}
            if number_first
            else {int(v): str(k) for k, v in labels.items()}
        )
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f'{path} has no "labels" that name whole numbers, as {{"background": 0, "tumour": 1}}: '
            f"{error}"
        ) from None
    ids = tuple(sorted(pairs))
    if not ids or ids[0] != 0 or len(ids) < 2 or ids[-1] > 1000 or len(ids) != len(labels):
        raise ValueError(f"{path}: its labels are 0, the background, and others, not {labels}")
    return ids, tuple(pairs[i] for i in ids)


def _by(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))
