"""Image data sets prepared by TensorFlow Datasets, read without TensorFlow.

They are decoded once, by all cores, and kept as arrays beside the data (or in the user's cache
where that is read-only). A later start reads those arrays and does not import tfds.
"""

import hashlib
import math
import os

import numpy as np

from dljax.data.sources import cache, decode
from dljax.data.sources.dataset import Dataset, labelled, split
from dljax.data.sources.decode import TfdsSource
from dljax.data.sources.tfds_builder import Prepared, find

TEST_SHARE = 0.2


def tfds_images(
    dataset: str,
    data_dir: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    quiet: bool = False,
) -> Dataset:
    """Reads 'tfds:NAME' or 'tfds:NAME/CONFIG:VERSION' into memory.

    The parts are the set's own 'train' and 'test'. Without labelled 'test', 'validation' takes its
    place; without either, a fifth of each class is held out. The arrays and arguments are those of
    `load_images`.

    Raises:
      FileNotFoundError: the set is not prepared there and can't be downloaded.
      ValueError: it is no set of labelled uint8 images, or its images differ in size and no `size`
        is given.
    """
    prepared = find(dataset, data_dir)
    shape = image_shape(prepared, size, channels)
    wanted = [name for name in ("train", "test", "validation") if name in prepared.splits]
    if "train" not in wanted:
        raise ValueError(f"{dataset} has no split 'train', only {', '.join(prepared.splits)}.")
    arrays = cached_arrays(prepared, wanted, shape, quiet)

    parts = {name: labelled(arrays[f"{name}_image"], arrays[f"{name}_label"]) for name in wanted}
    return parts_to_dataset(prepared, parts)


def image_shape(
    prepared: Prepared, size: tuple[int, int] | None, channels: int | None
) -> tuple[int, int, int]:
    """Height, width and channels of every image: as requested, else as the set has them."""
    height, width, depth = prepared.shape
    if size is None and None in (height, width):
        raise ValueError(
            f"The images of {prepared.name} differ in size: give the size that all are resized to."
        )
    return (*(size or (height, width)), channels or depth)


def parts_to_dataset(prepared: Prepared, parts: dict[str, dict[str, np.ndarray]]) -> Dataset:
    """Chooses the test and validation parts among the labelled splits."""
    notes = []
    for name in list(parts):
        labels = parts[name]["label"]
        if name != "train" and len(labels) and labels.max() < 0:
            notes.append(f"The split {name!r} of {prepared.name} has no labels and is left out.")
            del parts[name]
        elif labels.min(initial=0) < 0 or labels.max(initial=0) >= len(prepared.classes):
            raise ValueError(
                f"{prepared.name}, split {name!r}: labels must lie between 0 and "
                f"{len(prepared.classes) - 1}, but are {labels.min()} to {labels.max()}."
            )
    train, test, validation = (parts.get(name) for name in ("train", "test", "validation"))
    if test is None and validation is not None:
        test, validation = validation, None
        notes.append(f"{prepared.name}: the split 'validation' serves as test set.")
    elif test is None:
        train, test = split(train, TEST_SHARE)
        notes.append(f"{prepared.name} has no test split: a fifth of each class is held out.")
    return Dataset(prepared.name, train, test, prepared.classes, validation, tuple(notes))


def cached_arrays(
    prepared: Prepared, splits: list[str], shape: tuple[int, int, int], quiet: bool
) -> dict[str, np.ndarray]:
    """{'SPLIT_image': uint8 [N, *shape], 'SPLIT_label': int32 [N]}, decoded if need be."""
    key = {
        "format": 1,
        "name": prepared.name,
        "shape": list(shape),
        "splits": {name: prepared.splits[name] for name in splits},
        "files": {
            file.name: [file.stat().st_size, file.stat().st_mtime_ns]
            for file in sorted(prepared.folder.glob("*.array_record*"))
        },
    }
    folder_name = "dljax-{}x{}x{}".format(*shape)
    digest = hashlib.sha256(str(prepared.folder.resolve()).encode()).hexdigest()[:12]
    fallback = f"{prepared.name.removeprefix('tfds:').replace('/', '-').replace(':', '-')}-{digest}"
    places = (prepared.folder, cache.user_cache(fallback))
    for place in places:
        arrays = cache.load(place / folder_name, key)
        if arrays is not None:
            return arrays

    needed = sum(prepared.splits[name] for name in splits) * math.prod(shape)
    if needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise ValueError(
            f"{prepared.name} needs {needed / 2**30:.0f} GiB of memory at {shape[0]} x {shape[1]}: "
            "give a smaller size, or stream it (dljax.data.streaming)."
        )

    place = places[0] if cache.can_write(places[0]) else places[1]
    with cache.building(place / folder_name) as temporary:
        names = decode.decode_splits(prepared, splits, shape, temporary, quiet)
        cache.seal(temporary, key, names)
        return {name: np.load(temporary / f"{name}.npy", allow_pickle=False) for name in names}


def tfds_source(
    dataset: str,
    split_name: str,
    data_dir: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> TfdsSource:
    """Random access to a split of 'tfds:NAME', for sets larger than memory (`streaming.stream`).

    Raises:
      FileNotFoundError, ValueError: as `tfds_images`, or there is no such split.
    """
    prepared = find(dataset, data_dir)
    if split_name not in prepared.splits:
        raise ValueError(
            f"{dataset} has no split {split_name!r}, only {', '.join(prepared.splits)}."
        )
    return TfdsSource(prepared, split_name, image_shape(prepared, size, channels))
