"""The embedded volume: the MNI152 brain in the package nilearn, made hard to segment.

The average of 152 T1 images at 1 mm, without skull, and maps of grey and white matter (Fonov et al.
2011, BSD licence). Two thresholds segment it almost perfectly, so that it proves nothing as it is.
Each image here is drawn from it as by SynthSeg (Billot et al. 2023, arXiv:2107.09559): tissues of
random brightness in the order of T1, a bias field, blur, thick slices, noise. The images of a part
are drawn once; what is trained on is drawn anew for each patch, by data/synthseg.py.

The template is symmetric: its right half is its left half, mirrored, bit for bit. So the halves are
no independent parts. The left one alone is read, and parts are cut from it from back to front, with
gaps between them.
"""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from dljax.data.sources.medical.nifti import read_nifti
from dljax.data.sources.medical.volume import Maps, Volume, VolumeSet
from dljax.data.synthseg import BIAS_MM, Strength, drawn

CLASSES = ("other", "grey", "white")
MIDDLE = 99  # voxels of the left half, the middle one included
BOX = (slice(24, MIDDLE), slice(0, 156))  # left to middle, bottom to top: where the brain is
PARTS = {"train": slice(26, 124), "validation": slice(132, 156), "test": slice(164, 210)}
COUNTS = {"train": 12, "validation": 3, "test": 6}  # images of each part
T1_LEVELS = (102, 169, 215)  # medians of fluid, grey and white matter in the template


STRENGTHS = {
    "mild": Strength(0.25, 0.5, 0.5, 1.0, 0.05),
    "medium": Strength(0.2, 0.55, 0.6, 1.5, 0.06),
    "strong": Strength(0.15, 0.6, 0.7, 2.0, 0.08),
}


def load_brain(strength: str) -> VolumeSet:
    """Degraded images of the parts of the brain; strength: "none" or one of STRENGTHS.

    Raises ValueError where the package nilearn is not installed.
    """
    t1, grey, white = (_read(name) for name in ("t1", "gm", "wm"))
    tissue = np.maximum(1 - (grey + white) / 255, 0) * (t1 > 0)
    share = np.stack([tissue, grey / 255, white / 255])
    texture = _texture(t1, share)
    label = np.where(grey + white < 128, 0, np.where(grey >= white, 1, 2)).astype(np.uint8)
    parts = {}
    for number, (part, along) in enumerate(PARTS.items()):
        cut = (BOX[0], along, BOX[1])
        affine = np.eye(4)
        affine[:3, 3] = [x.start - y for x, y in zip(cut, (98, 134, 72), strict=True)]
        draw = partial(degraded, t1[cut], share[:, *cut], STRENGTHS.get(strength))
        seeds = [[number, i] for i in range(COUNTS[part] if strength != "none" else 1)]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            images = list(threads.map(draw, seeds))
        parts[part] = tuple(
            Volume(f"brain_{part}_{i}", x[..., None], label[cut], affine, f"MNI152, {part}")
            for i, x in enumerate(images)
        )
    notes = (
        f"one symmetric average brain, degraded at random ({strength}): train is the back of its "
        "left half, test the front; it shows nothing about other people",
    )
    maps = None
    if strength != "none":
        cut = (BOX[0], PARTS["train"], BOX[1])
        image = np.stack([texture, *share], -1)[cut].astype(np.float32)
        maps = Maps(((image, label[cut]),), drawn(STRENGTHS[strength]))
    return VolumeSet("brain", parts, CLASSES, (0, 1, 2), notes, maps)


def degraded(
    t1: np.ndarray, share: np.ndarray, strength: Strength | None, seed: list[int]
) -> np.ndarray:
    """An image float32 [X, Y, Z] with random contrast, bias, blur, resolution and noise.

    t1: of the template, 0 to 255. share: of fluid, grey and white matter in each voxel
    [3, X, Y, Z]. strength: None for the template itself. seed: of numpy's generator.
    """
    if strength is None:
        return (t1 / 255).astype(np.float32)
    rng = np.random.default_rng(seed)
    levels = _levels(rng, strength.gap)
    image = np.tensordot(levels, share, 1) + rng.uniform(-1, 1) * _texture(t1, share)
    image *= np.exp(rng.uniform(0.5, 1) * strength.bias * _smooth(rng, image.shape))
    image = ndimage.gaussian_filter(image, rng.uniform(0.3, strength.blur))
    image = _thick(image, rng.integers(3), rng.uniform(1, strength.slices))
    image += rng.uniform(0.5, 1) * strength.noise * rng.normal(size=image.shape)
    return image.astype(np.float32)


def _texture(t1: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What the template has beyond the usual brightness of its tissues [X, Y, Z]."""
    usual = np.tensordot(np.array(T1_LEVELS) / 255, share, 1)
    return (t1 / 255 - usual) * (share.sum(0) > 0.5)


def _levels(rng: np.random.Generator, gap: float) -> np.ndarray:
    """The brightness in 0.1 to 1 of fluid, grey and white matter, which differ by `gap` or more.

    They rise, as in any T1 image.
    """
    while True:
        levels = np.sort(rng.uniform(0.1, 1, 3))
        if np.diff(levels).min() >= gap:
            return levels


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth random field of mean 0 and deviation 1: numbers BIAS_MM apart, interpolated."""
    coarse = rng.normal(size=[int(np.ceil(side / BIAS_MM)) + 3 for side in shape])
    at = [np.arange(side) / BIAS_MM + 1 + rng.uniform() for side in shape]
    weights = [_spline(n, x) for n, x in zip(coarse.shape, at, strict=True)]
    field = np.einsum("xi,yj,zk,ijk->xyz", *weights, coarse, optimize=True)
    return (field - field.mean()) / field.std()


def _spline(n: int, at: np.ndarray) -> np.ndarray:
    """Weights [places, n] of n numbers 1 apart in their cubic B-spline at places [places]."""
    each = [ndimage.map_coordinates(x, [at], order=3, prefilter=False) for x in np.eye(n)]
    return np.stack(each, 1)


def _thick(image: np.ndarray, axis: int, thickness: float) -> np.ndarray:
    """Slices that are `thickness` voxels apart and thick along an axis, interpolated again."""
    sigma, scale, sides = np.zeros(3), np.ones(3), list(image.shape)
    sigma[axis], scale[axis] = (thickness - 1) / 2, thickness
    sides[axis] = int((sides[axis] - 1) // thickness) + 1
    slices = ndimage.gaussian_filter(image, sigma)
    slices = ndimage.affine_transform(slices, scale, output_shape=sides, order=1)
    return ndimage.affine_transform(
        slices, 1 / scale, output_shape=image.shape, order=1, mode="nearest"
    )


def _read(name: str) -> np.ndarray:
    """One of the template's files, int [X, Y, Z]; the package itself is not imported."""
    found = importlib.util.find_spec("nilearn")
    if found is None:
        raise ValueError("brain needs the package nilearn: pip install nilearn")
    folder = Path(found.origin).parent / "datasets" / "data"
    path = folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    image, _ = read_nifti(path)
    return image[..., 0].astype(int)
