"""Images with boxes or class masks made ready for the loop: feed, examples, record.

    data = in_memory(load_boxes("bccd/", (320, 320)), batch_size=16)
    data = streamed(load_masks("camvid/"), batch_size=8)

A batch has BOX_FIELDS or MASK_FIELDS (see sources/vision/boxes.py and masks.py), of scenes with
masks also their instances. What is fixed by (seed, step), and what is held in memory, is as in
data/images.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dljax.data import feed
from dljax.data.class_balance import level_counts
from dljax.data.feed import Examples, Feed
from dljax.data.record import DataRecord
from dljax.data.sources.cache import crc
from dljax.data.sources.dataset import Arrays
from dljax.data.sources.vision import IGNORE, BoxedImages, MaskedImages, Truth, truth
from dljax.data.streaming import stream

BOX_FIELDS = ("image", "boxes", "labels", "flags", "size")
MASK_FIELDS = ("image", "mask", "size")
EVALUATION_BATCH = 32  # images in an evaluation batch, where the training batch is smaller
SAMPLE = 256  # training images of a streamed set that statistics are computed from


class AnnotatedImages(NamedTuple):
    """A data set in its parts.

    train: batches. validation, test: each example once, in the order of the sources; validation is
    None if none is held out. sources: part -> its source, for truth, names and pictures. arrays:
    part -> arrays in memory, empty where the set is streamed. name: one line.
    """

    train: Feed
    validation: Examples | None
    test: Examples
    sources: Mapping[str, Sequence]
    arrays: Mapping[str, Arrays]
    classes: tuple[str, ...]
    name: str
    notes: tuple[str, ...]
    record: DataRecord


def in_memory(
    data: BoxedImages | MaskedImages,
    batch_size: int,
    *,
    validation: float = 0.1,
    multiple: int = 1,
    quiet: bool = True,
) -> AnnotatedImages:
    """A set in memory, its training images on the device.

    validation: share of the training images held out, where the set has no part of its own; 0:
    none, and the set's own part is left out. multiple: what the size of an evaluation batch must
    be a multiple of (the number of devices).
    Raises ValueError for images that can't be read, and for a batch larger than the set.
    """
    sources = divide(data, validation)
    names = BOX_FIELDS if isinstance(data, BoxedImages) else MASK_FIELDS
    arrays = {}
    for part, source in sources.items():
        every = source.arrays(quiet)
        arrays[part] = {name: every[name] for name in names}
    held = arrays.get("validation")
    lengths = [len(sources.get(part, ())) for part in ("validation", "test")]
    size = feed.common_batch(max(batch_size, EVALUATION_BATCH), *lengths)
    return AnnotatedImages(
        feed.in_memory(arrays["train"], batch_size),
        held and feed.examples(held, size, multiple),
        feed.examples(arrays["test"], size, multiple),
        sources,
        arrays,
        data.classes,
        _name(data, sources),
        data.notes,
        annotated_record(data, sources, arrays),
    )


def streamed(
    data: BoxedImages | MaskedImages,
    batch_size: int,
    *,
    validation: float = 0.1,
    multiple: int = 1,
) -> AnnotatedImages:
    """The same, decoded while the device works; memory stays bounded. Arguments as `in_memory`."""
    sources = divide(data, validation)
    names = BOX_FIELDS if isinstance(data, BoxedImages) else MASK_FIELDS

    def pick(example: dict) -> dict:
        return {name: example[name] for name in names}

    at_once = -(-max(batch_size, EVALUATION_BATCH) // multiple) * multiple
    held = sources.get("validation")
    return AnnotatedImages(
        feed.streamed(stream(sources["train"], batch_size, pick)),
        held and feed.streamed_examples(stream(held, at_once, pick)),
        feed.streamed_examples(stream(sources["test"], at_once, pick)),
        sources,
        {},
        data.classes,
        f"{_name(data, sources)}, streamed",
        data.notes,
        annotated_record(data, sources, {}),
    )


def load(
    data: BoxedImages | MaskedImages,
    batch_size: int,
    *,
    streaming: bool,
    validation: float = 0.1,
    multiple: int = 1,
    quiet: bool = True,
) -> AnnotatedImages:
    """`streamed` or `in_memory`."""
    common = {"validation": validation, "multiple": multiple}
    if streaming:
        return streamed(data, batch_size, **common)
    return in_memory(data, batch_size, **common, quiet=quiet)


def training_sample(data: AnnotatedImages) -> Arrays:
    """All training images of a set in memory; of a streamed one SAMPLE, evenly spread."""
    if data.arrays:
        return data.arrays["train"]
    source = data.sources["train"]
    read = [source[int(i)] for i in spread(len(source), SAMPLE)]
    return {name: np.stack([example[name] for example in read]) for name in read[0]}


def spread(length: int, count: int) -> np.ndarray:
    """Indices of at most `count` of `length` examples, evenly spread, in order."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(int))


