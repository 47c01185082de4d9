"""A medical image with its place in millimetres, of two or of three dimensions."""

from __future__ import annotations

from typing import NamedTuple

import nibabel
import numpy as np
from nibabel import orientations

from dljax.data.augment_pairs import Augment

IGNORE = 255


class Volume(NamedTuple):
    """An image and its labels, in the order of axes of the file.

    image: float32 [X, Y, Z, C] or [H, W, C]. label: uint8 [X, Y, Z] or [H, W], class ids with
    IGNORE, None where there is none. affine: [4, 4], of voxel indices to millimetres (x to the
    right, y to the front, z up, as in NIfTI); of images without a geometry the identity, whose
    millimetre is a pixel. patient: whose it is.
    """

    name: str
    image: np.ndarray
    label: np.ndarray | None
    affine: np.ndarray
    patient: str = ""

    def sides(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.image.shape[:-1]

    def spacing(self) -> tuple[float, ...]:
        """Millimetres between voxels, along each axis."""
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(0))
        return tuple(float(x) for x in lengths[: len(self.sides())])

    def orientation(self) -> str:
        """Where the axes point to, such as RAS: right, front (anterior), up (superior)."""
        if len(self.sides()) == 2:
            return "image"
        return "".join(code or "?" for code in nibabel.aff2axcodes(self.affine))


class Maps(NamedTuple):
    """What training images are drawn from: a new image for each patch.

    pairs: maps float32 [*sides, K] and labels uint8 [*sides]. draw: (key, maps, labels) of a patch
    -> (image [*sides, C], labels), prepared.
    """

    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]
    draw: Augment


class VolumeSet(NamedTuple):
    """A data set in its parts. classes: the first one is the background.

    ids: what each class is in the files' labels. notes: lines for the user. maps: what is trained
    on in place of the images of train; None: these images.
    """

    name: str
    parts: dict[str, tuple[Volume, ...]]
    classes: tuple[str, ...]
    ids: tuple[int, ...]
    notes: tuple[str, ...] = ()
    maps: Maps | None = None


def turned(volume: Volume, orientation: str) -> Volume:
    """The image of a volume with its axes turned and mirrored so that they point as these do."""
    if orientation == volume.orientation():
        return volume
    way = orientations.ornt_transform(
        orientations.io_orientation(volume.affine), orientations.axcodes2ornt(orientation)
    )
    image = orientations.apply_orientation(volume.image, way)
    affine = volume.affine @ orientations.inv_ornt_aff(way, volume.sides())
    return volume._replace(image=np.ascontiguousarray(image), label=None, affine=affine)


def turned_back(labels: np.ndarray, volume: Volume, orientation: str) -> np.ndarray:
    """Labels of `turned(volume, orientation)` in the axes of the volume."""
    if orientation == volume.orientation():
        return labels
    back = orientations.ornt_transform(
        orientations.axcodes2ornt(orientation), orientations.io_orientation(volume.affine)
    )
    return orientations.apply_orientation(labels, back)
