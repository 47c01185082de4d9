"""Labelled images from the kinds of `--dataset` value that every experiment takes.

    load_images("digits")                                   # embedded, needs no network
    load_images("letters")                                  # so is this one
    load_images("tfds:mnist", data_dir="~/tensorflow_datasets")
    load_images("photos/")                                  # a folder per class
    load_images("photos.zip")                               # the same in an archive
    load_images("photos.csv")                               # columns file and label
    load_images("pathmnist.npz")                            # MedMNIST's layout
    from_arrays((images, labels), (test_images, test_labels))

What comes back is a `Dataset` of uint8 images (of float arrays: float32) and int32 labels.
"""

import os

from dljax.data.sources.arrays import from_arrays
from dljax.data.sources.dataset import MULTI_LABEL, REGRESSION, Dataset, split
from dljax.data.sources.digits import load_digits
from dljax.data.sources.folder import (
    Images,
    image_folder,
    image_folder_source,
    plain_folder,
    read_images,
    read_listing,
)
from dljax.data.sources.image import Levels
from dljax.data.sources.image_table import Columns, list_table
from dljax.data.sources.letters import load_letters
from dljax.data.sources.npz import medmnist_npz
from dljax.data.sources.tfds import tfds_images, tfds_source
from dljax.data.sources.zipped import unpacked

__all__ = [
    "Columns",
    "Dataset",
    "Images",
    "Levels",
    "from_arrays",
    "image_folder_source",
    "in_files",
    "load_images",
    "plain_folder",
    "read_images",
    "split",
    "tfds_source",
]

PLAIN = Columns()
KINDS = (
    "'digits', 'letters', 'tfds:NAME' (or tfds:NAME/CONFIG:VERSION), a folder or .zip with a "
    "folder of images per class, a .csv with file and label, or a .npz file in MedMNIST's layout"
)


def load_images(
    dataset: str,
    data_dir: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    levels: Levels | None = None,
    quiet: bool = False,
    columns: Columns = PLAIN,
) -> Dataset:
    """Reads a labelled image data set into memory.

    Args:
      dataset: 'digits', 'letters', 'tfds:NAME', a folder, or a `.zip`, `.csv` or `.npz` (`KINDS`).
      data_dir: where TFDS data sets lie; the default is that of TFDS. Other kinds ignore it.
      size: (height, width) that every image is resized to, without keeping its aspect. The
        default keeps the size of the set; a folder of differing sizes is resized to 64 x 64.
      channels: 1 (grey) or 3 (colour); the default keeps what the set has.
      levels: range of grey levels of more than 8 bits that becomes 0..255; the default is the one
        that the folder's images use.
      quiet: shows no progress bars.
      columns: of a `.csv`, and what its labels or those of a `.npz` mean; by default classes.

    Returns:
      A `Dataset`: 'image' uint8 [N, H, W, C], 'label' int32 [N], or as its problem says.

    Raises:
      FileNotFoundError, ValueError: one line that says what is wrong and what to do.
    """
    check_format(size, channels)
    path, ending = os.path.expanduser(dataset), os.path.splitext(dataset)[1].lower()
    ending = "" if dataset.startswith("tfds:") or os.path.isdir(path) else ending
    _check_columns(dataset, ending, columns)
    if ending == ".npz":
        return medmnist_npz(path, size, channels, columns.problem)
    if ending in (".csv", ".tsv"):
        listing, root = list_table(path, columns)
        return read_listing(path, listing, root, size, channels, levels, quiet)
    if ending == ".zip":
        return _zipped(path, size=size, channels=channels, levels=levels, quiet=quiet)
    if dataset == "digits":
        return load_digits(size, channels)
    if dataset == "letters":
        return load_letters(size, channels)
    if dataset.startswith("tfds:"):
        return tfds_images(dataset, data_dir, size=size, channels=channels, quiet=quiet)
    if os.path.isdir(path):
        return image_folder(path, size=size, channels=channels, levels=levels, quiet=quiet)
    if os.path.exists(path):
        raise ValueError(f"{dataset} is a file that is not read here: --dataset takes {KINDS}.")
    if os.sep in dataset or dataset.startswith((".", "~")):
        raise FileNotFoundError(f"There is no folder or file {dataset}: --dataset takes {KINDS}.")
    raise ValueError(f"Unknown data set {dataset!r}: --dataset takes {KINDS}.")


def in_files(dataset: str) -> bool:
    """Whether images are read from files of their own, resized as they are read."""
    path = os.path.expanduser(dataset)
    return os.path.isdir(path) or path.lower().endswith((".zip", ".csv", ".tsv"))


def _zipped(path: str, **options) -> Dataset:
    """The set in an archive, under the archive's name."""
    with unpacked(path) as folder:

        def named(text: str) -> str:
            return text.replace(str(folder), path)

        try:
            found = image_folder(str(folder), **options)
        except ValueError as error:
            raise ValueError(named(str(error))) from None
        notes, left_out = (tuple(map(named, x)) for x in (found.notes, found.left_out))
        return found._replace(name=path, notes=notes, left_out=left_out)


def _check_columns(dataset: str, ending: str, columns: Columns) -> None:
    """Refuses what would have no effect."""
    table = ending in (".csv", ".tsv")
    given = {"file_column": columns.file, "label_column": columns.label, "images": columns.folder}
    for name, value in given.items():
        if value and not table:
            raise ValueError(f"--{name} is for a .csv, and {dataset} is none: leave it out")
    if columns.problem in (MULTI_LABEL, REGRESSION) and not (table or ending == ".npz"):
        raise ValueError(
            f"--problem={columns.problem} is for a .csv or .npz: {dataset} has one class an image"
        )


def check_format(size: tuple[int, int] | None, channels: int | None) -> None:
    """Refuses a size that is no pair of positive numbers, and channels other than 1 and 3."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"The image size must be two positive numbers, not {size}.")
    if channels not in (None, 1, 3):
        raise ValueError(f"Images can have 1 (grey) or 3 (colour) channels, not {channels}.")
