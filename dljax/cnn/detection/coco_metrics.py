"""Average precision as COCO and Pascal VOC define it, added up image by image; on the host.

    evaluation = Evaluation(classes=3)
    for each image: evaluation.add(boxes, labels, scores, true_boxes, true_labels, crowd)
    evaluation.coco()["ap"], evaluation.voc()["ap"]

The rules are those of pycocotools (github.com/cocodataset/cocoapi, PythonAPI/pycocotools/
cocoeval.py): detections of equal score keep their order, a crowd region may be found any number of
times and counts for nothing, objects out of an area range are ignored, a class without an object is
left out of every mean. VOC: difficult objects take the place of crowds that are found once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
MOST = (1, 10, 100)


class _Found(NamedTuple):
    """One class of one image, for one area range: scores [D], matched and ignored [T, D]."""

    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    objects: int


class Evaluation:
    """Detections of images compared with their objects; `add` each image once, then ask for scores.

    classes: their number. most: detections of a class that count in an image, the best ones.
    """

    def __init__(self, classes: int, most: int = MOST[-1]):
        self.classes, self.most, self.images = classes, most, 0
        self._found: dict[tuple[int, str], list[_Found]] = {}
        self._voc: dict[int, list[_Found]] = {}

    def add(
        self,
        boxes: np.ndarray,
        labels: np.ndarray,
        scores: np.ndarray,
        true_boxes: np.ndarray,
        true_labels: np.ndarray,
        crowd: np.ndarray | None = None,
        areas: np.ndarray | None = None,
    ) -> None:
        """One image: detections [D] and objects [G], boxes as x1, y1, x2, y2 in pixels.

        crowd: bool [G], regions of many objects (COCO) or difficult ones (VOC). areas: of the
        objects [G], where they are not those of their boxes (COCO's are of the polygons). Labels
        below 0 are padding.
        """
        self.images += 1
        boxes, true_boxes = (np.asarray(x, np.float64).reshape(-1, 4) for x in (boxes, true_boxes))
        labels, true_labels, scores = map(np.asarray, (labels, true_labels, scores))
        crowd = np.zeros(len(true_labels), bool) if crowd is None else np.asarray(crowd, bool)
        areas = _area(true_boxes) if areas is None else np.asarray(areas, np.float64)
        for number in np.union1d(labels[labels >= 0], true_labels[true_labels >= 0]):
            mine, theirs = np.flatnonzero(labels == number), true_labels == number
            order = np.argsort(-scores[mine], kind="mergesort")[: self.most]
            mine = mine[order]
            overlap = iou(boxes[mine], true_boxes[theirs], crowd[theirs])
            for name, (low, high) in AREAS.items():
                outside = (areas[theirs] < low) | (areas[theirs] > high)
                found = _match(
                    overlap, scores[mine], crowd[theirs] | outside, crowd[theirs], THRESHOLDS
                )
                size = _area(boxes[mine])
                out = (size < low) | (size > high)
                found = found._replace(ignored=found.ignored | (~found.matched & out[None]))
                self._found.setdefault((int(number), name), []).append(found)
            self._voc.setdefault(int(number), []).append(
                _match(
                    iou(boxes[mine], true_boxes[theirs], np.zeros(theirs.sum(), bool)),
                    scores[mine],
                    crowd[theirs],
                    np.zeros(theirs.sum(), bool),
                    THRESHOLDS[:1],
                    taken_once=True,
                )
            )

    def coco(self) -> dict[str, float]:
        """ap, ap50, ap75, ap_small, ap_medium, ap_large, ar_1, ar_10, ar_100, ar_small, ...

        NaN where no class has an object (pycocotools has -1 there).
        """
        precision, recall = {}, {}
        for area in AREAS:
            curves = [self._curve(number, area, self.most) for number in range(self.classes)]
            precision[area] = np.stack([c[0] for c in curves])  # [C, T, 101]
            recall[area] = np.stack([c[1] for c in curves])  # [C, T]
        result = {
            "ap": _mean(precision["all"]),
            "ap50": _mean(precision["all"][:, 0]),
            "ap75": _mean(precision["all"][:, 5]),
        }
        result |= {f"ap_{area}": _mean(precision[area]) for area in list(AREAS)[1:]}
        for most in MOST[:-1]:
            each = [self._curve(number, "all", most)[1] for number in range(self.classes)]
            result[f"ar_{most}"] = _mean(np.stack(each))
        result[f"ar_{self.most}"] = _mean(recall["all"])
        return result | {f"ar_{area}": _mean(recall[area]) for area in list(AREAS)[1:]}

    def per_class(self) -> dict[str, np.ndarray]:
        """ap and ap50 of each class [C]; NaN of one without an object."""
        curves = np.stack([self._curve(n, "all", self.most)[0] for n in range(self.classes)])
        return {"ap": _each(curves), "ap50": _each(curves[:, :1])}

    def precision_recall(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Recalls [101] and the interpolated precision [T, 101] of a class, T of THRESHOLDS."""
        return RECALLS, self._curve(number, "all", self.most)[0]

    def voc(self, eleven_points: bool = False) -> dict[str, float | np.ndarray]:
        """Pascal VOC's mean AP at IoU 0.5, the area under the curve, and that of each class.

        eleven_points: VOC 2007's mean of the precision at recalls 0, 0.1, ..., 1.
        """
        each = np.array(
            [_voc_ap(self._voc.get(number, []), eleven_points) for number in range(self.classes)]
        )
        known = ~np.isnan(each)
        mean = float(each[known].mean()) if known.any() else float("nan")
        return {"ap": mean, "per_class": each}

    def _curve(self, number: int, area: str, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Precision [T, 101] at RECALLS and the last recall [T]; NaN without an object."""
        shape = (len(THRESHOLDS), len(RECALLS))
        found = self._found.get((number, area), [])
        objects = sum(each.objects for each in found)
        if not objects:
            return np.full(shape, np.nan), np.full(shape[0], np.nan)
        scores = np.concatenate([each.scores[:most] for each in found])
        order = np.argsort(-scores, kind="mergesort")
        matched = np.concatenate([each.matched[:, :most] for each in found], 1)[:, order]
        ignored = np.concatenate([each.ignored[:, :most] for each in found], 1)[:, order]
        right = np.cumsum(matched & ~ignored, 1, dtype=np.float64)
        wrong = np.cumsum(~matched & ~ignored, 1, dtype=np.float64)
        precision, recall = np.zeros(shape), np.zeros(shape[0])
        for t in range(shape[0]):
            if not len(order):
                continue
            reached = right[t] / objects
            recall[t] = reached[-1]
            level = right[t] / (right[t] + wrong[t] + np.spacing(1))
            level = np.maximum.accumulate(level[::-1])[::-1]
            index = np.searchsorted(reached, RECALLS, side="left")
            inside = index < len(level)
            precision[t, inside] = level[index[inside]]
        return precision, recall


def _match(
    overlap: np.ndarray,
    scores: np.ndarray,
    ignore: np.ndarray,
    crowd: np.ndarray,
    thresholds: np.ndarray,
    taken_once: bool = False,
) -> _Found:
    """Each detection, best first, takes the object it overlaps most that is still free.

    overlap: [D, G]. ignore: bool [G], objects whose finding counts for nothing; one that counts is
    preferred. crowd: those that may be taken again. taken_once: VOC's rule, where a detection goes
    to the object that it overlaps most, free or not.
    """
    detections, objects = overlap.shape
    order = np.argsort(ignore, kind="mergesort")
    overlap, ignore, crowd = overlap[:, order], ignore[order], crowd[order]
    shape = (len(thresholds), detections)
    matched, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    free = np.ones((len(thresholds), objects), bool)
    rows = np.arange(len(thresholds))
    least = np.minimum(thresholds, 1 - 1e-10)
    for d in range(detections if objects else 0):
        able = overlap[d][None] >= least[:, None]
        if not taken_once:
            able &= free | crowd[None]
        if not able.any():
            continue
        counted = able & ~ignore[None]
        pool = np.where(counted.any(1, keepdims=True), counted, able)
        # of equal overlaps pycocotools takes the last
        value = np.where(pool, overlap[d][None], -1)
        best = objects - 1 - value[:, ::-1].argmax(1)
        hit = pool[rows, best]
        if taken_once:
            again = hit & ~free[rows, best] & ~ignore[best]
            matched[:, d], ignored[:, d] = hit & ~again, hit & ignore[best]
        else:
            matched[:, d], ignored[:, d] = hit, hit & ignore[best]
        free[rows[hit], best[hit]] = False
    return _Found(np.asarray(scores, np.float64), matched, ignored, int((~ignore).sum()))


def _voc_ap(found: list[_Found], eleven_points: bool) -> float:
    objects = sum(each.objects for each in found)
    if not objects:
        return float("nan")
    scores = np.concatenate([each.scores for each in found])
    order = np.argsort(-scores, kind="mergesort")
    matched = np.concatenate([each.matched[0] for each in found])[order]
    ignored = np.concatenate([each.ignored[0] for each in found])[order]
    right, wrong = np.cumsum(matched & ~ignored), np.cumsum(~matched & ~ignored)
    recall = right / objects
    precision = right / np.maximum(right + wrong, 1e-12)
    if eleven_points:
        levels = np.linspace(0, 1, 11)
        reached = [precision[recall >= level - 1e-12] for level in levels]
        return float(np.mean([x.max() if len(x) else 0.0 for x in reached]))
    recall = np.concatenate([[0], recall, [1]])
    precision = np.maximum.accumulate(np.concatenate([[0], precision, [0]])[::-1])[::-1]
    return float((np.diff(recall) * precision[1:]).sum())


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(a: np.ndarray, b: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU [M, N] of a [M, 4] with b [N, 4]; with a crowd, the share of a that lies inside."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    union = np.where(crowd[None], _area(a)[:, None], _area(a)[:, None] + _area(b)[None] - common)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _mean(values: np.ndarray) -> float:
    known = ~np.isnan(values)
    return float(values[known].mean()) if known.any() else float("nan")


def _each(curves: np.ndarray) -> np.ndarray:
    return curves.reshape(len(curves), -1).mean(1)
