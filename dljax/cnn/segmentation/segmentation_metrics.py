"""Scores of semantic segmentation, from one confusion matrix summed over all labelled pixels.

On the device `confusion` makes the counts of a batch; the rest is on the host, float64. A class
that is neither true nor predicted anywhere is absent: its scores are NaN and in no mean. Of
boundaries and of segments, whose scores are no ratios of pixel counts, functions of whole masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from dljax.cnn.segmentation.losses import IGNORE
from dljax.train.metrics import Pair

Array = jax.Array


def confusion(predicted: Array, labels: Array, classes: int, mask: Array) -> Pair:
    """Counts [C, C] of the pixels by true and predicted class, over the number of pixels.

    predicted, labels: int [B, H, W], of volumes [B, D, H, W]; labels with IGNORE. mask: [B], 1 of a
    real example. uint32, in which also sums over batches are exact up to 4e9 pixels of a call;
    float32 would stop at 2**24.
    """
    real = mask.reshape(-1, *(1 for _ in labels.shape[1:]))
    counts = (labels != IGNORE) & (real > 0)
    index = jnp.where(counts, labels * classes + predicted, classes * classes)
    total = jnp.zeros(classes * classes + 1, jnp.uint32).at[index.ravel()].add(jnp.uint32(1))
    return total[:-1].reshape(classes, classes), counts.sum(dtype=jnp.uint32)


def from_confusion(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of confusion counts [..., C, C] (true class by predicted class).

    iou, dice, recall, precision: [..., C]; miou, mean_dice, mean_accuracy, pixel_accuracy: [...].
    IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN).
    """
    counts = np.asarray(counts, np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(-1), counts.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, dice = right / (true + predicted - right), 2 * right / (true + predicted)
        recall, precision = right / true, right / predicted
        accuracy = right.sum(-1) / counts.sum((-2, -1))
    return {
        "miou": _mean(iou),
        "pixel_accuracy": accuracy,
        "mean_accuracy": _mean(recall),
        "mean_dice": _mean(dice),
        "iou": iou,
        "dice": dice,
        "recall": recall,
        "precision": precision,
    }


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is a number."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(-1) / np.maximum(known.sum(-1), 1)


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def boundary_f1(predicted: np.ndarray, labels: np.ndarray, classes: int, tolerance: int) -> float:
    """The mean over classes of the F1 of boundary pixels (Csurka et al. 2013, section 3).

    predicted, labels: [H, W] of one image. A boundary pixel of one counts as found where one of the
    other lies within `tolerance` pixels (Euclidean). Classes absent from both are left out; NaN
    where there is none. Pixels to ignore belong to no class.
    """
    scores = []
    for number in range(classes):
        there, here = (edges(mask == number) for mask in (labels, predicted))
        if not there.any() and not here.any():
            continue
        precision, recall = _near(here, there, tolerance), _near(there, here, tolerance)
        total = precision + recall
        scores.append(2 * precision * recall / total if total else 0.0)
    return mean_of_known(scores)


def edges(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask bool [H, W] that touch, up, down, left or right, one outside of it."""
    return mask & ~ndimage.binary_erosion(mask, border_value=1)


def _near(points: np.ndarray, others: np.ndarray, tolerance: int) -> float:
    """The share of points that lie within `tolerance` of one of the others."""
    if not points.any() or not others.any():
        return 0.0
    return float((ndimage.distance_transform_edt(~others)[points] <= tolerance).mean())


def rand_scores(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """V_rand of two label images [H, W] of segments (Arganda-Carreras et al. 2015, equation 3).

    labels: 0 where nothing counts. With p_ij the share of pixels in segment i of `predicted` and j
    of `labels`: split = sum p_ij^2 / sum_j t_j^2, merge = sum p_ij^2 / sum_i s_i^2, and V_rand
    their harmonic mean. NaN where no pixel counts.
    """
    inside = labels > 0
    if not inside.any():
        return dict.fromkeys(("v_rand", "split", "merge"), float("nan"))
    i, j = predicted[inside].astype(np.int64), labels[inside].astype(np.int64)
    _, joint = np.unique(i * (j.max() + 1) + j, return_counts=True)
    square = (joint.astype(np.float64) ** 2).sum()
    split = square / (np.bincount(j).astype(np.float64) ** 2).sum()
    merge = square / (np.bincount(i).astype(np.float64) ** 2).sum()
    return {"v_rand": 2 * split * merge / (split + merge), "split": split, "merge": merge}


def v_rand(
    probability: np.ndarray, labels: np.ndarray, thresholds: Sequence[float] = (0.5,)
) -> np.ndarray:
    """V_rand [T] of the segments of an image at each threshold of a probability [H, W].

    labels: bool [H, W], true in the class that has segments (the cells between membranes, or
    objects on a ground). Segments are its 4-connected parts, of prediction and labels alike; pixels
    outside of the labelled ones do not count.
    """
    truth, _ = ndimage.label(labels)
    found = [ndimage.label(probability > threshold)[0] for threshold in thresholds]
    return np.array([rand_scores(segments, truth)["v_rand"] for segments in found])
