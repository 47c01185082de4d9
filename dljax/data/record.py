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

import functools
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from dljax.data.anomaly_series import Labelled, step_seconds
from dljax.data.sources.cache import crc
from dljax.train.files import jsonable

MANY = 20  # classes that are listed one by one, at most
FORMAT = 2  # of fingerprints
PROBES = 12  # words of 8 bytes of an image by which it is found among others
ORDER = ("train", "validation", "test")


class DataRecord(NamedTuple):
    """summary: what was read, in JSON's types. digests: name -> checksum of the content.

    derived: what the run computes from it and would compute otherwise from other data. left_out:
    lines, what was not read and why. details: shown and written beside the summary, not compared.
    files: name -> files that are read later, in their order; their content is digested too.
    remarks: further lines for a reader.
    """

    summary: Mapping[str, Any]
    digests: Mapping[str, str]
    derived: Mapping[str, Any] = {}
    left_out: Sequence[str] = ()
    details: Mapping[str, Any] = {}
    files: Mapping[str, Sequence[str]] = {}
    remarks: Sequence[str] = ()

    def fingerprint(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What `differences` compares, in JSON's types.

        before: an earlier fingerprint. Files whose names, sizes and times are as they were then are
        not read again: their digests are those of then.
        """
        before = before or {}
        stamps = {name: stamp(files) for name, files in self.files.items()}
        digests = dict(self.digests)
        for name, files in self.files.items():
            if (
                name in before.get("digests", {})
                and before.get("stamps", {}).get(name) == stamps[name]
            ):
                digests[name] = before["digests"][name]
            else:
                digests[name] = content(tuple(files), stamps[name])
        return jsonable(
            {
                "format": FORMAT,
                "summary": self.summary,
                "derived": self.derived,
                "digests": digests,
                "stamps": stamps,
            }
        )

    def report(self) -> dict[str, Any]:
        """What summary.json says of the data."""
        more = {"left_out": list(self.left_out), "remarks": list(self.remarks)}
        return {**self.summary, **self.details, **more}

    def deriving(self, **values: Any) -> DataRecord:
        """The record with further values that a run has derived from the data."""
        return self._replace(derived={**self.derived, **values})

    def lines(self) -> tuple[str, ...]:
        """The summary for a reader."""
        entries = {**self.summary, **self.details}
        lines = (_line(name, value) for name, value in entries.items())
        return (*lines, *self.left_out, *self.remarks)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, a short text for each entry.

    Digests are named only where nothing else shows the difference. Numbers that were derived (a
    scaler) may differ by rounding. What an earlier release's fingerprint lacks is not compared.
    """
    lines = []
    earlier = before.get("format", 1) < now.get("format", 1)
    for part in ("summary", "derived"):
        old, new = before.get(part, {}), now.get(part, {})
        for name in [x for x in old if x in new] if earlier else dict.fromkeys((*old, *new)):
            if not _close(old.get(name), new.get(name)):
                lines.append(_difference(name, old.get(name), new.get(name)))
    if not lines:
        old, new = before.get("digests", {}), now.get("digests", {})
        names = [x for x in old if x in new] if earlier else dict.fromkeys((*old, *new))
        changed = [name for name in names if old.get(name) != new.get(name)]
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
    counts = {name: np.bincount(x["label"], minlength=len(classes)) for name, x in parts.items()}
    ranges = [_range(part["image"]) for part in parts.values()]
    summary = {
        "images": {name: len(part["label"]) for name, part in parts.items()},
        "classes": dict(zip(classes, sum(counts.values()).tolist(), strict=True)),
        "shape": list(first["image"].shape[1:]),
        "range": [min(low for low, _ in ranges), max(high for _, high in ranges)],
    }
    digests = {
        f"{name} {kind}s": f"{crc(part[kind]):08x}"
        for name, part in parts.items()
        for kind in ("image", "label")
    }
    return DataRecord(
        summary,
        digests,
        {"order of classes": list(classes)},
        left_out,
        details=_by_class(counts, classes),
        remarks=_twins(parts),
    )


def _range(images: np.ndarray) -> tuple[int, int]:
    """Their least and greatest level; of bytes, the first images usually have both extremes."""
    part = images[:1000]
    if images.dtype != np.uint8 or (part.min(), part.max()) != (0, 255):
        part = images
    return int(part.min()), int(part.max())


def _by_class(counts: Mapping[str, np.ndarray], classes: Sequence[str]) -> dict[str, Any]:
    """The images of each class in each part; of one class there is nothing to tell."""
    if len(classes) < 2:
        return {}
    return {
        f"{name} images of each class": dict(zip(classes, count.tolist(), strict=True))
        for name, count in counts.items()
    }


def _twins(parts: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[str, ...]:
    """A line for each part that has images of an earlier one, bit for bit."""
    images = {name: x["image"] for name, x in parts.items() if name in ORDER}
    names = sorted(images, key=ORDER.index)
    lines, found = [], repeated([images[name] for name in names])
    for last, name in enumerate(names):
        among = [found[last] == first for first in range(last)]
        count = int(np.any(among, 0).sum()) if among else 0
        if count:
            where = " or ".join(x for x, y in zip(names, among, strict=False) if y.any())
            total = len(images[name])
            lines.append(f"{count} of {total} {name} images are also in {where}, bit for bit")
    return tuple(lines)


def repeated(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each image of each part [N, ...] the first part that it is in, bit for bit: int [N].

    Few images agree in PROBES words of their content; those that do are compared as a whole.
    """
    keys = [_keys(images) for images in parts]
    owner = np.repeat(np.arange(len(parts)), [len(x) for x in keys])
    joined = np.concatenate(keys)
    ordered = np.sort(joined)
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(several):
        starts, first = np.cumsum([0, *map(len, keys)]), {}
        near = several[np.minimum(np.searchsorted(several, joined), len(several) - 1)]
        for index in np.flatnonzero(near == joined):
            part = owner[index]
            image = parts[part][index - starts[part]]
            owner[index] = first.setdefault((image.shape, image.tobytes()), part)
    return np.split(owner, np.cumsum([len(x) for x in keys])[:-1])


def _keys(images: np.ndarray) -> np.ndarray:
    """A number for each image [N, ...] that depends on some of its bytes: uint64 [N]."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint8)
    width = 8 if rows.shape[1] % 8 == 0 else 1
    words, probes = rows.view(np.dtype(f"u{width}")), PROBES * (8 // width)
    places = np.unique(np.linspace(0, words.shape[1], probes + 2).astype(int)[1:-1])
    key = np.zeros(len(rows), np.uint64)
    for column in words[:, places].T:
        key = key * np.uint64(0x9E3779B97F4A7C15) + column
    return key


def clips_record(
    parts: Mapping[str, Mapping[str, np.ndarray]],
    classes: Sequence[str],
    left_out: Sequence[str] = (),
) -> DataRecord:
    """The record of labelled clips in memory: as of images, {"image": [N, T, H, W, C], ...}."""
    record = images_record(parts, classes, left_out)
    summary = {"clips" if name == "images" else name: x for name, x in record.summary.items()}
    return record._replace(summary=summary)


def streamed_record(
    sources: Mapping[str, Sequence], classes: Sequence[str], left_out: Sequence[str] = ()
) -> DataRecord:
    """The record of sets that are read while training, of the content of their files.

    sources: 'train', 'test' -> what is read: `source.files()` names its files, `source.labels` are
    int [N], where it has them.
    """
    summary = {
        "images": {name: len(source) for name, source in sources.items()},
        "classes": list(classes),
    }
    known = {name: x.labels for name, x in sources.items() if hasattr(x, "labels")}
    counts = {name: np.bincount(labels, minlength=len(classes)) for name, labels in known.items()}
    digests = {f"{name} labels": f"{crc(labels):08x}" for name, labels in known.items()}
    files = {f"{name} images": x.files() for name, x in sources.items() if hasattr(x, "files")}
    remarks = ()
    if len(files) == len(known) == 2:
        count = same_files(files["test images"], files["train images"])
        total = len(files["test images"])
        remarks = (f"{count} of {total} test images are also in train, byte for byte",)[: count > 0]
    return DataRecord(
        summary,
        digests,
        {"order of classes": list(classes)},
        left_out,
        _by_class(counts, classes),
        files,
        remarks,
    )


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


def stamp(files: Sequence[str]) -> str:
    """A checksum of the names (within their common folder), order, sizes and times of files."""
    root, total = os.path.commonpath(files) if files else "", 0
    for file in files:
        about = os.stat(file)
        entry = f"{file[len(root) :]} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}\n"
        total = zlib.crc32(entry.encode(errors="surrogateescape"), total)
    return f"{len(files)} files {total:08x}"


@functools.lru_cache
def content(files: tuple[str, ...], stamp: str) -> str:
    """A checksum of the content of files in their order. stamp: of the files, for the cache."""
    del stamp
    with ThreadPoolExecutor() as pool:
        sums = np.fromiter(pool.map(_file_crc, files), np.uint32, len(files))
    return f"{len(files)} files {crc(sums):08x}"


def same_files(files: Sequence[str], others: Sequence[str]) -> int:
    """How many of the files are byte for byte among the others; those of other sizes aren't read.

    Of equal sizes the beginning is read first, and the rest where that is equal too.
    """
    mine, theirs = ({file: os.path.getsize(file) for file in x} for x in (files, others))
    with ThreadPoolExecutor() as pool:
        for most in (4096, None):
            common = set(mine.values()) & set(theirs.values())
            mine, theirs = (
                {file: about for file, about in x.items() if about in common}
                for x in (mine, theirs)
            )
            read = functools.partial(_file_crc, most=most)
            mine, theirs = (
                {
                    f: (about, crc)
                    for (f, about), crc in zip(x.items(), pool.map(read, x), strict=True)
                }
                for x in (mine, theirs)
            )
    known = set(theirs.values())
    return sum(about in known for about in mine.values())


def _file_crc(file: str, most: int | None = None) -> int:
    """CRC-32 of a file's content, or of its first bytes."""
    total = 0
    with open(file, "rb") as opened:
        while block := opened.read(most or 1 << 20):
            total = zlib.crc32(block, total)
            if most:
                break
    return total


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
