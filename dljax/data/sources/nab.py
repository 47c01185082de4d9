"""The layout of the Numenta Anomaly Benchmark (github.com/numenta/NAB, version 1.1).

    FOLDER/data/<group>/<name>.csv            columns timestamp, value
    FOLDER/labels/combined_windows.json       {"<group>/<name>.csv": [[first stamp, last stamp]]}

Any groups: the labels may name files that are absent. A file that the labels do not name is an
error, since its detections could not be scored.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dljax.data.anomaly_series import Labelled, Window


def read_nab(folder: str | Path) -> tuple[Labelled, ...]:
    """Every series below FOLDER/data, in the order of their names "<group>/<name>.csv".

    Raises FileNotFoundError if the folder does not have the layout, ValueError for a file that
    can't be read or has no labels.
    """
    root = Path(folder)
    files = sorted((root / "data").glob("*/*.csv"))
    path = root / "labels" / "combined_windows.json"
    if not files:
        raise FileNotFoundError(f"no data/<group>/<name>.csv in {root}: not a folder of NAB")
    if not path.is_file():
        raise FileNotFoundError(f"no labels/combined_windows.json in {root}: not a folder of NAB")
    try:
        labels = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    return tuple(_read(file, labels, path) for file in files)


def _read(file: Path, labels: dict[str, list[list[str]]], path: Path) -> Labelled:
    import pandas

    name = f"{file.parent.name}/{file.name}"
    if name not in labels:
        raise ValueError(f"{path} has no entry for {name}: add its windows, or [] if none")
    try:
        table = pandas.read_csv(file, usecols=["timestamp", "value"])
        time = pandas.to_datetime(table["timestamp"]).to_numpy().astype("datetime64[s]")
        values = table["value"].to_numpy(np.float64)
    except ValueError as error:
        raise ValueError(f"{file} must have columns timestamp and value: {error}") from None
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{file} has no rows, or values that are missing or not finite")
    windows = (_rows(time, first, last, name) for first, last in labels[name])
    return Labelled(name, time, values, tuple(sorted(windows)))


def _rows(time: np.ndarray, first: str, last: str, name: str) -> Window:
    """The rows of a window: the first ones at (or after, or before) its two times."""
    first_stamp, last_stamp = (np.datetime64(stamp[:19], "s") for stamp in (first, last))
    inside = np.flatnonzero((time >= first_stamp) & (time <= last_stamp))
    if not len(inside):
        raise ValueError(f"{name} has no row between {first} and {last}, a window of the labels")
    end = np.flatnonzero(time == last_stamp)
    return int(inside[0]), int(end[0]) if len(end) else int(inside[-1])
