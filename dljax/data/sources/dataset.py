"""What every source returns, and the split that holds a share of it out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.sources.image import Levels

Arrays = dict[str, np.ndarray]
CLASSIFICATION, MULTI_LABEL, REGRESSION = "classification", "multi_label", "regression"


class Dataset(NamedTuple):
    """A data set in memory. Images: {'image': uint8 [N, H, W, C], 'label': int32 [N]}.

    problem: what the labels are: classes [N]; several labels an image, int32 [N, K] of 0 and 1; or
    numbers, float32 [N]. Float images reach the network as they are; `from_arrays` makes a Dataset
    of your own arrays.
    """

    name: str
    train: Arrays
    test: Arrays
    classes: tuple[str, ...]
    validation: Arrays | None = None
    """None where the set has no part for validation: `split` holds out a share of train."""
    notes: tuple[str, ...] = ()
    """Lines for the user: skipped files, how the set was split."""
    left_out: tuple[str, ...] = ()
    """Lines: what was not read and why."""
    levels: Levels | None = None
    """Of grey levels of more than 8 bits: the range that was scaled to 0..255."""
    files: Mapping[str, tuple[str, ...]] | None = None
    """Of a folder: part -> the file of each example, relative to the folder, with '/'."""
    problem: str = CLASSIFICATION
    """CLASSIFICATION, MULTI_LABEL (classes: names of the labels) or REGRESSION (of the number)."""


def split(arrays: Arrays, fraction: float, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Holds out a share of the examples, the same share of every class.

    Of a class with n examples, round(fraction n) are held out, but at least one where n > 1, and
    never all. Several labels an image, or numbers, are one class here. Both parts keep the order of
    the examples.

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
    if labels.ndim > 1 or labels.dtype.kind == "f":
        labels = np.zeros(len(labels), int)
    random = np.random.RandomState(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[members[:count]] = True
    if not held.any():
        raise ValueError("No class has two examples, so none can be held out for validation.")
    rest, held = np.flatnonzero(~held), np.flatnonzero(held)
    return tuple(
        {name: np.take(array, part, axis=0) for name, array in arrays.items()}
        for part in (rest, held)
    )


def subsample_per_class(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of `count` examples of every class, drawn by the seed; int [classes * count], sorted.

    The same seed draws those of a smaller count among those of a larger one.
    Raises ValueError where a class has fewer.
    """
    random, chosen = np.random.RandomState(seed), []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < count:
            raise ValueError(
                f"{count} examples of each class are needed, and one has {len(members)}."
            )
        chosen.append(members[:count])
    return np.sort(np.concatenate(chosen))


def select_classes(data: Dataset, classes: Sequence[str]) -> Dataset:
    """The data set with these classes alone, numbered in the order given.

    Raises ValueError for a class that it does not have, or twice, and for fewer than two.
    """
    if data.problem != CLASSIFICATION:
        raise ValueError(f"--classes is for one class an image, not for {data.name}")
    unknown = [name for name in classes if name not in data.classes]
    if unknown:
        have = ", ".join(data.classes[:20])
        raise ValueError(f"{data.name} has no class {unknown[0]!r}; its classes: {have}.")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(f"At least two different classes are needed, not {', '.join(classes)}.")
    number = np.full(len(data.classes), -1, np.int32)
    number[[data.classes.index(name) for name in classes]] = np.arange(len(classes))

    def part(arrays: Arrays | None) -> Arrays | None:
        if arrays is None:
            return None
        kept = number[arrays["label"]] >= 0
        arrays = {name: array[kept] for name, array in arrays.items()}
        return arrays | {"label": number[arrays["label"]]}

    return data._replace(
        name=f"{data.name}, classes {', '.join(classes)}",
        train=part(data.train),
        test=part(data.test),
        validation=part(data.validation),
        classes=tuple(classes),
    )


def align_classes(data: Dataset, classes: Sequence[str]) -> Dataset:
    """The data set with its labels numbered as in `classes`, of which it may lack some.

    A label that it lacks, of several, is on none of its images. What a number is called does not
    matter. Raises ValueError for a class that is not among them.
    """
    if data.problem == REGRESSION:
        return data
    unknown = [name for name in data.classes if name not in classes]
    if unknown:
        raise ValueError(
            f"{data.name} has the class {unknown[0]!r}, which is none of the model's: "
            f"{', '.join(classes[:20])}."
        )
    number = np.array([classes.index(name) for name in data.classes], np.int32)

    def part(arrays: Arrays | None) -> Arrays | None:
        if arrays is None:
            return None
        if data.problem == MULTI_LABEL:
            label = np.zeros((len(arrays["label"]), len(classes)), np.int32)
            label[:, number] = arrays["label"]
            return {**arrays, "label": label}
        return {**arrays, "label": number[arrays["label"]]}

    return data._replace(
        train=part(data.train),
        test=part(data.test),
        validation=part(data.validation),
        classes=tuple(classes),
    )


def labelled(images: np.ndarray, labels: np.ndarray) -> Arrays:
    """The arrays of a part of a `Dataset`, with the labels as int32, or float32 where they are."""
    labels = np.asarray(labels)
    return {"image": images, "label": labels.astype("f4" if labels.dtype.kind == "f" else "i4")}
