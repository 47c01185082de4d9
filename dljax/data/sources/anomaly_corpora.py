"""The corpora of anomaly detection: embedded, in NAB's layout, or a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.anomaly_series import Labelled, runs
from dljax.data.sources import anomaly_labels, long_format, roles, timestamps
from dljax.data.sources.nab import read_nab
from dljax.data.sources.notation import numbers
from dljax.data.sources.series import load_series
from dljax.data.sources.table import read_table
from dljax.data.synthetic import CYCLE_KINDS, cycles, inject

EMBEDDED = ("cycles", "injected")
PARTS = (  # of the embedded corpus: data set, columns
    ("weather_hourly", ("temp",)),
    ("weather", ("temp_max", "temp_min", "wind")),
    ("stocks", ("AAPL", "GOOG", "IBM", "MSFT")),
)
SHORTEST = 200


class Reading(NamedTuple):
    """How a CSV is read: the arguments of `load_panel` of these names."""

    time: str | None = None
    series: str | None = None
    decimal: str = "auto"
    absent: Sequence[str] = ()


AS_IT_IS = Reading()


class Corpus(NamedTuple):
    """series, notes on how they were read, and the zone of their stamps ('': none is named)."""

    series: tuple[Labelled, ...]
    notes: tuple[str, ...] = ()
    zone: str = ""


def load_labelled(
    dataset: str,
    *,
    targets: Sequence[str] = (),
    labels: str | None = None,
    seed: int = 0,
    reading: Reading = AS_IT_IS,
) -> Corpus:
    """A corpus, and notes on how it was read.

    dataset: 'cycles' (six synthetic signals of machines, drawn from the seed, with anomalies within
    the usual range), 'injected' (Seattle's weather and the logarithm of four stocks' prices, with
    anomalies injected at positions drawn from the seed), 'nab:FOLDER' (the layout of NAB), or a
    CSV.
    targets: the CSV's columns of values (default: all numbers that `roles.by_default` takes for
    such). labels: its column that is positive (or -1 beside 1) in anomalous rows, for all targets.
    Raises FileNotFoundError or ValueError, in one line, for what can't be used.
    """
    if dataset == "cycles":
        return Corpus(_cycles(seed))
    if dataset == "injected":
        return Corpus(_injected(seed))
    if dataset.startswith("nab:"):
        return Corpus(read_nab(dataset.removeprefix("nab:")))
    if not dataset.lower().endswith((".csv", ".txt", ".tsv", ".gz")):
        names = ", ".join(repr(name) for name in EMBEDDED)
        raise ValueError(f"Unknown data set {dataset!r}: give {names}, nab:FOLDER or a CSV.")
    return _csv(dataset, targets, labels, reading)


def _cycles(seed: int, series: int = 6, rows: int = 3000) -> tuple[Labelled, ...]:
    """Signals with a row each ten minutes."""
    time = np.datetime64("2024-01-01", "s") + np.arange(rows) * np.timedelta64(600, "s")
    corpus = []
    for i in range(series):
        plain = Labelled(f"cycles/{i}", time, cycles(rows, seed + i))
        corpus.append(inject(plain, seed + i, kinds=CYCLE_KINDS))
    return tuple(corpus)


def _injected(seed: int) -> tuple[Labelled, ...]:
    corpus = []
    for name, columns in PARTS:
        series = load_series(name, targets=columns)
        for column, values in zip(columns, series.values.T, strict=True):
            values = np.log(values) if name == "stocks" else values
            corpus.append(inject(Labelled(f"{name}/{column}", series.time, values), seed))
            seed += 1
    return tuple(corpus)


def _csv(path: str, targets: Sequence[str], labels: str | None, settings: Reading) -> Corpus:
    table = read_table(path, settings.decimal, settings.absent)
    stamps = timestamps.read_stamps(table, timestamps.time_columns(table, settings.time))
    others = (*stamps.columns, *targets, *((labels,) if labels else ()))
    ids, notes = long_format.series_columns(table, stamps.time, others, settings.series)
    notes = (*table.notes, *stamps.notes, *notes)
    if targets:
        values: dict[str, np.ndarray] = {}
        for name in targets:
            values[name], more = numbers(table, name)
            notes += more
    else:
        found = roles.by_default(table, stamps.time, (*others, *ids))
        values = {name: found.values[name] for name in found.targets}
        notes += found.notes
        if labels is None and (named := [x for x in table.cells if roles.LABELS.match(x)]):
            notes += (f"To score detections, name the labels: --labels={named[0]}.",)
    for name, column in values.items():
        notes += roles.sentinels(name, column)
    anomalous = None
    if labels is not None:
        anomalous, more = anomaly_labels.read(table, labels)
        notes += more
    names = long_format.labels(table, ids) if ids else np.full(len(stamps.time), "")
    corpus = []
    for label in dict.fromkeys(names.tolist()):
        rows = names == label
        when, lines = stamps.time[rows], table.lines[rows]
        reverse = len(when) > 1 and bool((np.diff(when) < np.timedelta64(0, "s")).all())
        order = slice(None, None, -1) if reverse else slice(None)
        if reverse:
            notes += ("The file begins with the newest row: its order is reversed.",)
        when = when[order]
        _check_order(table.name, when, lines[order])
        for target, column in values.items():
            name = f"{label}/{target}" if ids else target
            marks = None if anomalous is None else anomalous[rows][order]
            series, more = _labelled(table.name, name, when, column[rows][order], marks)
            corpus.append(series)
            notes += more
    if ids:
        counts = {label: int((names == label).sum()) for label in dict.fromkeys(names.tolist())}
        notes += (long_format.described(ids, counts),)
    return Corpus(tuple(corpus), tuple(dict.fromkeys(notes)), stamps.zone)


def _check_order(name: str, when: np.ndarray, lines: np.ndarray) -> None:
    back = np.diff(when) < np.timedelta64(0, "s")
    if back.any():
        raise ValueError(
            f"{name}, line {lines[int(back.argmax()) + 1]}: the time goes back; sort the file by "
            "time, or, if it has several series, name their column by --series."
        )


def _labelled(
    file: str, name: str, when: np.ndarray, values: np.ndarray, anomalous: np.ndarray | None
) -> tuple[Labelled, tuple[str, ...]]:
    """One series without the rows that have no value, and a note on these."""
    kept = np.isfinite(values)
    if kept.sum() < SHORTEST:
        raise ValueError(
            f"{file}: column {name} has {kept.sum()} values: a detector that learns online needs "
            f"{SHORTEST} or more."
        )
    notes = ()
    if not kept.all():
        notes = (f"{name}: {(~kept).sum()} rows without a value are left out.",)
    windows = None if anomalous is None else runs(anomalous[kept])
    return Labelled(name, when[kept], values[kept], windows), notes
