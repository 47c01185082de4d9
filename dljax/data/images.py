"""Labelled images made ready for the loop: training feed, validation and test examples.

From memory (`in_memory_images`: the training images lie on the device) or from the disk while
training (`streamed_images`: for sets larger than memory). The split is the same for both.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.data import feed, sources
from dljax.data.class_balance import sampling_weights
from dljax.data.feed import Examples, Feed
from dljax.data.record import DataRecord
from dljax.data.record_kinds import images_record, streamed_record
from dljax.data.sources.dataset import CLASSIFICATION, Arrays, Dataset, split
from dljax.data.sources.image import Levels
from dljax.data.streaming import stream

# Examples in an evaluation batch, and those of a streamed set that are held in memory to look at.
EVALUATION_BATCH, SAMPLE = 250, 2000


class Images(NamedTuple):
    """A set of labelled images in its parts.

    train: batches. validation, test: each example once; validation is None if none is held out.
    train_images: in memory ({"image", "label"}; all of them, or a sample of a streamed set).
    test_images: likewise. name: one line. notes: lines for the user. record: what was read.
    levels: of grey levels of more than 8 bits, the range that was scaled to 0..255.
    problem: what the labels are, as of `Dataset`.
    """

    train: Feed
    validation: Examples | None
    test: Examples
    train_images: Arrays
    test_images: Arrays
    classes: tuple[str, ...]
    name: str
    notes: tuple[str, ...]
    record: DataRecord
    levels: Levels | None = None
    problem: str = CLASSIFICATION


def in_memory_images(
    data: Dataset,
    batch_size: int,
    *,
    validation: float = 0.1,
    multiple: int = 1,
    balanced: float = 0.0,
) -> Images:
    """A `Dataset` in memory, its training images on the device.

    validation: share of the training images held out (stratified), where the set has no validation
    part of its own; 0: none, and the set's own part is trained on too. multiple: what the size of
    an evaluation batch must be a multiple of (the number of devices). balanced: the power of
    `class_balance.sampling_weights` by which training images are drawn; 0: all alike.
    Raises ValueError for what is no `Dataset`, and for a batch larger than the set.
    """
    if not isinstance(data, Dataset):
        raise ValueError(
            f"a Dataset is needed, not a {type(data).__name__}: make one of arrays with "
            "dljax.data.sources.from_arrays((images, labels), (test_images, test_labels))"
        )
    train, held_out = data.train, data.validation
    if not validation and held_out is not None:
        train = {name: np.concatenate([train[name], held_out[name]]) for name in train}
        held_out = None
    elif validation and held_out is None:
        train, held_out = split(train, validation)
    lengths = [part and len(part["label"]) for part in (train, held_out, data.test)]
    size = feed.common_batch(max(batch_size, EVALUATION_BATCH), *lengths[1:])
    return Images(
        feed.in_memory(
            train,
            batch_size,
            weights=sampling_weights(train["label"], balanced) if balanced else None,
        ),
        held_out and feed.examples(held_out, size, multiple),
        feed.examples(data.test, size, multiple),
        train,
        data.test,
        data.classes,
        f"{data.name} ({_counts(*lengths)})",
        data.notes,
        images_record(
            {"train": train, "validation": held_out, "test": data.test},
            data.classes,
            data.left_out,
        ),
        data.levels,
        data.problem,
    )


def streamed_images(
    dataset: str,
    data_dir: str | None,
    batch_size: int,
    *,
    validation: float = 0.1,
    size: tuple[int, int] | None = None,
    multiple: int = 1,
) -> Images:
    """A TFDS set or a folder per class, decoded while the device works; memory stays bounded.

    dataset: "tfds:NAME" or a folder; a folder needs `size` (height, width). Other arguments as in
    `in_memory_images`. The examples held out are a fixed random choice, not stratified.
    Raises ValueError or FileNotFoundError as `sources.load_images` does.
    """
    if os.path.isfile(os.path.expanduser(dataset)):
        raise ValueError(
            f"streaming reads tfds sets and folders of images per class, not {dataset}: leave out "
            "--streaming"
        )
    if not dataset.startswith("tfds:") and size is None:
        raise ValueError(
            "streaming from a folder needs --image_size: the images are not read beforehand"
        )

    if dataset.startswith("tfds:"):
        train, test = (
            sources.tfds_source(dataset, name, data_dir, size=size) for name in ("train", "test")
        )
    else:
        train = sources.image_folder_source(dataset, "train", size)
        test = sources.image_folder_source(dataset, "test", size, levels=train.levels)
    levels, notes, left_out = (getattr(train, x, ()) for x in ("levels", "notes", "left_out"))
    order = np.random.RandomState(0).permutation(len(train))
    held = round(validation * len(train))
    rest = Subset(train, np.sort(order[held:]))
    held_out = Subset(train, np.sort(order[:held])) if held else None
    at_once = -(-max(batch_size, EVALUATION_BATCH) // multiple) * multiple
    return Images(
        feed.streamed(stream(rest, batch_size)),
        held_out and feed.streamed_examples(stream(held_out, at_once)),
        feed.streamed_examples(stream(test, at_once)),
        _sample(rest),
        _sample(test),
        train.classes,
        f"{dataset}, streamed ({_counts(len(rest), held, len(test))})",
        notes,
        streamed_record({"train": train, "test": test}, train.classes, left_out),
        levels or None,
    )


class Subset(Sequence):
    """The examples of a random-access source at the given indices."""

    def __init__(self, source: Sequence, indices: np.ndarray):
        self._source, self._indices = source, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self._source[int(self._indices[index])]


def _sample(source: Sequence) -> Arrays:
    """Up to SAMPLE examples, evenly spread over the source."""
    chosen = np.unique(np.linspace(0, len(source) - 1, SAMPLE).astype(int))
    read = [source[int(i)] for i in chosen]
    return {name: np.stack([example[name] for example in read]) for name in read[0]}


def _counts(train: int, validation: int | None, test: int) -> str:
    held = f", {validation} validation" if validation else ""
    return f"{train} training{held}, {test} test images"
