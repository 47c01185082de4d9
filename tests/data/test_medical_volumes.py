"""NIfTI and DICOM files, layouts, geometry, the brain, patches."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from dljax.data import feed, medical, patches
from dljax.data.sources.medical import brain, decathlon, volumes
from dljax.data.sources.medical.dicom import read_series
from dljax.data.sources.medical.nifti import read_nifti, write_labels
from dljax.data.sources.medical.preparation import Preparation, resampled
from dljax.data.sources.medical.volume import IGNORE, Volume, turned, turned_back
from tests.data.medical_files import AFFINE, dicom_slice, save, series


def patched_slope(path, value):
    """The bytes of a header whose scl_slope is `value`, which nibabel would not write."""
    content = bytearray(path.read_bytes())
    content[112:116] = np.float32(value).tobytes()
    path.write_bytes(bytes(content))


def test_nifti_keeps_axes_affine_and_scale(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = tmp_path / "x.nii"
    save(path, array)
    for slope in (0.0, np.nan):
        patched_slope(path, slope)
        voxels, affine = read_nifti(path)
        np.testing.assert_array_equal(voxels[..., 0], array)
        np.testing.assert_array_equal(affine, AFFINE)
    patched_slope(path, 2.0)
    np.testing.assert_array_equal(read_nifti(path)[0][..., 0], 2 * array)
    save(tmp_path / "y.nii.gz", np.stack([array, array + 1], -1))
    assert read_nifti(tmp_path / "y.nii.gz")[0].shape == (2, 3, 4, 2)


def test_what_is_no_volume_is_refused(tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.nii\.gz is no readable NIfTI file"):
        read_nifti(path)
    save(path, np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="has 2 dimensions"):
        read_nifti(path)
    save(path, np.full((2, 2, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="8 voxels that are no number"):
        read_nifti(path)
    save(path, np.zeros((2, 2, 2), np.complex64))
    with pytest.raises(ValueError, match="complex64"):
        read_nifti(path)
    with pytest.raises(FileNotFoundError):
        read_nifti(tmp_path / "none.nii")
    path.write_bytes((tmp_path / "x.nii.gz").read_bytes()[:-20])
    with pytest.raises(ValueError, match="no readable NIfTI"):
        read_nifti(path)


def test_labels_open_over_their_image(tmp_path):
    labels = np.arange(24).reshape(2, 3, 4) * 20
    write_labels(tmp_path / "y.nii.gz", labels, AFFINE)
    voxels, affine = read_nifti(tmp_path / "y.nii.gz")
    np.testing.assert_array_equal(voxels[..., 0], labels)
    np.testing.assert_array_equal(affine, AFFINE)


def decathlon_folder(root, cases=6, nnunet=True):
    rng = np.random.default_rng(0)
    for i in range(cases):
        label = np.zeros((9, 8, 7), np.uint8)
        label[2:6, 2:6, 2:5] = 2
        image = (label * 10 + rng.normal(size=label.shape)).astype(np.float32)
        if nnunet:
            for channel in (0, 1):
                save(root / "imagesTr" / f"case_{i}_{channel:04d}.nii.gz", image + channel)
        else:
            save(root / "imagesTr" / f"case_{i}.nii.gz", np.stack([image, image + 1], -1))
        save(root / "labelsTr" / f"case_{i}.nii.gz", label)
    names = {"background": 0, "tumour": 2} if nnunet else {"0": "background", "2": "tumour"}
    (root / "dataset.json").write_text(json.dumps({"labels": names}))


@pytest.mark.parametrize("nnunet", [True, False])
def test_layouts_of_nnunet_and_decathlon(tmp_path, nnunet):
    decathlon_folder(tmp_path, nnunet=nnunet)
    data = volumes.load_volumes(str(tmp_path), validation=0.2)
    assert data.classes == ("background", "tumour") and data.ids == (0, 2)
    assert {part: len(x) for part, x in data.parts.items()} == {
        "train": 4, "validation": 1, "test": 1,
    }  # fmt: skip
    volume = data.parts["train"][0]
    assert volume.image.shape == (9, 8, 7, 2) and np.unique(volume.label).tolist() == [0, 1]
    assert volume.spacing() == (2.0, 1.5, 3.0) and volume.orientation() == "RAS"
    np.testing.assert_allclose(volume.image[..., 1] - volume.image[..., 0], 1, rtol=1e-5)


def test_geometry_and_lacks_are_refused_by_name(tmp_path):
    def refused(match, root):
        with pytest.raises(ValueError, match=match):
            volumes.load_volumes(str(root))

    root = tmp_path / "a"
    decathlon_folder(root)
    label = root / "labelsTr" / "case_3.nii.gz"
    old = label.read_bytes()
    moved = AFFINE.copy()
    moved[0, 3] += 1
    save(label, np.zeros((9, 8, 7), np.uint8), moved)
    refused(r"case_3\.nii\.gz lies up to 1 mm away from case_3_0000", root)
    save(label, np.zeros((9, 8, 6), np.uint8))
    refused(r"case_3\.nii\.gz has 9x8x6 voxels, case_3_0000\.nii\.gz 9x8x7", root)
    save(label, np.full((9, 8, 7), 7, np.uint8))
    refused(r"case_3\.nii\.gz has the labels 7", root)
    label.unlink()
    refused("has no labels of case_3", root)
    label.write_bytes(old)
    flipped = AFFINE.copy()
    flipped[0] *= -1
    for kind in ("imagesTr/case_3_0000", "imagesTr/case_3_0001", "labelsTr/case_3"):
        save(root / f"{kind}.nii.gz", np.zeros((9, 8, 7), np.uint8), flipped)
    refused("case_3 has the orientation LAS, case_0 RAS", root)
    (root / "imagesTr" / "case_3_0000.nii.gz").unlink()
    refused("channels of case_3 are case_3_0001.nii.gz", root)
    with pytest.raises(FileNotFoundError, match="names the labels"):
        (root / "dataset.json").unlink()
        volumes.load_volumes(str(root))


def test_patients_are_kept_whole(tmp_path):
    decathlon_folder(tmp_path)
    data = volumes.load_volumes(str(tmp_path), validation=0.3, pattern=r"case_(\d)")
    owners = {part: {v.patient for v in x} for part, x in data.parts.items()}
    assert all(a.isdisjoint(b) for a, b in pairwise(owners.values()))
    table = tmp_path / "who.csv"
    table.write_text("file,patient\n" + "".join(f"case_{i},p{i // 3}\n" for i in range(6)))
    data = volumes.load_volumes(str(tmp_path), validation=0, table=str(table))
    assert {part: len(x) for part, x in data.parts.items()} == {"train": 3, "test": 3}
    for part in ("images", "labels"):
        (tmp_path / f"{part}Ts").mkdir()
        for file in list((tmp_path / f"{part}Tr").glob("case_0*")):
            (tmp_path / f"{part}Ts" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="patient 'p0' has images in train and in test"):
        volumes.load_volumes(str(tmp_path), validation=0, table=str(table))


def test_resampling_keeps_places():
    ramp = np.arange(12.0)[:, None] * np.ones((12, 6))
    half = resampled(ramp, (2.0, 1.0), 1)
    assert half.shape == (6, 6)
    np.testing.assert_allclose(half[1:-1, 0], np.arange(0.5, 12, 2)[1:-1], atol=0.02)
    double = resampled(ramp, (0.5, 1.0), 1)
    np.testing.assert_allclose(double[2:-2, 0], (np.arange(24) / 2 - 0.25)[2:-2], atol=1e-6)


def test_labels_come_back_to_the_voxels_of_the_volume():
    label = np.zeros((12, 13, 9), np.uint8)
    label[3:9, 3:10, 2:7] = 1
    label[5:7, 5:8, 4:6] = 2
    volume = Volume("x", label[..., None].astype(np.float32), label, AFFINE)
    fine = Preparation(spacing=(1.0, 1.0, 1.0))
    image, there = fine.image(volume), fine.label(volume)
    assert image.shape[:-1] == there.shape == (24, 20, 27)
    np.testing.assert_array_equal(fine.back(there, volume), label)
    np.testing.assert_allclose([image.min(), image.max()], [0, 1], atol=1e-6)
    ct = Preparation(window=(-1.0, 1.0)).image(volume)
    assert set(np.unique(ct)) == {0.5, 1.0}


def test_grey_levels_do_not_depend_on_how_much_air_there_is():
    rng = np.random.default_rng(0)
    head = rng.uniform(100, 200, (20, 20, 20, 1)).astype(np.float32)

    def prepared(air):
        image = np.pad(head, ((0, 0), (0, 0), (0, air), (0, 0)))
        return Preparation().image(Volume("x", image, None, np.eye(4)))[:, :, :20]

    narrow, wide = prepared(10), prepared(60)
    np.testing.assert_allclose(narrow, wide, atol=0.01)
    # percentiles: nearly all of the air is the 0.5 % one, the brightest voxels the 99.5 % one
    np.testing.assert_allclose(narrow, head / 200, atol=0.015)


def test_orientation_there_and_back():
    image = np.random.default_rng(0).normal(size=(3, 4, 5, 1)).astype(np.float32)
    affine = np.array([[0, 0, -2.0, 7], [-1, 0, 0, 1], [0, 3, 0, 2], [0, 0, 0, 1]])
    volume = Volume("x", image, None, affine)
    assert volume.orientation() == "PSL"
    there = turned(volume, "RAS")
    assert there.orientation() == "RAS" and there.sides() == (5, 3, 4)
    back = turned_back(there.image[..., 0], volume, "RAS")
    np.testing.assert_array_equal(back, image[..., 0])
    # a voxel lies at the same millimetres in both
    at = np.argwhere(there.image[..., 0] == image[1, 2, 3, 0])[0]
    np.testing.assert_allclose(there.affine @ [*at, 1], affine @ [1, 2, 3, 1])


def test_dicom_series_in_space_and_units(tmp_path):
    series(tmp_path / "s")
    volume = read_series(tmp_path / "s")
    assert volume.image.shape == (4, 3, 4, 1) and volume.patient == "p1"
    np.testing.assert_array_equal(volume.image[0, 0, :, 0], 2 * 10 * np.arange(4) - 1000)
    assert volume.image[3, 1, 2, 0] == 2 * (20 + 1 * 4 + 3) - 1000  # column 3, row 1, slice 2
    # DICOM's x and y point to the left and the back, NIfTI's to the right and the front
    np.testing.assert_allclose(volume.affine @ [3, 1, 2, 1], [-(10 + 0.75), -(20 + 0.5), 6, 1])
    assert volume.orientation() == "LPS"
    series(tmp_path / "inverted", PhotometricInterpretation="MONOCHROME1")
    other = read_series(tmp_path / "inverted")
    np.testing.assert_array_equal(other.image[0, 0, 0], 2 * 4095 - 1000)


def test_dicom_series_that_are_refused(tmp_path):
    def refused(match, name):
        with pytest.raises(ValueError, match=match):
            read_series(tmp_path / name)

    series(tmp_path / "missing", (0, 3, 9, 12))
    refused(r"7\.dcm and 1\.dcm are 6 mm apart, other slices 3: a slice is missing", "missing")
    series(tmp_path / "doubled", (0, 3, 3, 6))
    refused(r"lie at the same place", "doubled")
    series(tmp_path / "mixed")
    dicom_slice(
        tmp_path / "mixed" / "9.dcm", 12, np.zeros((3, 4)),
        ImageOrientationPatient=[0, 1, 0, 0, 0, 1],
    )  # fmt: skip
    refused(r"9\.dcm has the ImageOrientationPatient", "mixed")
    series(tmp_path / "two")
    dicom_slice(tmp_path / "two" / "9.dcm", 12, np.zeros((3, 4)), SeriesInstanceUID="1.2.4")
    refused("holds 2 series", "two")
    series(tmp_path / "place", ImagePositionPatient=None)
    refused("does not say where it lies: it has no ImagePositionPatient", "place")
    (tmp_path / "empty").mkdir()
    refused("has no DICOM files", "empty")


def test_patches_of_the_feed_are_cut_from_the_images():
    rng = np.random.default_rng(0)
    pairs = []
    for sides in ((6, 7, 9), (10, 4, 5), (3, 8, 8)):
        label = np.zeros(sides, np.uint8)
        label[-2:, -1:, -3:] = 1
        pairs.append((rng.normal(size=(*sides, 2)).astype(np.float32), label))
    train = patches.training(pairs, (4, 4, 4), 3, foreground=0.5)
    items = train.chunk(3, 10, 5)
    assert items["start"].shape == (5, 3, 3)
    again = train.chunk(3, 12, 1)
    np.testing.assert_array_equal(again["start"][0], items["start"][2])
    assert not np.array_equal(items["start"], train.chunk(4, 10, 5)["start"])
    for step in range(5):
        item = {name: x[step] for name, x in items.items()}
        batch = train.batch(train.arrays, item)
        for b, (index, start) in enumerate(zip(item["index"], item["start"], strict=True)):
            image, label = pairs[index]
            pads = [(4, 4)] * 3
            wide = np.pad(image, (*pads, (0, 0)), mode="symmetric")
            cut = tuple(slice(s + 4, s + 8) for s in start)
            np.testing.assert_array_equal(batch["image"][b], wide[cut])
            labels = np.pad(label, pads, constant_values=IGNORE)
            np.testing.assert_array_equal(batch["mask"][b], labels[cut])


def test_foreground_patches_hold_a_structure():
    label = np.zeros((30, 30), np.uint8)
    label[20, 3], label[4, 25] = 1, 2
    train = patches.training([(np.zeros((30, 30, 1), np.float32), label)], (5, 5), 8, 1.0)
    items = train.chunk(0, 0, 20)
    seen = np.concatenate(
        [
            np.asarray(train.batch(train.arrays, {k: x[i] for k, x in items.items()})["mask"])
            for i in range(20)
        ]
    )
    assert ((seen == 1) | (seen == 2)).any((1, 2)).all()
    share = (seen == 1).any((1, 2)).mean()
    assert 0.3 < share < 0.7


def test_examples_cover_every_voxel_once():
    rng = np.random.default_rng(0)
    pairs = [
        (np.zeros((*s, 1), np.float32), rng.integers(0, 3, s).astype(np.uint8))
        for s in ((5, 7), (8, 3))
    ]
    counts = np.zeros(256, int)
    for batch in feed.batches(patches.examples(pairs, (4, 4), 3)):
        real = np.asarray(batch[feed.MASK]) > 0
        counts += np.bincount(np.asarray(batch["mask"])[real].ravel(), minlength=256)
    true = sum(np.bincount(label.ravel(), minlength=3) for _, label in pairs)
    np.testing.assert_array_equal(counts[:3], true)


def test_the_template_is_symmetric_and_parts_are_apart():
    t1 = brain._read("t1")
    np.testing.assert_array_equal(t1, t1[::-1])
    ends = [(part.start, part.stop) for part in brain.PARTS.values()]
    assert all(a[1] + 8 <= b[0] for a, b in pairwise(ends))


def test_degraded_brain():
    share = np.zeros((3, 20, 20, 20))
    share[1, :10], share[2, 10:] = 1, 1
    t1 = np.where(share[1] > 0, 169, 215)
    strong = brain.STRENGTHS["strong"]
    a, b, c = (brain.degraded(t1, share, strong, [0, seed]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c) and np.isfinite(a).all()
    np.testing.assert_allclose(brain.degraded(t1, share, None, [0]), t1 / 255, rtol=1e-6)


def test_a_bias_field_is_a_spline_in_all_directions():
    found = brain._smooth(np.random.default_rng(3), (30, 60, 40))
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(4, 5, 4))
    at = [np.arange(side) / brain.BIAS_MM + 1 + rng.uniform() for side in (30, 60, 40)]
    places = np.meshgrid(*at, indexing="ij")
    field = ndimage.map_coordinates(numbers, places, order=3, prefilter=False)
    np.testing.assert_allclose(found, (field - field.mean()) / field.std(), atol=1e-12)


def test_a_bias_field_is_as_smooth_as_it_says():
    """Numbers 50 mm apart: over 10 mm it hardly changes, over 100 mm it is another one."""
    fields = [brain._smooth(np.random.default_rng(i), (30, 30, 200)) for i in range(40)]
    for distance, least, most in ((10, 0.9, 1.0), (100, -0.35, 0.35)):
        alike = [np.corrcoef(f[..., :-distance].ravel(), f[..., distance:].ravel()) for f in fields]
        assert least < np.mean(alike, 0)[0, 1] < most, distance


def test_record_and_patches_of_a_set(tmp_path):
    decathlon_folder(tmp_path)
    data = volumes.load_volumes(str(tmp_path))
    ready = medical.ready(data, Preparation(), (4, 4, 4), 2, 0.5)
    assert ready.record.summary["percent of voxels, train"] == {"background": 90.48, "tumour": 9.52}
    assert decathlon.is_decathlon(tmp_path)
    changed = data.parts["train"][0]._replace(image=data.parts["train"][0].image + 1)
    other = data._replace(parts={**data.parts, "train": (changed, *data.parts["train"][1:])})
    assert medical.record(other).digests != medical.record(data).digests
