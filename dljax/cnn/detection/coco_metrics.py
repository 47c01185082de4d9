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
    """One class of one image: scores [D]; matched, ignored [A, T, D] and the count of objects [A]
    for each area range; voc: its own matched and ignored [2, D]; plain: objects not flagged."""

    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray
    voc: np.ndarray
    plain: int


class Evaluation:
    """Detections of images compared with their objects; `add` each image once, then ask for scores.

    classes: their number. most: detections of a class that count in an image, the best ones.
    """

    def __init__(self, classes: int, most: int = MOST[-1]):
        self.classes, self.most, self.images = classes, most, 0
        self._found: dict[int, list[_Found]] = {}

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
            flags, size = crowd[theirs], _area(boxes[mine])
            plain = iou(boxes[mine], true_boxes[theirs], np.zeros(len(flags), bool))
            inside = iou(boxes[mine], true_boxes[theirs], flags) if flags.any() else plain
            ignore = flags | _outside(areas[theirs])
            matched, ignored = _match(inside, ignore, flags)
            ignored |= ~matched & _outside(size)[:, None]
            objects = (~ignore).sum(1)
            voc = _match_once(plain, flags)
            self._found.setdefault(int(number), []).append(
                _Found(scores[mine], matched, ignored, objects, voc, int((~flags).sum()))
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
            [_voc_ap(self._found.get(number, []), eleven_points) for number in range(self.classes)]
        )
        known = ~np.isnan(each)
        mean = float(each[known].mean()) if known.any() else float("nan")
        return {"ap": mean, "per_class": each}

    def _curve(self, number: int, area: str, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Precision [T, 101] at RECALLS and the last recall [T]; NaN without an object."""
        shape = (len(THRESHOLDS), len(RECALLS))
        found, which = self._found.get(number, []), list(AREAS).index(area)
        objects = sum(int(each.objects[which]) for each in found)
        if not objects:
            return np.full(shape, np.nan), np.full(shape[0], np.nan)
        scores = np.concatenate([each.scores[:most] for each in found])
        order = np.argsort(-scores, kind="mergesort")
        matched, ignored = (
            np.concatenate([x[which, :, :most] for x in parts], 1)[:, order]
            for parts in ([each.matched for each in found], [each.ignored for each in found])
        )
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


def _outside(areas: np.ndarray) -> np.ndarray:
    """bool [A, N]: which areas [N] lie outside each range of AREAS."""
    low, high = np.array(list(AREAS.values())).T[..., None]
    return (areas < low) | (areas > high)


def _match(
    overlap: np.ndarray, ignore: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each detection, best first, takes the object it overlaps most that is still free.

    overlap: [D, G]. ignore: bool [A, G], objects whose finding counts for nothing; one that counts
    is preferred. crowd: bool [G], those that may be taken again. Returns bool [A, T, D]: detections
    that took an object, and those of them that count for nothing.
    """
    shape = (len(ignore), len(THRESHOLDS))
    matched, ignored = np.zeros((2, *shape, len(overlap)), bool)
    enough = overlap[:, None] >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]  # [D, T, G]
    free = np.ones((*shape, len(crowd)), bool)
    counted = ~ignore[:, None]
    for d in np.flatnonzero(enough.any((1, 2))):
        able = enough[d] & free
        preferred = able & counted
        pool = np.where(preferred.any(-1, keepdims=True), preferred, able)
        # of equal overlaps pycocotools takes the last
        value = np.where(pool, overlap[d], -1)
        best = len(crowd) - 1 - value[..., ::-1].argmax(-1)
        hit = pool.any(-1)
        matched[..., d], ignored[..., d] = hit, hit & np.take_along_axis(ignore, best, 1)
        area, threshold = np.nonzero(hit & ~crowd[best])
        free[area, threshold, best[area, threshold]] = False
    return matched, ignored


def _match_once(overlap: np.ndarray, difficult: np.ndarray) -> np.ndarray:
    """VOC's rule: a detection goes to the object that it overlaps most, the first one takes it.

    overlap: [D, G], best detection first. Returns bool [2, D]: right ones, and those that count for
    nothing as their object is difficult.
    """
    found = np.zeros((2, len(overlap)), bool)
    if overlap.size:
        best, hit = overlap.argmax(1), overlap.max(1) >= THRESHOLDS[0]
        first = np.unique(np.where(hit, best, -1), return_index=True)[1]
        found[0, first] = True
        found[0] &= hit & ~difficult[best]
        found[1] = hit & difficult[best]
    return found


def _voc_ap(found: list[_Found], eleven_points: bool) -> float:
    objects = sum(each.plain for each in found)
    if not objects:
        return float("nan")
    order = np.argsort(-np.concatenate([each.scores for each in found]), kind="mergesort")
    matched, ignored = np.concatenate([each.voc for each in found], 1)[:, order]
    right, wrong = np.cumsum(matched), np.cumsum(~matched & ~ignored)
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
