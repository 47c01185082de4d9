"""NIfTI files: arrays in the order of the file, with the affine that says where they lie.

nibabel applies the slope and intercept of the header; a slope of 0 or NaN means that there is none
(the NIfTI-1 standard), and so it does. Integers without a slope keep their values.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Whether a file is one, by its name; hidden files ('._x.nii', of macOS) are none."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """The name without .nii.gz."""
    name = path.name.lower()
    return path.name[: -len(next(x for x in SUFFIXES[::-1] if name.endswith(x)))]


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(voxels float32 [X, Y, Z, C], affine [4, 4]); the fourth dimension of a file is C.

    Raises FileNotFoundError, and ValueError, in one line that names the file, where it can't be
    read, has another number of dimensions, is of complex numbers or colours, or has voxels that are
    no numbers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        file = nibabel.load(path)
        voxels = np.asanyarray(file.dataobj)
    except (ImageFileError, EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(
            f"{path} is no readable NIfTI file: {str(error).splitlines()[0]}"
        ) from None
    if voxels.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {voxels.dtype}, not one number a voxel")
    while voxels.ndim > 4 and voxels.shape[3] == 1:  # [X, Y, Z, 1, C]: a vector in each voxel
        voxels = voxels[:, :, :, 0]
    if voxels.ndim not in (3, 4):
        raise ValueError(f"{path} has {voxels.ndim} dimensions: a volume has 3, or 4 with channels")
    if not np.isfinite(voxels).all():
        raise ValueError(
            f"{path} has {int((~np.isfinite(voxels)).sum())} voxels that are no number"
        )
    if not np.linalg.det(file.affine[:3, :3]):
        raise ValueError(f"{path} has an affine that is no geometry (its determinant is 0)")
    voxels = voxels.astype(np.float32)
    return voxels if voxels.ndim == 4 else voxels[..., None], np.asarray(file.affine, float)


def write_labels(path: Path, labels: np.ndarray, affine: np.ndarray) -> None:
    """Writes class ids [X, Y, Z], at least 0, with the affine of the image that they are of."""
    image = nibabel.Nifti1Image(labels.astype(np.min_scalar_type(int(labels.max()))), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
