"""NIfTI files and DICOM series as they are found in the wild, for tests."""

import nibabel
import numpy as np
import pytest

AFFINE = np.array([[2.0, 0, 0, -10], [0, 1.5, 0, 5], [0, 0, 3, 0], [0, 0, 0, 1]])


def save(path, array, affine=AFFINE, slope=None, inter=None):
    image = nibabel.Nifti1Image(array, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


def dicom_slice(path, place, pixels, **changes):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    found = Dataset()
    found.file_meta = meta
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.3",
        "PatientID": "p1",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [0.5, 0.25],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [10, 20, place],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RescaleSlope": 2,
        "RescaleIntercept": -1000,
    }
    for name, value in {**values, **changes}.items():
        setattr(found, name, value)
    found.PixelData = pixels.astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, found, enforce_file_format=True)


def series(folder, places=(0, 3, 6, 9), **changes):
    """Slices whose names are not in their order in space; the pixels of slice k begin at 10 k."""
    for k, place in enumerate(places):
        pixels = 10 * k + np.arange(12).reshape(3, 4)
        dicom_slice(folder / f"{(7 * k) % 13}.dcm", place, pixels, **changes)
