"""Which rows of a table are labelled as anomalous."""

from __future__ import annotations

import numpy as np

from dljax.data.sources.notation import missing, numbers
from dljax.data.sources.table import Table

WORDS = {"true": "1", "yes": "1", "anomaly": "1", "anomalous": "1", "attack": "1", "outlier": "1",
         "false": "0", "no": "0", "normal": "0", "inlier": "0"}  # fmt: skip
MOST = 0.5  # largest share of anomalous rows


def read(table: Table, column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """bool [rows], True in anomalous rows, and notes.

    Positive numbers are anomalous, others normal; 1 and -1 mean what scikit-learn's outlier
    detectors mean, -1 anomalous. Words like true and false are understood.

    Raises ValueError for other words, other negative numbers, or if most rows are anomalous.
    """
    cells, notes = table.column(column), ()
    words = np.array([WORDS.get(cell.lower(), cell) for cell in cells.tolist()])
    known, values = ~missing(table, cells), None
    try:
        values, notes = numbers(table._replace(cells={column: words}), column)
    except ValueError as error:
        found = sorted(set(cells[known].tolist()))
        raise ValueError(
            f"{table.name}: labels in column {column} must be 0 and 1, true and false, or 1 and "
            f"-1, not {', '.join(map(repr, found[:4]))}."
        ) from error
    levels = sorted(set(values[known & ~np.isnan(values)].tolist()))
    if levels[:1] == [-1.0] and set(levels) <= {-1.0, 1.0}:
        anomalous = values == -1
        notes += (f"Labels in column {column}: -1 is anomalous, 1 normal, as in scikit-learn.",)
    elif levels and levels[0] < 0:
        raise ValueError(
            f"{table.name}: labels in column {column} are "
            f"{', '.join(f'{x:g}' for x in levels[:4])}: which are anomalous? write 0 and 1."
        )
    else:
        anomalous = values > 0
    if len(levels) > 2:
        notes += (
            f"Labels in column {column} have {len(levels)} values: all above 0 are anomalous.",
        )
    share = anomalous.mean()
    if share > MOST:
        raise ValueError(
            f"{table.name}: column {column} calls {share:.0%} of the rows anomalous: labels are 1 "
            "in anomalous rows and 0 in normal ones."
        )
    if np.isnan(values).any():
        notes += (f"Labels in column {column}: {np.isnan(values).sum()} missing, taken as normal.",)
    return anomalous, notes
