"""A DICOM series as a volume: slices in their order in space, values in their unit.

pydicom's `pixel_array` holds what is stored. Here slices are sorted by position along their normal
(never by name or instance number), the rescale slope and intercept are applied (Hounsfield units of
CT), and MONOCHROME1, whose small values are bright, is inverted. The window that a file proposes
for display is not applied: --window is.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.medical.volume import Volume

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and to the back
NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
UNEVEN = 0.05  # share of the distance between slices by which distances may differ


def is_dicom(path: Path) -> bool:
    """Whether a file begins as a DICOM file does."""
    if not path.is_file() or path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_series(folder: Path) -> Volume:
    """The one series of a folder: image float32 [columns, rows, slices, 1], affine as in NIfTI.

    Raises ValueError, in one line, without pydicom, for a file that can't be read or holds several
    slices or colours, for two series, slices of different orientation, size or spacing, two at one
    place, and distances that differ, as where a slice is missing.
    """
    files = [path for path in sorted(folder.iterdir()) if is_dicom(path)]
    if not files:
        raise ValueError(f"{folder} has no DICOM files")
    slices = {path: _header(path) for path in files}
    _refuse_mixed(folder, slices)
    first = next(iter(slices.values()))
    across, down = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(across, down)
    place = {path: float(np.dot(_position(x), normal)) for path, x in slices.items()}
    order = sorted(files, key=place.__getitem__)
    gap = _gap(folder, order, place, first)
    voxels = np.stack([_values(path, slices[path]).T for path in order], -1)
    rows, columns = (float(x) for x in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([across * columns, down * rows, normal * gap], 1)
    affine[:3, 3] = _position(slices[order[0]])
    patient = str(getattr(first, "PatientID", ""))
    return Volume(folder.name, voxels[..., None], None, TO_RAS @ affine, patient)


def _pydicom() -> ModuleType:
    try:
        import pydicom
    except ImportError:
        raise ValueError("DICOM files need the package pydicom: pip install pydicom") from None
    return pydicom


def _header(path: Path) -> Any:
    pydicom = _pydicom()
    try:
        found = pydicom.dcmread(path)
    except Exception as error:  # of a damaged file, pydicom raises what comes
        raise ValueError(f"{path} is no readable DICOM file: {error}") from None
    if "PixelData" not in found:
        raise ValueError(f"{path} has no pixels")
    if lacking := [name for name in NEEDED if not getattr(found, name, None)]:
        raise ValueError(f"{path} does not say where it lies: it has no {', '.join(lacking)}")
    if int(getattr(found, "NumberOfFrames", 1) or 1) > 1 or found.SamplesPerPixel != 1:
        raise ValueError(f"{path} holds several slices or colours: a file holds one grey slice")
    return found


def _position(found: Any) -> np.ndarray:
    return np.array(found.ImagePositionPatient, float)


def _values(path: Path, found: Any) -> np.ndarray:
    """The values float32 [rows, columns] in the unit of the series."""
    try:
        stored = found.pixel_array.astype(np.float32)
    except Exception as error:  # a damaged or compressed file without its decoder
        raise ValueError(f"{path}: its pixels can't be read: {error}") from None
    if found.PhotometricInterpretation == "MONOCHROME1":
        stored = (-1 if found.PixelRepresentation else 2**found.BitsStored - 1) - stored
    slope = float(getattr(found, "RescaleSlope", None) or 1)
    return stored * slope + float(getattr(found, "RescaleIntercept", None) or 0)


def _refuse_mixed(folder: Path, slices: dict[Path, Any]) -> None:
    series = sorted({str(getattr(x, "SeriesInstanceUID", "")) for x in slices.values()})
    if len(series) > 1:
        raise ValueError(f"{folder} holds {len(series)} series: each needs a folder of its own")
    (name, first), *others = slices.items()
    for path, found in others:
        for what in NEEDED[1:]:
            theirs, ours = (np.array(getattr(x, what), float) for x in (found, first))
            if not np.allclose(theirs, ours, atol=1e-3):
                raise ValueError(
                    f"{folder}: {path.name} has the {what} {some(theirs.ravel().tolist(), 6)}, "
                    f"{name.name} {some(ours.ravel().tolist(), 6)}: slices of a series agree"
                )
        if found.PhotometricInterpretation != first.PhotometricInterpretation:
            raise ValueError(
                f"{folder}: {path.name} is {found.PhotometricInterpretation}, {name.name} "
                f"{first.PhotometricInterpretation}"
            )


def _gap(folder: Path, order: list[Path], place: dict[Path, float], first: Any) -> float:
    """The distance between slices, mm; of one slice its thickness."""
    gaps = np.diff([place[path] for path in order])
    if not len(gaps):
        return float(getattr(first, "SliceThickness", None) or 1)
    usual = float(np.median(gaps))
    for before, after, gap in zip(order, order[1:], gaps, strict=False):
        if gap < 1e-3:
            raise ValueError(f"{folder}: {before.name} and {after.name} lie at the same place")
        if abs(gap - usual) > UNEVEN * usual:
            raise ValueError(
                f"{folder}: {before.name} and {after.name} are {gap:.4g} mm apart, other slices "
                f"{usual:.4g}: a slice is missing or too many"
            )
    return float(np.mean(gaps))
