"""Labelled images from the kinds of `--dataset` value that every experiment takes.

    load_images("digits")                                   # embedded, needs no network
    load_images("letters")                                  # so is this one
    load_images("tfds:mnist", data_dir="~/tensorflow_datasets")
    load_images("photos/")                                  # a folder per class
    load_images("pathmnist.npz")                            # MedMNIST's layout
    from_arrays((images, labels), (test_images, test_labels))

What comes back is a `Dataset` of uint8 images (of float arrays: float32) and int32 labels.
"""

import os

from dljax.data.sources.arrays import from_arrays
from dljax.data.sources.dataset import Dataset, split
from dljax.data.sources.digits import load_digits
from dljax.data.sources.folder import (
    Images,
    image_folder,
    image_folder_source,
    plain_folder,
    read_images,
)
from dljax.data.sources.image import Levels
from dljax.data.sources.letters import load_letters
from dljax.data.sources.npz import medmnist_npz
from dljax.data.sources.tfds import tfds_images, tfds_source

__all__ = [
    "Dataset",
    "Images",
    "Levels",
    "from_arrays",
    "image_folder_source",
    "load_images",
    "plain_folder",
    "read_images",
    "split",
    "tfds_source",
]

KINDS = (
    "'digits', 'letters', 'tfds:NAME' (or tfds:NAME/CONFIG:VERSION), a folder with a folder of "
    "images per class, or a .npz file in MedMNIST's layout"
)


def load_images(
    dataset: str,
    data_dir: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    levels: Levels | None = None,
    quiet: bool = False,
) -> Dataset:
    """Reads a labelled image data set into memory.

    Args:
      dataset: 'digits', 'letters', 'tfds:NAME', a folder, or a `.npz` file (`KINDS`).
      data_dir: where TFDS data sets lie; the default is that of TFDS. Other kinds ignore it.
      size: (height, width) that every image is resized to, without keeping its aspect. The
        default keeps the size of the set; a folder of differing sizes is resized to 64 x 64.
      channels: 1 (grey) or 3 (colour); the default keeps what the set has.
      levels: range of grey levels of more than 8 bits that becomes 0..255; the default is the one
        that the folder's images use.
      quiet: shows no progress bars.

    Returns:
      A `Dataset`: 'image' uint8 [N, H, W, C], 'label' int32 [N].

    Raises:
      FileNotFoundError, ValueError: one line that says what is wrong and what to do.
    """
    check_format(size, channels)
    if dataset == "digits":
        return load_digits(size, channels)
    if dataset == "letters":
        return load_letters(size, channels)
    if dataset.startswith("tfds:"):
        return tfds_images(dataset, data_dir, size=size, channels=channels, quiet=quiet)
    path = os.path.expanduser(dataset)
    if os.path.isdir(path):
        return image_folder(path, size=size, channels=channels, levels=levels, quiet=quiet)
    if path.lower().endswith(".npz"):
        return medmnist_npz(path, size, channels)
    if os.path.exists(path):
        raise ValueError(f"{dataset} is a file that is not read here: --dataset takes {KINDS}.")
    if os.sep in dataset or dataset.startswith((".", "~")):
        raise FileNotFoundError(f"There is no folder or file {dataset}: --dataset takes {KINDS}.")
    raise ValueError(f"Unknown data set {dataset!r}: --dataset takes {KINDS}.")


def check_format(size: tuple[int, int] | None, channels: int | None) -> None:
    """Refuses a size that is no pair of positive numbers, and channels other than 1 and 3."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"The image size must be two positive numbers, not {size}.")
    if channels not in (None, 1, 3):
        raise ValueError(f"Images can have 1 (grey) or 3 (colour) channels, not {channels}.")
