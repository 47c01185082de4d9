"""The corpora of anomaly detection: embedded, in NAB's layout, or a CSV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dljax.data.anomaly_series import Labelled, runs
from dljax.data.sources import timestamps
from dljax.data.sources.nab import read_nab
from dljax.data.sources.series import load_series
from dljax.data.sources.table import is_numeric, numbers, read_table
from dljax.data.synthetic import inject

EMBEDDED = "injected"
PARTS = (  # of the embedded corpus: data set, columns
    ("weather_hourly", ("temp",)),
    ("weather", ("temp_max", "temp_min", "wind")),
    ("stocks", ("AAPL", "GOOG", "IBM", "MSFT")),
)
SHORTEST = 200


def load_labelled(
    dataset: str,
    *,
    time: str | None = None,
    targets: Sequence[str] = (),
    labels: str | None = None,
    seed: int = 0,
) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """A corpus, and notes on how it was read.

    dataset: 'injected' (Seattle's weather and the logarithm of four stocks' prices, with anomalies
    injected at positions drawn from the seed), 'nab:FOLDER' (the layout of NAB), or a CSV.
    time, targets: the CSV's columns of dates and of values (default: found; all other numbers).
    labels: its column that is positive in anomalous rows, for all targets.
    Raises FileNotFoundError or ValueError, in one line, for what can't be used.
    """
    if dataset == EMBEDDED:
        return _injected(seed), ()
    if dataset.startswith("nab:"):
        return read_nab(dataset.removeprefix("nab:")), ()
    if not dataset.lower().endswith((".csv", ".txt", ".tsv", ".gz")):
        raise ValueError(f"Unknown data set {dataset!r}: give 'injected', nab:FOLDER or a CSV.")
    return _csv(dataset, time, targets, labels)


def _injected(seed: int) -> tuple[Labelled, ...]:
    corpus = []
    for name, columns in PARTS:
        series = load_series(name, targets=columns)
        for column, values in zip(columns, series.values.T, strict=True):
            values = np.log(values) if name == "stocks" else values
            corpus.append(inject(Labelled(f"{name}/{column}", series.time, values), seed))
            seed += 1
    return tuple(corpus)


def _csv(
    path: str, time: str | None, targets: Sequence[str], labels: str | None
) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    table = read_table(path)
    dates = timestamps.time_column(table, time)
    when, notes = timestamps.read_stamps(table, dates)
    back = np.diff(when) < np.timedelta64(0, "s")
    if back.any():
        row = int(back.argmax()) + 1
        raise ValueError(
            f"{table.name}, line {table.lines[row]}: the time goes back; sort the file by time."
        )
    targets = tuple(targets) or tuple(
        name for name in table.cells if name not in (*dates, labels) and is_numeric(table, name)
    )
    if not targets:
        raise ValueError(f"{table.name} has no column of numbers: name one with --target.")
    anomalous = None if labels is None else numbers(table, labels) > 0  # missing: no anomaly
    corpus, notes = [], (*table.notes, *notes)
    for target in targets:
        values = numbers(table, target)
        kept = np.isfinite(values)
        if kept.sum() < SHORTEST:
            raise ValueError(
                f"{table.name}: column {target} has {kept.sum()} values: a detector that learns "
                f"online needs {SHORTEST} or more."
            )
        if not kept.all():
            notes += (f"{target}: {(~kept).sum()} rows without a value are left out.",)
        windows = None if anomalous is None else runs(anomalous[kept])
        corpus.append(Labelled(target, when[kept], values[kept], windows))
    return tuple(corpus), notes
