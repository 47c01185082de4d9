"""The records of each kind of data: images, clips, streamed sets, series, corpora, texts."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dljax.data.anomaly_series import Labelled, step_seconds
from dljax.data.file_digests import same_files
from dljax.data.record import DataRecord
from dljax.data.sources.cache import crc

PROBES = 12  # words of 8 bytes of an image by which it is found among others
ORDER = ("train", "validation", "test")


def images_record(
    parts: Mapping[str, Mapping[str, np.ndarray] | None],
    classes: Sequence[str],
    left_out: Sequence[str] = (),
) -> DataRecord:
    """The record of labelled images in memory.

    parts: 'train', 'validation', 'test' -> {"image": [N, (D,) H, W, C], "label": int [N], or [N, K]
    of 0 and 1, or float [N]} or None. classes: of numbers, the name of the number.
    """
    parts = {name: part for name, part in parts.items() if part}
    first = next(iter(parts.values()))
    told = _numbers if first["label"].dtype.kind == "f" else _classes
    about, details = told({name: part["label"] for name, part in parts.items()}, classes)
    ranges = [_range(part["image"]) for part in parts.values()]
    summary = {
        "images": {name: len(part["label"]) for name, part in parts.items()},
        **about,
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
        details=details,
        remarks=_twins(parts),
    )


def _classes(
    labels: Mapping[str, np.ndarray], classes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The examples of each class, of all parts and of each."""
    counts = {name: _label_counts(x, len(classes)) for name, x in labels.items()}
    total = dict(zip(classes, sum(counts.values()).tolist(), strict=True))
    return {"classes": total}, _by_class(counts, classes)


def _numbers(
    labels: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean, least and greatest number, of all parts and of each."""

    def about(x: np.ndarray) -> dict[str, float]:
        return {n: float(f"{f(x):.6g}") for n, f in (("mean", np.mean), ("least", np.min),
                                                    ("greatest", np.max))}  # fmt: skip

    (name,) = names
    details = {f"{part} {name}": about(x) for part, x in labels.items()}
    return {f"number {name}": about(np.concatenate(list(labels.values())))}, details


def _label_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Examples of each class of labels [N], or with each label of [N, K]."""
    return labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def _range(images: np.ndarray) -> tuple[float, float]:
    """Their least and greatest level; of bytes, the first images usually have both extremes."""
    if images.dtype.kind == "f":
        return float(f"{images.min():.4g}"), float(f"{images.max():.4g}")
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
