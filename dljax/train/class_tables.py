"""Numbers of each class for a spreadsheet: from counts of decisions to rows of a CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]


def per_class(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and support [..., C] of confusion counts [..., true, predicted].

    NaN where a class has no examples; the precision of a class that has, but is never predicted,
    is 0 (scikit-learn's conventions).
    """
    counts = np.asarray(counts, np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return of_decisions(hits, counts.sum(-2), counts.sum(-1))


def of_decisions(
    hits: np.ndarray, called: np.ndarray, support: np.ndarray
) -> dict[str, np.ndarray]:
    """The same [..., C] of the numbers of examples called a class, of it, and both (hits)."""
    some = np.where(support > 0, support, np.nan)
    return {
        "precision": hits / np.maximum(called, 1) + 0 * some,
        "recall": hits / some,
        "f1": 2 * hits / (some + called),
        "support": support,
    }


def macro(scores: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The mean [...] of a score over the classes that have examples, each class alike."""
    return np.nanmean(scores[name], -1)


def class_rows(scores: Mapping[str, np.ndarray], classes: Sequence[str]) -> Rows:
    """A row for each class, and two of averages over classes; the mean and deviation over seeds.

    scores: name -> [S, C], "support" among them. macro average: over the classes that have
    examples; weighted average: by their support. What is undefined is an empty cell.
    """
    support = scores["support"]
    columns: dict[str, np.ndarray] = {}
    for name, values in scores.items():
        if name != "support":
            known = ~np.isnan(values)
            weighted = np.nansum(values * support, -1) / (known * support).sum(-1)
            columns[name] = np.column_stack([values, macro(scores, name), weighted])
    counts = [*support[0], support[0].sum(), support[0].sum()]
    rows = []
    for i, title in enumerate([*classes, "macro average", "weighted average"]):
        row: dict[str, Any] = {"class": title}
        for name, values in columns.items():
            seeds = values[:, i]
            row[name] = _cell(seeds.mean())
            if len(seeds) > 1:
                row[f"{name}_std"] = _cell(seeds.std(ddof=1))
        rows.append({**row, "support": int(counts[i])})
    return rows


def confusion_tables(counts: np.ndarray, classes: Sequence[str]) -> dict[str, Rows]:
    """The tables per_class and confusion of counts [S, C, C], true class by predicted class."""
    rows = class_rows(per_class(counts), classes)
    return {"per_class": rows, "confusion": confusion_rows(counts, classes)}


def confusion_rows(counts: np.ndarray, classes: Sequence[str]) -> Rows:
    """A row for each true class, a column for each predicted one, the counts of all seeds added.

    counts: [S, C, C].
    """
    total = np.asarray(counts).sum(0).astype(int).tolist()
    corner = "true \\ predicted" + (f", {len(counts)} seeds added up" if len(counts) > 1 else "")
    return [
        {corner: name, **dict(zip(classes, row, strict=True))}
        for name, row in zip(classes, total, strict=True)
    ]


def _cell(value: float) -> float | str:
    return "" if np.isnan(value) else round(float(value), 6)
