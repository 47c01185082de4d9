"""COCO's segments as masks: polygons, and run-length codes compressed or not.

The pixels are those of pycocotools (cocoapi, common/maskApi.c: rleFrPoly, rleFrString), which the
tests compare with where it is installed. Written here in numpy, as it is forty lines and a compiled
dependency would serve nothing else.
"""

from typing import Any

import numpy as np

from dljax.data.sources.vision.letterbox import Size

UPSAMPLING = 5.0  # of a polygon's outline, as in rleFrPoly


def segment_mask(segment: Any, size: Size, where: str) -> np.ndarray:
    """bool [H, W]: the pixels of a `segmentation`: polygons (their union) or a run-length code.

    Raises ValueError, with `where` in it, for anything else.
    """
    if isinstance(segment, dict):
        return _decode_runs(segment, size, where)
    mask = np.zeros(size, bool)
    for polygon in polygons(segment, where):
        mask |= polygon_mask(polygon, size)
    return mask


def segment_box(segment: Any, size: Size, where: str) -> list[float]:
    """x1, y1, x2, y2 of a `segmentation`: of a polygon's corners, or of a code's pixels."""
    if isinstance(segment, dict):
        mask = _decode_runs(segment, size, where)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return [0.0] * 4
        return [float(x) for x in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]
    corners = np.concatenate(polygons(segment, where))
    return [*corners.min(0).tolist(), *corners.max(0).tolist()]


def polygons(segment: Any, where: str) -> list[np.ndarray]:
    """The polygons of a `segmentation`, each float64 [corners, 2] (x, y)."""
    if isinstance(segment, list) and segment and not isinstance(segment[0], list):
        segment = [segment]  # one polygon without its list
    try:
        found = [np.array(polygon, np.float64) for polygon in segment]
    except (TypeError, ValueError):
        found = []
    if not found or any(x.ndim != 1 or len(x) < 6 or len(x) % 2 for x in found):
        raise ValueError(
            f"{where}: a segmentation is no list of polygons of three corners or more, each "
            "x1, y1, x2, y2, x3, y3, ..., and no run-length code."
        )
    if not all(np.isfinite(x).all() for x in found):
        raise ValueError(f"{where}: a polygon has a coordinate that is no finite number.")
    return [x.reshape(-1, 2) for x in found]


def polygon_mask(polygon: np.ndarray, size: Size) -> np.ndarray:
    """bool [H, W]: the pixels of one polygon [corners, 2] (x, y).

    Along the outline, upsampled, each crossing into another column of pixels toggles all that
    follows it in column-major order.
    """
    height, width = size
    corners = (UPSAMPLING * polygon + 0.5).astype(np.int64)
    outline = [_line(a, b) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    u, v = np.concatenate(outline).T
    crossed = np.flatnonzero(u[1:] != u[:-1]) + 1
    now, before = u[crossed], u[crossed - 1]
    column = (np.where(now < before, now, now - 1) + 0.5) / UPSAMPLING - 0.5
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    row = (np.minimum(v[crossed], v[crossed - 1]) + 0.5) / UPSAMPLING - 0.5
    row = np.ceil(np.clip(row, 0, height))
    toggles = (column[kept].astype(np.int64) * height + row[kept].astype(np.int64)).ravel()
    inside = np.cumsum(np.bincount(toggles, minlength=height * width + 1)) % 2
    return inside[: height * width].reshape(width, height).T.astype(bool)


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """int64 [n, 2]: the points of a straight line, as rleFrPoly rounds them, from start to end."""
    steps = np.abs(end - start)
    along = 0 if steps[0] >= steps[1] else 1
    flipped = start[along] > end[along]
    low, high = (end, start) if flipped else (start, end)
    count = int(steps[along])
    slope = (high[1 - along] - low[1 - along]) / count if count else 0.0
    t = np.arange(count + 1)
    points = np.empty((count + 1, 2), np.int64)
    points[:, along] = low[along] + t
    points[:, 1 - along] = (low[1 - along] + slope * t + 0.5).astype(np.int64)
    return points[::-1] if flipped else points


def _decode_runs(code: dict, size: Size, where: str) -> np.ndarray:
    """bool [H, W] of {'size': [height, width], 'counts': list of runs, or text}."""
    counts, stated = code.get("counts"), code.get("size")
    if stated is not None and stated != list(size):
        raise ValueError(
            f"{where}: a run-length code is of the size {stated} (height, width), its image of "
            f"{list(size)}."
        )
    try:
        runs = decompress(counts) if isinstance(counts, str | bytes) else list(map(int, counts))
    except (TypeError, ValueError, IndexError, OverflowError):
        runs = [-1]
    if min(runs, default=-1) < 0 or sum(runs) != size[0] * size[1]:
        raise ValueError(
            f"{where}: a run-length code does not fill its {size[1]}x{size[0]} pixels: it is "
            "damaged, or of another image."
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[1], size[0]).T


def decompress(text: str | bytes) -> list[int]:
    """The runs of a compressed code: five bits a character, differences to the run before last."""
    codes = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    position = 0
    while position < len(codes):
        value, shift, more = 0, 0, True
        while more:
            bits = codes[position] - 48
            if not 0 <= bits < 64:
                raise ValueError("a character that no code has")
            value |= (bits & 0x1F) << shift
            more, shift, position = bool(bits & 0x20), shift + 5, position + 1
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
