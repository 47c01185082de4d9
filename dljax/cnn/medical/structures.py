"""Scores of segmented structures: overlap, surface distances in millimetres, volumes.

Definitions as in Metrics Reloaded (Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z). The
surface of a structure are its voxels with a neighbour outside, across a face; outside of the image
there is no structure. Distances are between the middles of voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dljax.data.sources.medical.volume import IGNORE


class Structure(NamedTuple):
    """The scores of one structure in one image.

    dice, iou: 0 where truth or prediction alone is empty. hd95: the larger of the 95th percentiles
    of the distances from either surface to the other, mm. assd: the mean of all these distances,
    mm. Scores are None where they are not defined: all without the structure in the truth (`state`
    is "absent", or "invented" where it is predicted), hd95 and assd where it is not predicted
    ("missed"); else `state` is "found". true_ml, predicted_ml: volumes (of 2-D images, 1000 mm^2).
    """

    state: str
    dice: float | None
    iou: float | None
    hd95: float | None
    assd: float | None
    true_ml: float
    predicted_ml: float


SCORES = ("dice", "iou", "hd95", "assd")


def surface(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask that have a neighbour outside, across a face."""
    return mask & ~ndimage.binary_erosion(mask)


def surface_distances(
    a: np.ndarray, b: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances, mm, of each surface voxel of mask a to the surface of b, and of b to a."""
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    # Where the box ends inside the image a rim of outside stays, so that surfaces are the same.
    edge_a, edge_b = surface(a[box]), surface(b[box])
    to_a, to_b = (ndimage.distance_transform_edt(~x, sampling=spacing) for x in (edge_a, edge_b))
    return to_b[edge_a], to_a[edge_b]


def score(
    truth: np.ndarray, predicted: np.ndarray, spacing: Sequence[float], surfaces: bool = True
) -> Structure:
    """The scores of a structure, of masks bool of the same shape; spacing: mm along each axis.

    surfaces: False leaves out hd95 and assd, which take most of the time.
    """
    ml = float(np.prod(spacing)) / 1000
    true, found, both = (int(x.sum()) for x in (truth, predicted, truth & predicted))
    volumes = (true * ml, found * ml)
    if not true:
        return Structure("invented" if found else "absent", None, None, None, None, *volumes)
    dice, iou = 2 * both / (true + found), both / (true + found - both)
    if not found:
        return Structure("missed", dice, iou, None, None, *volumes)
    if not surfaces:
        return Structure("found", dice, iou, None, None, *volumes)
    there, back = surface_distances(truth, predicted, spacing)
    hd95 = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    assd = float(np.concatenate([there, back]).mean())
    return Structure("found", dice, iou, hd95, assd, *volumes)


def score_classes(
    truth: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    spacing: Sequence[float],
    surfaces: bool = True,
) -> list[Structure]:
    """The scores of each class but the first one; voxels to ignore belong to none."""
    predicted = np.where(truth == IGNORE, IGNORE, predicted)
    return [score(truth == i, predicted == i, spacing, surfaces) for i in range(1, classes)]


def means(scored: Sequence[Sequence[Structure]]) -> dict[str, np.ndarray]:
    """Each of SCORES by class [classes - 1]: the mean over images where it is defined, else NaN.

    scored: of each image the scores of each class.
    """

    def mean(values: list[float | None]) -> float:
        known = [x for x in values if x is not None]
        return float(np.mean(known)) if known else float("nan")

    by_class = list(zip(*scored, strict=True))
    return {
        name: np.array([mean([getattr(x, name) for x in column]) for column in by_class])
        for name in SCORES
    }


def states(scored: Sequence[Sequence[Structure]]) -> list[dict[str, int]]:
    """Of each class, in how many images it is found, missed, invented, absent."""
    return [
        {s: sum(x.state == s for x in column) for s in ("found", "missed", "invented", "absent")}
        for column in zip(*scored, strict=True)
    ]
