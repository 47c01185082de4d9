"""What every source returns, and the split that holds a share of it out."""

from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Dataset(NamedTuple):
    """A data set in memory. Images: {'image': uint8 [N, H, W, C], 'label': int32 [N]}."""

    name: str
    train: Arrays
    test: Arrays
    classes: tuple[str, ...]
    validation: Arrays | None = None
    """None where the set has no part for validation: `split` holds out a share of train."""
    notes: tuple[str, ...] = ()
    """Lines worth telling the user: skipped files, how the set was split."""


def split(arrays: Arrays, fraction: float, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Holds out a share of the examples, the same share of every class.

    Of a class with n examples, round(fraction n) are held out, but at least one where n > 1, and
    never all. Both parts keep the order of the examples.

    Args:
      arrays: {'label': int [N], ...}, all with the same leading axis.
      fraction: share to hold out, above 0 and below 1.
      seed: which examples: the same seed holds out the same ones.

    Returns:
      (rest, held_out), each with the keys of `arrays`.

    Raises:
      ValueError: the fraction is out of range, or no class has two examples.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"The share to hold out must lie between 0 and 1, not {fraction}.")
    labels = np.asarray(arrays["label"])
    random = np.random.RandomState(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[members[:count]] = True
    if not held.any():
        raise ValueError("No class has two examples, so none can be held out for validation.")
    rest = {name: array[~held] for name, array in arrays.items()}
    return rest, {name: array[held] for name, array in arrays.items()}


def labelled(images: np.ndarray, labels: np.ndarray) -> Arrays:
    """The arrays of a part of a `Dataset`, with the labels as int32."""
    return {"image": images, "label": np.asarray(labels, np.int32)}
