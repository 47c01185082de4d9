"""The embedded data set: scikit-learn's 1797 scans of hand-written digits."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from dljax.data.sources.dataset import Dataset, labelled
from dljax.data.sources.image import convert_all

TEST_SIZE = 360


def scans() -> tuple[np.ndarray, np.ndarray]:
    """Grey levels 0..16 as float64 [1797, 8, 8], and the digits int64 [1797].

    Of scikit-learn's own file where it lies as expected: importing the package takes a second and
    135 MB, for which the first step would have to wait.
    """
    package = importlib.util.find_spec("sklearn").submodule_search_locations[0]
    try:
        with gzip.open(Path(package) / "datasets" / "data" / "digits.csv.gz") as file:
            table = np.loadtxt(file, delimiter=",")
    except FileNotFoundError:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        return images.reshape(-1, 8, 8), labels
    return table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(np.int64)


def load_digits(size: tuple[int, int] | None = None, channels: int | None = None) -> Dataset:
    """1797 real 8 x 8 scans of digits, 1437 to train and 360 to test; needs no network.

    The grey levels 0..16 become 0..255. The split is fixed: the order is
    `np.random.RandomState(0).permutation(1797)`, and its last 360 are the test set. The set is
    the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak 1998).
    """
    images, labels = scans()
    images = np.round(images[..., None] * (255 / 16)).astype(np.uint8)
    images = convert_all(images, size, channels)
    order = np.random.RandomState(0).permutation(len(labels))
    train, test = order[:-TEST_SIZE], order[-TEST_SIZE:]
    return Dataset(
        name="digits",
        train=labelled(images[train], labels[train]),
        test=labelled(images[test], labels[test]),
        classes=tuple(str(digit) for digit in range(10)),
    )
