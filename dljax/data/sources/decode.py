"""Decodes a prepared TFDS set: example by example, or all to arrays in a process per core.

`python -m dljax.data.sources.decode JOB` is a worker (see workers.py): JOB is JSON, and a line per
block of examples goes to its standard output.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dljax.data.sources import workers
from dljax.data.sources.image import resize, to_channels
from dljax.data.sources.tfds_builder import Prepared

BLOCK = 256


class TfdsSource(Sequence):
    """Random access to one split of a prepared set, decoded on demand.

    `source[index]` is {'image': uint8 [H, W, C], 'label': int32 []}, and
    `source.__getitems__(indices)` a list of such examples.
    """

    def __init__(self, prepared: Prepared, split_name: str, shape: tuple[int, int, int]):
        import tensorflow_datasets

        builder = tensorflow_datasets.builder_from_directory(str(prepared.folder))
        self.classes = prepared.classes
        self._prepared, self._shape = prepared, shape
        self._records = builder.as_data_source(split=split_name)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self._example(self._records[index])

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, np.ndarray]]:
        return [self._example(record) for record in self._records.__getitems__(list(indices))]

    def files(self) -> list[str]:
        """The files of the set, of all splits."""
        return sorted(str(file) for file in self._prepared.folder.glob("*.array_record*"))

    def _example(self, record: dict) -> dict[str, np.ndarray]:
        *size, channels = self._shape
        image = resize(record[self._prepared.image][..., :3], size)
        return {
            "image": to_channels(image, channels),
            "label": np.int32(record[self._prepared.label]),
        }


def decode_splits(
    prepared: Prepared, splits: list[str], shape: tuple[int, int, int], folder: Path, quiet: bool
) -> list[str]:
    """Writes SPLIT_image.npy (uint8 [N, *shape]) and SPLIT_label.npy (int32 [N]) to the folder.

    Args:
      prepared: the set.
      splits: names of the splits to decode.
      shape: height, width and channels of every image.
      folder: an empty folder.
      quiet: shows no progress bar.

    Returns:
      The names of the arrays.

    Raises:
      ValueError: an example can't be read or decoded.
    """
    jobs, names, total = [[] for _ in range(workers.WORKERS)], [], 0
    for split in splits:
        length = prepared.splits[split]
        total += length
        for name, form, dtype in (
            (f"{split}_image", (length, *shape), np.uint8),
            (f"{split}_label", (length,), np.int32),
        ):
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, form).flush()
            names.append(name)
        for job, (start, stop) in zip(jobs, workers.bounds(length), strict=True):
            job.append([split, start, stop])
    common = {
        "prepared": {**prepared._asdict(), "folder": str(prepared.folder)},
        "target": str(folder),
        "shape": shape,
    }
    from tqdm import tqdm

    jobs = [{**common, "parts": job} for job in jobs]
    with tqdm(total=total, desc=f"decoding {prepared.name}", unit=" images", disable=quiet) as bar:

        def read(number: int, output: BinaryIO) -> Iterator[int]:
            return map(int, output)

        if reason := workers.run("dljax.data.sources.decode", jobs, read, bar.update):
            raise ValueError(f"{prepared.name} could not be decoded: {reason}")
    return names


def work(job: dict) -> None:
    """Decodes the job's parts into the arrays that lie in its target folder."""
    prepared = Prepared(**{**job["prepared"], "folder": Path(job["prepared"]["folder"])})
    for split, start, stop in job["parts"]:
        if start == stop:
            continue
        source = TfdsSource(prepared, split, job["shape"])
        images, labels = (
            np.lib.format.open_memmap(Path(job["target"]) / f"{split}_{field}.npy", "r+")
            for field in ("image", "label")
        )
        for first in range(start, stop, BLOCK):
            indices = range(first, min(first + BLOCK, stop))
            for index, example in zip(indices, source.__getitems__(indices), strict=True):
                images[index], labels[index] = example["image"], example["label"]
            print(len(indices), flush=True)
        images.flush()
        labels.flush()


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
