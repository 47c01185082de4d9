"""What is wrong with each detection, and which objects are missed.

The kinds are those of TIDE (Bolya et al. 2020, arXiv:2008.08115, section 2.2), tested in the order
of its code (github.com/dbolya/tide, tidecv/quantify.py), with its thresholds: an overlap of 0.5 and
more is a match, one of 0.1 and less is none. Here the kinds are counted, above a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.cnn.detection.coco_metrics import iou
from dljax.cnn.detection.inference import Annotated, Objects

RIGHT = "right"
DETECTION_ERRORS = ("localisation", "classification", "duplicate", "background", "both")
KINDS = (RIGHT, *DETECTION_ERRORS, "missed")
MATCH, NOTHING = 0.5, 0.1


class Diagnosis(NamedTuple):
    """One image. kinds: index into KINDS of each detection [D]; -1 where its object is flagged.

    missed: bool [G], of objects that no detection finds, and none takes for another class or
    places badly.
    """

    kinds: np.ndarray
    missed: np.ndarray


def diagnose(found: Objects, true: Annotated, least: float = 0.0) -> Diagnosis:
    """The kind of each detection whose score is `least` or more (best first), and missed objects.

    Kinds of detections below it are -1.
    """
    kinds = np.full(len(found.labels), -1)
    flagged = np.asarray(true.flags) > 0
    overlap = iou(found.boxes, true.boxes, np.zeros(len(flagged), bool))
    same = found.labels[:, None] == np.asarray(true.labels)[None]
    used, covered = np.zeros(len(flagged), bool), np.zeros(len(flagged), bool)
    for d in np.argsort(-found.scores, kind="stable"):
        if found.scores[d] < least:
            break
        of_class = np.where(same[d] & ~flagged, overlap[d], 0)
        free = np.where(used, 0, of_class)
        others = np.where(~same[d] & ~flagged, overlap[d], 0)
        if free.max(initial=0) >= MATCH:
            used[free.argmax()] = True
            kinds[d] = KINDS.index(RIGHT)
        elif np.where(same[d] & flagged, overlap[d], 0).max(initial=0) >= MATCH:
            continue
        elif NOTHING <= of_class.max(initial=0) < MATCH:
            kinds[d] = KINDS.index("localisation")
            covered[of_class.argmax()] = True
        elif others.max(initial=0) >= MATCH:
            kinds[d] = KINDS.index("classification")
            covered[others.argmax()] = True
        elif of_class.max(initial=0) >= MATCH:
            kinds[d] = KINDS.index("duplicate")
        elif max(of_class.max(initial=0), others.max(initial=0)) <= NOTHING:
            kinds[d] = KINDS.index("background")
        else:
            kinds[d] = KINDS.index("both")
    return Diagnosis(kinds, ~used & ~covered & ~flagged)


def counts(diagnoses: Sequence[Diagnosis]) -> np.ndarray:
    """How often each of KINDS occurs, int [7]."""
    every = np.concatenate([np.zeros(0, int), *(each.kinds for each in diagnoses)])
    result = np.bincount(every[every >= 0], minlength=len(KINDS))
    result[-1] = sum(int(each.missed.sum()) for each in diagnoses)
    return result


def best_score(found: Sequence[Objects], truth: Sequence[Annotated]) -> float:
    """The least score at which F1 of detections at an overlap of 0.5 is largest."""
    kinds = np.concatenate(
        [diagnose(each, true).kinds for each, true in zip(found, truth, strict=True)]
    )
    scores = np.concatenate([each.scores for each in found])[kinds >= 0]
    right = (kinds[kinds >= 0] == KINDS.index(RIGHT))[np.argsort(-scores, kind="stable")]
    total = sum(int((true.flags == 0).sum()) for true in truth)
    if not right.any():
        return 0.5
    f1 = 2 * right.cumsum() / (np.arange(1, len(right) + 1) + total)
    return float(np.sort(scores)[::-1][f1.argmax()])
