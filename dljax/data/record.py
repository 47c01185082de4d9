"""What a run has read: a summary for the user, and a fingerprint that changes with the data.

    record = images_record(train, test, classes)
    record.lines()                            # what is printed before training
    differences(saved, record.fingerprint())  # [] where the data is the same

A run keeps the fingerprint with its checkpoints. It holds what the data is (counts, shapes,
classes, first and last time stamp), digests of its content, and what was derived from it (order of
classes, scaler).
Where the data lies is no part of it: another path to the same data is the same data.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.anomaly_series import Labelled, step_seconds
from dljax.data.sources.cache import crc
from dljax.train.files import jsonable

MANY = 20  # classes that are listed one by one, at most


class DataRecord(NamedTuple):
    """summary: what was read, in JSON's types. digests: name -> checksum of the content.

    derived: what the run computes from it and would compute otherwise from other data. left_out:
    lines, what was not read and why. details: shown and written beside the summary, not compared.
    """

    summary: Mapping[str, Any]
    digests: Mapping[str, str]
    derived: Mapping[str, Any] = {}
    left_out: Sequence[str] = ()
    details: Mapping[str, Any] = {}

    def fingerprint(self) -> dict[str, Any]:
        """What `differences` compares, in JSON's types."""
        return jsonable({"summary": self.summary, "derived": self.derived, "digests": self.digests})

    def deriving(self, **values: Any) -> DataRecord:
        """The record with further values that a run has derived from the data."""
        return self._replace(derived={**self.derived, **values})

    def lines(self) -> tuple[str, ...]:
        """The summary for a reader."""
        shown = {**self.summary, **self.details}
        return (*(_line(name, value) for name, value in shown.items()), *self.left_out)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, a short text for each entry.

    Digests are named only where nothing else shows the difference. Numbers that were derived (a
    scaler) may differ by rounding.
    """
    lines = []
    for part in ("summary", "derived"):
        old, new = before.get(part, {}), now.get(part, {})
        for name in dict.fromkeys((*old, *new)):
            if not _close(old.get(name), new.get(name)):
                lines.append(_difference(name, old.get(name), new.get(name)))
    if not lines:
        old, new = before.get("digests", {}), now.get("digests", {})
        changed = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
        lines = [f"other content: {', '.join(changed)}"] if changed else []
    return lines


def images_record(
    parts: Mapping[str, Mapping[str, np.ndarray] | None],
    classes: Sequence[str],
    left_out: Sequence[str] = (),
) -> DataRecord:
    """The record of labelled images in memory.

    parts: 'train', 'validation', 'test' -> {"image": [N, H, W, C], "label": int [N]} or None.
    """
    parts = {name: part for name, part in parts.items() if part}
    first = next(iter(parts.values()))
    labels = np.concatenate([part["label"] for part in parts.values()])
    counts = np.bincount(labels, minlength=len(classes))
    low = min(int(part["image"].min()) for part in parts.values())
    high = max(int(part["image"].max()) for part in parts.values())
    summary = {
        "images": {name: len(part["label"]) for name, part in parts.items()},
        "classes": dict(zip(classes, counts.tolist(), strict=True)),
        "shape": list(first["image"].shape[1:]),
        "range": [low, high],
    }
    digests = {
        f"{name} {kind}s": f"{crc(part[kind]):08x}"
        for name, part in parts.items()
        for kind in ("image", "label")
    }
    return DataRecord(summary, digests, {"order of classes": list(classes)}, left_out)


def clips_record(
    parts: Mapping[str, Mapping[str, np.ndarray]],
    classes: Sequence[str],
    left_out: Sequence[str] = (),
) -> DataRecord:
    """The record of labelled clips in memory: as of images, {"image": [N, T, H, W, C], ...}."""
    record = images_record(parts, classes, left_out)
    summary = {"clips" if name == "images" else name: x for name, x in record.summary.items()}
    return record._replace(summary=summary)


def streamed_record(sources: Mapping[str, Sequence], classes: Sequence[str]) -> DataRecord:
    """The record of sets that are read while training, of their files' names and sizes.

    sources: 'train', 'test' -> what is read; `source.files()` names its files where it has any.
    """
    summary = {
        "images": {name: len(source) for name, source in sources.items()},
        "classes": list(classes),
    }
    digests = {
        name: files_digest(source.files())
        for name, source in sources.items()
        if hasattr(source, "files")
    }
    return DataRecord(summary, digests, {"order of classes": list(classes)})


def series_record(
    time: np.ndarray,
    values: np.ndarray,
    columns: Sequence[str],
    freq: str,
    left_out: Sequence[str] = (),
    zone: str = "",
) -> DataRecord:
    """The record of series on a regular grid of times: time [T], values [T, C]."""
    summary = {
        "rows": len(time),
        "first": str(time[0]),
        "last": str(time[-1]),
        "step": freq,
        **({"zone": zone} if zone else {}),
        "columns": {
            name: [float(f"{column.min():.6g}"), float(f"{column.max():.6g}")]
            for name, column in zip(columns, np.asarray(values, float).T, strict=True)
        },
    }
    digests = {"values": f"{crc(np.asarray(values)):08x}"}
    details = {} if zone else {"zone": "none named"}
    return DataRecord(summary, digests, {"order of columns": list(columns)}, left_out, details)


def panel_record(
    times: Mapping[str, np.ndarray],
    values: Sequence[np.ndarray],
    columns: Sequence[str],
    freq: str,
    zone: str = "",
) -> DataRecord:
    """The record of several series of one file: label -> time [T], values [T, C] in that order."""
    first, last = min(x[0] for x in times.values()), max(x[-1] for x in times.values())
    whole = series_record(np.array([first, last]), np.concatenate(values), columns, freq, zone=zone)
    rows = {label: len(time) for label, time in times.items()}
    summary = {**whole.summary, "rows": sum(rows.values()), "series": rows}
    digests = {
        label: f"{crc(x):08x} {crc(time.astype(np.int64)):08x}"
        for (label, time), x in zip(times.items(), values, strict=True)
    }
    return whole._replace(summary=summary, digests=digests)


def corpus_record(
    corpus: Sequence[Labelled], zone: str = "", left_out: Sequence[str] = ()
) -> DataRecord:
    """The record of the series of anomaly detection, with or without labels."""
    summary = {"series": len(corpus), "rows": sum(len(series.values) for series in corpus)}
    if any(series.windows is not None for series in corpus):
        summary["labelled windows"] = sum(len(series.windows or ()) for series in corpus)
    digests = {
        series.name: f"{crc(series.values):08x} {crc(series.time.astype(np.int64)):08x} "
        f"{crc(np.array(series.windows or (), np.int64)):08x}"
        for series in corpus
    }
    details = {
        "first": str(min(series.time[0] for series in corpus)),
        "last": str(max(series.time[-1] for series in corpus)),
        "step": {series.name: f"{step_seconds(series.time):g} s" for series in corpus},
        "zone": zone or "none named",
        "range": {
            series.name: [float(f"{x:.6g}") for x in (series.values.min(), series.values.max())]
            for series in corpus
        },
    }
    derived = {"series": [series.name for series in corpus]}
    return DataRecord(summary, digests, derived, left_out, details)


def text_record(
    parts: Mapping[str, Sequence[str]], documents: int, left_out: Sequence[str] = ()
) -> DataRecord:
    """The record of a text of so many documents: its parts in order, each of some of them."""
    joined = {name: "".join(part) for name, part in parts.items() if part}
    summary = {
        "characters": {name: len(text) for name, text in joined.items()},
        "documents": documents,
        "different characters": len(set().union(*joined.values())),
    }
    digests = {
        name: f"{zlib.crc32(text.encode('utf-8', errors='surrogateescape')):08x}"
        for name, text in joined.items()
    }
    return DataRecord(summary, digests, {}, left_out)


def files_digest(files: Sequence[str]) -> str:
    """A checksum of the names (within their common folder), order and sizes of files."""
    root, total = os.path.commonpath(files) if files else "", 0
    for file in files:
        entry = f"{os.path.relpath(file, root)} {os.path.getsize(file)}\n"
        total = zlib.crc32(entry.encode(), total)
    return f"{len(files)} files {total:08x}"


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-12)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key]) for key in a)
    return a == b


def _difference(name: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [
            key for key in dict.fromkeys((*old, *new)) if not _close(old.get(key), new.get(key))
        ]
        each = [
            f"{key} {_short(old[key]) if key in old else 'absent'} then, "
            f"{_short(new[key]) if key in new else 'absent'} now"
            for key in changed[:3]
        ]
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"{name}: {'; '.join(each)}{more}"
    return f"{name}: {_short(old)} then, {_short(new)} now"


def _short(value: Any) -> str:
    text = ", ".join(map(_short, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _line(name: str, value: Any) -> str:
    """One entry of a summary as 'name: a 1, b 2'; long lists are cut."""
    if isinstance(value, Mapping):
        items = [f"{key} {_numbers(entry)}" for key, entry in value.items()]
    elif isinstance(value, list | tuple) and name not in ("shape", "range"):
        items = [str(entry) for entry in value]
    else:
        items = [_numbers(value)]
    more = f", and {len(items) - MANY} more" if len(items) > MANY else ""
    count = f"{len(items)} {name}" if len(items) > 3 else name
    return f"{count}: {', '.join(items[:MANY])}{more}"


def _numbers(value: Any) -> str:
    if isinstance(value, list | tuple):
        return (
            " to ".join(f"{x:g}" for x in value) if len(value) == 2 else "x".join(map(str, value))
        )
    return str(value)