def evaluation_examples(source: Sequence, names: Sequence[str], streaming: bool) -> Examples:
    """The examples of a source for an evaluation alone. names: BOX_FIELDS or MASK_FIELDS."""
    if streaming:
        reader = stream(source, EVALUATION_BATCH, lambda x: {name: x[name] for name in names})
        return feed.streamed_examples(reader)
    arrays = source.arrays()
    return feed.examples({name: arrays[name] for name in names}, EVALUATION_BATCH)


def divide(data: BoxedImages | MaskedImages, validation: float) -> dict[str, Sequence]:
    """{part: source}, with a fixed random share of train held out where there is no validation."""
    sources = {"train": data.train, "validation": data.validation, "test": data.test}
    held = round(validation * len(data.train))
    if not validation:
        del sources["validation"]
    elif data.validation is None and 0 < held < len(data.train):
        order = np.random.RandomState(0).permutation(len(data.train))
        sources["train"] = data.train.subset(np.sort(order[held:]))
        sources["validation"] = data.train.subset(np.sort(order[:held]))
    return {part: source for part, source in sources.items() if source is not None}


def annotated_record(
    data: BoxedImages | MaskedImages,
    sources: Mapping[str, Sequence],
    arrays: Mapping[str, Arrays],
) -> DataRecord:
    """The record: images, boxes or pixels of each class in each part, sizes, what was left out.

    Of arrays in memory their content is digested, else that of their files.
    """
    summary: dict = {"images": {part: len(source) for part, source in sources.items()}}
    digests, files = {}, {}
    if isinstance(data, BoxedImages):
        truths = {part: truth(source) for part, source in sources.items()}
        summary |= _boxes(truths, data.classes)
        for part, found in truths.items():
            rows = np.concatenate(
                [np.column_stack([each.boxes, each.labels, each.flags]) for each in found]
            )
            digests[f"{part} boxes"] = f"{crc(rows):08x}"
    else:
        summary |= _pixels(arrays, data.classes)
    for part, source in sources.items():
        if part in arrays:
            for name in ("image", "mask"):
                if name in arrays[part]:
                    digests[f"{part} {name}s"] = f"{crc(arrays[part][name]):08x}"
        elif hasattr(source, "files"):
            files[f"{part} content"] = source.files()
    example = next(iter(arrays.values()))["image"][0] if arrays else sources["train"][0]["image"]
    summary["shape"] = list(example.shape)
    derived = {"order of classes": list(data.classes)}
    return DataRecord(summary, digests, derived, data.notes, files=files)


def _boxes(truths: Mapping[str, Sequence[Truth]], classes: Sequence[str]) -> dict:
    """Boxes of each class in each part, images without boxes, original sizes."""
    summary = {}
    for part, found in truths.items():
        labels = np.concatenate([np.zeros(0, np.int32), *(each.labels for each in found)])
        counts = np.bincount(labels, minlength=len(classes))
        summary[f"boxes, {part}"] = dict(zip(classes, counts.tolist(), strict=True))
    every = [each for found in truths.values() for each in found]
    flags = np.concatenate([np.zeros(0, np.uint8), *(each.flags for each in every)])
    sizes = np.array([each.size for each in every])
    summary["images without boxes"] = sum(not len(each.labels) for each in every)
    summary["difficult or crowd"] = int((flags > 0).sum())
    summary["original heights"] = [int(sizes[:, 0].min()), int(sizes[:, 0].max())]
    summary["original widths"] = [int(sizes[:, 1].min()), int(sizes[:, 1].max())]
    return summary


def _pixels(arrays: Mapping[str, Arrays], classes: Sequence[str]) -> dict:
    """The share of each class among the labelled pixels of each part, in percent."""
    summary = {}
    for part, each in arrays.items():
        counts = level_counts(each["mask"])
        labelled = max(1, counts[: len(classes)].sum())
        shares = [round(100 * float(x) / labelled, 2) for x in counts[: len(classes)]]
        summary[f"percent of pixels, {part}"] = dict(zip(classes, shares, strict=True))
        summary[f"percent ignored, {part}"] = round(100 * float(counts[IGNORE]) / counts.sum(), 2)
    return summary


def _name(data: BoxedImages | MaskedImages, sources: Mapping[str, Sequence]) -> str:
    words = {"train": "training", "validation": "validation", "test": "test"}
    counts = ", ".join(f"{len(source)} {words[part]}" for part, source in sources.items())
    return f"{data.name} ({counts} images)"
